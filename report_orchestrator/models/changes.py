"""The history of reports: each change of a definition, and each pause."""

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.models.instants import InstantField
from report_orchestrator.models.managers import PrimaryManager


class ChangeKind(models.TextChoices):
    NEW = "new", _("new")
    REMOVED = "removed", _("removed")
    RENAMED = "renamed", _("renamed")
    RETIMED = "retimed", _("rescheduled")
    REPRIORITISED = "reprioritised", _("priority changed")
    ENABLED = "enabled", _("enabled")
    DISABLED = "disabled", _("disabled")
    QUARANTINED = "quarantined", _("quarantined")
    REPAIRED = "repaired", _("repaired")
    PAUSED = "paused", _("paused")
    RESUMED = "resumed", _("resumed")
    SWITCHED = "switched", _("switched")
    APPROACH = "approach", _("scheduling approach changed")


class ChangeSource(models.TextChoices):
    DISCOVERY = "discovery", _("discovery")
    SIGNAL = "signal", _("save in the project")
    CHANGE_STAMP = "change_stamp", _("change stamp")
    PERSON = "person", _("user")
    SETTINGS = "settings", _("settings")
    TICK = "tick", _("tick")


class ReportChange(models.Model):
    """A change of one report, or of all if `schedule` is null. `before` and `after` hold the changed fields."""

    schedule = models.ForeignKey(
        "report_orchestrator.ReportSchedule",
        null=True,  # all reports: a person paused or resumed them, or the approach changed
        on_delete=models.CASCADE,
        related_name="changes",
        verbose_name=_("report"),
    )
    kind = models.CharField(_("change"), max_length=16, choices=ChangeKind.choices)
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    source = models.CharField(_("source"), max_length=16, choices=ChangeSource.choices)
    actor = models.CharField(_("who"), max_length=150, blank=True, default="", db_default="")
    noticed_at = InstantField(_("detected"))

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        ordering = ("-noticed_at", "-pk")
        indexes = [
            models.Index(fields=["-noticed_at", "-id"], name="ro_change_noticed_idx"),
            models.Index(fields=["kind", "-noticed_at", "-id"], name="ro_change_kind_idx"),
            models.Index(fields=["source", "-noticed_at", "-id"], name="ro_change_source_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.about}: {self.get_kind_display()}"

    @property
    def noticed_by(self) -> str:
        """The source in words. Saves and deletions in the project send the same signals, so the kind distinguishes them."""
        if (self.source, self.kind) == (ChangeSource.SIGNAL, ChangeKind.REMOVED):
            return gettext("deletion in the project")
        return str(self.get_source_display())

    @property
    def person(self) -> str:
        """The user who made the change; an empty text if not known. Older versions named only those who paused or resumed."""
        return self.actor or str(self.after.get("actor", ""))

    @property
    def about(self) -> str:
        return gettext("all reports") if self.schedule is None else str(self.schedule)
