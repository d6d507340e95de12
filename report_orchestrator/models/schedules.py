"""The reports that discovery knows, and when each is due."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from report_orchestrator.domain.reports import describe_report
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.models.instants import InstantField
from report_orchestrator.models.managers import PrimaryManager
from report_orchestrator.models.partial_indexes import PartiallyIndexedModel


class ScheduleState(models.TextChoices):
    ACTIVE = "active", _("active")
    UNSCHEDULED = "unscheduled", _("no cron: manual runs only")
    DISABLED = "disabled", _("disabled in the project")
    QUARANTINED = "quarantined", _("quarantined: invalid definition")
    REMOVED = "removed", _("removed from the project")


def live_condition(now: datetime, *, unless_switched: bool) -> Q:
    """Return the condition of `ReportSchedule.is_live_at` for this moment."""
    is_switched = Q(live_from__isnull=False) | Q(live_until__isnull=False)
    has_begun = Q(live_from__lt=now) | Q(live_from__isnull=True)
    has_not_ended = Q(live_until__gte=now) | Q(live_until__isnull=True)
    switched = is_switched & has_begun & has_not_ended
    return switched | ~is_switched if unless_switched else switched


class ScheduleQuerySet(models.QuerySet["ReportSchedule"]):
    def due(self, now: datetime) -> Self:
        """Return reports with a due time, the oldest first. Only active ones have one, by a constraint."""
        return self.filter(next_run_at__lte=now).order_by("next_run_at", "pk")

    def live(self, now: datetime, *, unless_switched: bool) -> Self:
        """Return the reports of which `ReportSchedule.is_live_at` is true."""
        return self.filter(live_condition(now, unless_switched=unless_switched))

    def lock_all(self) -> None:
        """Lock these rows in the order that all bulk writers use, so that two of them never deadlock."""
        list(self.select_for_update().order_by("pk").values_list("pk"))

    def present(self) -> Self:
        """Exclude reports that the host no longer has."""
        return self.exclude(state=ScheduleState.REMOVED)


class ReportSchedule(PartiallyIndexedModel):
    """A report of the host, by its model's label and its primary key as text: no foreign key leaves our database."""

    report_model = models.CharField(_("report model"), max_length=200)
    report_key = models.CharField(_("report"), max_length=200, help_text=_("The report's primary key, as text."))
    name = models.CharField(_("name"), max_length=500, blank=True)
    cron = models.CharField(_("cron"), max_length=200, blank=True)
    timezone = models.CharField(
        _("time zone"), max_length=64, blank=True, help_text=_("Empty: the project's TIME_ZONE.")
    )
    priority = models.SmallIntegerField(_("priority"), default=0, help_text=_("Higher priorities start first."))
    state = models.CharField(_("state"), max_length=16, choices=ScheduleState.choices)
    problem_code = models.CharField(_("problem code"), max_length=40, blank=True)
    problem = models.TextField(_("problem"), blank=True)
    next_run_at = InstantField(_("next run"), null=True, blank=True)
    decided_until = InstantField(
        _("schedule processed until"), help_text=_("All scheduled times up to this one have run or were skipped.")
    )
    catch_up = models.JSONField(
        _("catch-up in progress"),
        null=True,
        blank=True,
        help_text=_("Set while the last decision left times undecided."),
    )
    overlap = models.CharField(
        _("overlap"),
        max_length=8,
        blank=True,
        choices=[("skip", _("skip")), ("queue", _("queue")), ("allow", _("allow"))],
        help_text=_("Applies at a scheduled time if the previous run has not ended. Empty: the setting OVERLAP."),
    )
    paused_at = InstantField(_("paused since"), null=True, blank=True)
    paused_by = models.CharField(_("paused by"), max_length=150, blank=True)
    pause_reason = models.TextField(_("pause reason"), blank=True)
    live_from = InstantField(
        _("live from"), null=True, blank=True, help_text=_("Scheduled times up to this one belong to another system.")
    )
    live_until = InstantField(
        _("live until"), null=True, blank=True, help_text=_("Scheduled times after this one belong to another system.")
    )
    host_updated_at = InstantField(_("updated in the project"), null=True, blank=True)
    discovered_at = InstantField(_("discovered"))
    changed_at = InstantField(_("last change"))

    objects = PrimaryManager.from_queryset(ScheduleQuerySet)()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        ordering = ("pk",)
        permissions = [
            ("run_reports", "Can run reports by hand"),
            ("pause_reports", "Can pause and resume reports"),
            ("backfill_reports", "Can backfill reports"),
            ("accept_removals", "Can accept held removals of reports"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["report_model", "report_key"], name="ro_schedule_report_uniq"),
            models.CheckConstraint(
                condition=models.Q(next_run_at__isnull=True) | models.Q(state="active", paused_at__isnull=True),
                name="ro_schedule_only_active_is_due",
            ),
        ]
        indexes = [
            models.Index(
                fields=["report_model", "next_run_at"],
                name="ro_schedule_due_idx",
                condition=models.Q(next_run_at__isnull=False),
            ),
            models.Index(fields=["state", "name"], name="ro_schedule_state_idx"),
        ]

    def __str__(self) -> str:
        return describe_report(self.report_key, self.name)

    @property
    def has_predecessor(self) -> bool:
        """True if another report had this key, and was removed before this one was discovered. One query."""
        return self.changes.filter(kind=ChangeKind.REMOVED, noticed_at__lte=self.discovered_at).exists()

    def is_live_at(self, moment: datetime, *, unless_switched: bool) -> bool:
        """Return True if this app serves the scheduled time, and False if it is in shadow: another system serves it.

        `unless_switched` is the answer for a report that nobody has switched.
        """
        if self.live_from is None and self.live_until is None:
            return unless_switched
        has_begun = self.live_from is None or self.live_from < moment
        return has_begun and (self.live_until is None or moment <= self.live_until)
