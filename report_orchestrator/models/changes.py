"""What discovery saw change, from what to what, and since when."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.models.instants import InstantField


class ChangeKind(models.TextChoices):
    """What happened to a report."""

    NEW = "new", _("new")
    REMOVED = "removed", _("removed")
    RENAMED = "renamed", _("renamed")
    RETIMED = "retimed", _("re-timed")
    REPRIORITISED = "reprioritised", _("re-prioritised")
    ENABLED = "enabled", _("enabled")
    DISABLED = "disabled", _("disabled")
    QUARANTINED = "quarantined", _("quarantined")
    REPAIRED = "repaired", _("repaired")
    PAUSED = "paused", _("paused")
    RESUMED = "resumed", _("resumed")


class ChangeSource(models.TextChoices):
    """Who noticed it."""

    DISCOVERY = "discovery", _("discovery")
    SIGNAL = "signal", _("a save in this project")
    CHANGE_STAMP = "change_stamp", _("the report's change stamp")
    PERSON = "person", _("a person")


class ReportChange(models.Model):
    """One difference of one report, or of all at once. `before` and `after` hold the fields that differ, under our names."""

    schedule = models.ForeignKey(
        "report_orchestrator.ReportSchedule",
        null=True,  # all reports: a person paused or resumed everything
        on_delete=models.CASCADE,
        related_name="changes",
        verbose_name=_("report"),
    )
    kind = models.CharField(_("change"), max_length=16, choices=ChangeKind.choices)
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    source = models.CharField(_("noticed by"), max_length=16, choices=ChangeSource.choices)
    noticed_at = InstantField(_("noticed"))

    class Meta:
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
    def about(self) -> str:
        """The report, or that it concerns all of them."""
        return gettext("all reports") if self.schedule is None else str(self.schedule)
