"""What discovery knows of each report, and when it is due next."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from report_orchestrator.domain.reports import describe_report
from report_orchestrator.models.instants import InstantField


class ScheduleState(models.TextChoices):
    """What the scheduler may do with a report."""

    ACTIVE = "active", _("active")
    UNSCHEDULED = "unscheduled", _("no cron: runs by hand only")
    DISABLED = "disabled", _("disabled in the host")
    QUARANTINED = "quarantined", _("quarantined: cannot run as it is defined")
    REMOVED = "removed", _("removed from the host")


class ScheduleQuerySet(models.QuerySet["ReportSchedule"]):
    """Reports by what the scheduler has to do with them."""

    def due(self, now: datetime) -> Self:
        """Active reports with a time to decide; the longest due first."""
        return self.filter(next_run_at__lte=now).order_by("next_run_at", "pk")  # only active ones have one

    def present(self) -> Self:
        """Reports that the host still has."""
        return self.exclude(state=ScheduleState.REMOVED)


class ReportSchedule(models.Model):
    """One report of the host, named by its model's label and its primary key as text: no foreign key leaves our database."""

    report_model = models.CharField(_("report model"), max_length=200)
    report_key = models.CharField(
        _("report"), max_length=200, help_text=_("The report's primary key, as text.")
    )
    name = models.CharField(_("name"), max_length=500, blank=True)
    cron = models.CharField(_("cron"), max_length=200, blank=True)
    timezone = models.CharField(
        _("time zone"), max_length=64, blank=True, help_text=_("Empty: the project's own TIME_ZONE.")
    )
    priority = models.SmallIntegerField(_("priority"), default=0, help_text=_("Higher goes first."))
    state = models.CharField(_("state"), max_length=16, choices=ScheduleState.choices)
    problem_code = models.CharField(_("problem"), max_length=40, blank=True)
    problem = models.TextField(_("what is wrong, and what to do"), blank=True)
    next_run_at = InstantField(_("next run"), null=True, blank=True)
    decided_until = InstantField(
        _("decided until"), help_text=_("Every time up to this one has been decided: run or skipped.")
    )
    overlap = models.CharField(
        _("overlap"),
        max_length=8,
        blank=True,
        choices=[("skip", _("skip")), ("queue", _("queue")), ("allow", _("allow"))],
        help_text=_("What happens at a time when the last run has not ended. Empty: the setting OVERLAP."),
    )
    paused_at = InstantField(_("paused since"), null=True, blank=True)
    paused_by = models.CharField(_("paused by"), max_length=150, blank=True)
    pause_reason = models.TextField(_("why it is paused"), blank=True)
    host_updated_at = InstantField(_("updated in the host"), null=True, blank=True)
    discovered_at = InstantField(_("discovered"))
    changed_at = InstantField(_("last change noticed"))

    objects = ScheduleQuerySet.as_manager()

    class Meta:
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
                condition=models.Q(next_run_at__isnull=True)
                | models.Q(state="active", paused_at__isnull=True),
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
