"""Runs, with guarded writes that allow one writer at a time."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from report_orchestrator.domain.paths import manifest_path, result_path
from report_orchestrator.domain.reports import describe_report
from report_orchestrator.domain.runs import (
    ENDED,
    RETRYABLE_BY_PERSON,
    UNFINISHED,
    Position,
    Status,
    Step,
    Trigger,
    working_time,
)
from report_orchestrator.exceptions import LeaseLostError
from report_orchestrator.models.instants import InstantField
from report_orchestrator.models.managers import PrimaryManager
from report_orchestrator.models.partial_indexes import PartiallyIndexedModel

STATUS_LABELS = {
    Status.QUEUED: _("queued"),
    Status.RUNNING: _("running"),
    Status.DEFERRED: _("waiting for Fireant"),
    Status.UP_FOR_RETRY: _("waiting for retry"),
    Status.SUCCEEDED: _("succeeded"),
    Status.FAILED: _("failed"),
    Status.TIMED_OUT: _("timed out"),
    Status.CANCELED: _("canceled"),
    Status.SKIPPED: _("skipped"),
}
STEP_LABELS = {
    Step.REPORT_DATA: _("report data"),
    Step.EXTERNAL_JOB_SUBMISSION: _("external job submission"),
    Step.LOCAL_JOB_RECORD: _("local job record"),
    Step.JOB_COMPLETION_STATUS: _("job completion status"),
    Step.RESULTS_STORAGE: _("results storage"),
}
TRIGGER_LABELS = {
    Trigger.SCHEDULED: _("scheduled"),
    Trigger.MANUAL: _("manual"),
    Trigger.BACKFILL: _("backfill"),
    Trigger.SHADOW: _("shadow"),
}


class RunQuerySet(models.QuerySet["ReportRun"]):
    def unfinished(self) -> Self:
        """Return runs that have not ended.

        Only they have a `wake_at`, by a constraint; the redundant condition lets the database use its partial indexes.
        """
        return self.filter(status__in=sorted(UNFINISHED), wake_at__isnull=False)

    def on_schedule(self) -> Self:
        """Return the runs that may delay a scheduled run of their report: no shadow runs, and no work by hand.

        Manual runs, backfills, and runs that a person retried are work by hand.
        """
        return self.filter(trigger=Trigger.SCHEDULED, idle__isnull=True)

    def ended(self) -> Self:
        return self.filter(status__in=sorted(ENDED))

    def claimable(self, now: datetime) -> Self:
        """Return the runs a worker may claim now, highest priority first: startable ones, and those with an expired lease.

        Deferred runs are left to the poller, which polls many at once.
        """
        return (
            self.filter(
                Q(status=Status.QUEUED)
                | Q(status=Status.UP_FOR_RETRY, wake_at__lte=now)
                | Q(status=Status.RUNNING, wake_at__lte=now)
            )
            .out_of_line()
            .order_by("-priority", "created_at", "pk")
        )

    def startable_before(self, run: ReportRun) -> Self:
        """Return the queued runs that start before this one: of higher priority, or older."""
        older = Q(created_at__lt=run.created_at) | Q(created_at=run.created_at, pk__lt=run.pk)
        before = Q(priority__gt=run.priority) | Q(priority=run.priority) & older
        return self.filter(before, status=Status.QUEUED).out_of_line()

    def out_of_line(self) -> Self:
        """Exclude runs that must wait for an earlier run of their report."""
        return self.exclude(self._behind_another())

    def _behind_another(self) -> Q:
        earlier = (
            ReportRun.objects.unfinished().on_schedule().filter(schedule=OuterRef("schedule"), pk__lt=OuterRef("pk"))
        )
        return Q(in_line=True, started_at__isnull=True) & Q(Exists(earlier))

    def waits_in_line(self, run: ReportRun) -> bool:
        return run.in_line and run.started_at is None and self.filter(self._behind_another(), pk=run.pk).exists()

    def pollable(self, now: datetime) -> Self:
        """Return deferred runs that are due for a poll, the longest waiting first."""
        return self.filter(status=Status.DEFERRED, wake_at__lte=now).order_by("wake_at")


class ReportRun(PartiallyIndexedModel):
    """One run of one report.

    `wake_at` is when a run that has not ended may start, be retried or be polled; while it is running, when its lease
    expires. It is null exactly when the run has ended.
    """

    reference = models.UUIDField(
        _("reference"),
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text=_("Identifies the result in the store and the job in Fireant."),
    )
    schedule = models.ForeignKey(
        "report_orchestrator.ReportSchedule",
        on_delete=models.PROTECT,
        db_index=False,  # the index of history begins with it
        related_name="runs",
        verbose_name=_("report"),
    )
    report_key = models.CharField(_("report key"), max_length=200)
    report_name = models.CharField(_("report name"), max_length=500, blank=True)
    trigger = models.CharField(
        _("trigger"), max_length=16, choices=[(t.value, label) for t, label in TRIGGER_LABELS.items()]
    )
    triggered_by = models.CharField(_("requested by"), max_length=150, blank=True)
    scheduled_for = InstantField(_("scheduled for"))
    run_date = models.DateField(_("run date"), help_text=_("In the report's time zone."))
    priority = models.SmallIntegerField(_("priority"), default=0)
    in_line = models.BooleanField(
        _("waits for earlier runs"),
        default=False,
        help_text=_("Starts only after the report's earlier runs have ended."),
    )

    status = models.CharField(
        _("status"),
        max_length=16,
        default=Status.QUEUED.value,
        choices=[(s.value, label) for s, label in STATUS_LABELS.items()],
    )
    step = models.CharField(
        _("step"),
        max_length=32,
        default=Step.REPORT_DATA.value,
        choices=[(s.value, label) for s, label in STEP_LABELS.items()],
    )
    wake_at = InstantField(_("next check"), null=True, blank=True)
    worker = models.CharField(_("lease"), max_length=100, blank=True)
    version = models.PositiveIntegerField(_("version"), default=0)
    attempt = models.PositiveSmallIntegerField(_("attempts at this step"), default=0)
    failures = models.PositiveSmallIntegerField(_("failures at this step"), default=0)
    crashes = models.PositiveSmallIntegerField(_("workers lost at this step"), default=0)
    polls = models.PositiveIntegerField(_("polls"), default=0)
    error_code = models.CharField(_("error code"), max_length=40, blank=True)
    error = models.TextField(_("error"), blank=True)

    modifier_key = models.CharField(_("modifier"), max_length=200, blank=True)
    job_kind = models.CharField(_("job kind"), max_length=8, blank=True)
    payload_digest = models.CharField(_("SHA-256 of the payload"), max_length=64, blank=True)
    submission = models.PositiveSmallIntegerField(
        _("submission"), default=1, help_text=_("Increases when a retry submits a new job.")
    )
    possibly_submitted_twice = models.BooleanField(_("possibly submitted twice"), default=False)
    fireant_job_id = models.CharField(_("Fireant job"), max_length=200, blank=True)
    fireant_status = models.CharField(_("last Fireant status"), max_length=100, blank=True)
    results_path = models.CharField(_("result path"), max_length=1000, blank=True)
    result_size = models.BigIntegerField(_("result size in bytes"), null=True, blank=True)
    result_sha256 = models.CharField(_("SHA-256 of the result"), max_length=64, blank=True)
    result_etag = models.CharField(
        _("ETag of the result"),
        max_length=100,
        blank=True,
        help_text=_("Lets a later attempt recognize an uploaded result without reading it."),
    )

    created_at = InstantField(_("created"))
    started_at = InstantField(_("started"), null=True, blank=True)
    ended_at = InstantField(_("ended"), null=True, blank=True)
    idle = models.DurationField(
        _("idle time"),
        null=True,
        blank=True,
        help_text=_("Time from the first start to the last retry by a person, which the duration leaves out."),
    )

    objects = PrimaryManager.from_queryset(RunQuerySet)()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ("-pk",)
        permissions = [
            ("retry_runs", "Can retry and release runs"),
            ("cancel_runs", "Can cancel runs"),
            ("download_results", "Can download results"),
        ]
        constraints = [
            models.UniqueConstraint(  # on MySQL and MariaDB, of a column that migration 0005 generates
                fields=["schedule", "scheduled_for"], condition=~Q(trigger="manual"), name="ro_run_occurrence_uniq"
            ),
            models.CheckConstraint(
                condition=Q(status__in=sorted(ENDED), wake_at__isnull=True, ended_at__isnull=False)
                | Q(status__in=sorted(UNFINISHED), wake_at__isnull=False, ended_at__isnull=True),
                name="ro_run_live_has_wake_up",
            ),
            models.CheckConstraint(condition=Q(status="running") ^ Q(worker=""), name="ro_run_running_has_lease"),
        ]
        indexes = [
            models.Index(
                fields=["status", "wake_at", "step"], name="ro_run_wake_idx", condition=Q(wake_at__isnull=False)
            ),
            models.Index(fields=["schedule"], name="ro_run_live_idx", condition=Q(wake_at__isnull=False)),
            models.Index(fields=["schedule", "-scheduled_for", "status", "run_date"], name="ro_run_history_idx"),
            models.Index(fields=["status", "-created_at"], name="ro_run_status_idx"),
            models.Index(
                fields=["-ended_at"], name="ro_run_stopped_idx", condition=Q(status__in=sorted(RETRYABLE_BY_PERSON))
            ),
            models.Index(fields=["scheduled_for", "status"], name="ro_run_due_idx", condition=~Q(trigger="manual")),
            models.Index(fields=["trigger", "-id"], name="ro_run_trigger_idx", condition=~Q(trigger="scheduled")),
            models.Index(fields=["fireant_job_id"], name="ro_run_job_idx"),
            models.Index(fields=["ended_at"], name="ro_run_ended_idx", condition=Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.report}"

    @property
    def report(self) -> str:
        return describe_report(self.report_key, self.report_name)

    @property
    def position(self) -> Position:
        return Position(step=Step(self.step), failures=self.failures, polls=self.polls)

    @property
    def has_ended(self) -> bool:
        return Status(self.status) in ENDED

    def duration(self, now: datetime) -> timedelta | None:
        """Return the working time: from the first start, or the last retry by a person, to the end, or to `now`.

        Waits for Fireant, for a worker and for automatic retries count; waiting for a person does not. None for a run that
        has not started.
        """
        return working_time(self.started_at, self.ended_at or now, self.idle)

    @property
    def retried_at(self) -> datetime | None:
        """When a person last retried it; None if nobody has."""
        return None if self.started_at is None or self.idle is None else self.started_at + self.idle

    @property
    def seconds(self) -> float | None:
        """The duration in seconds; None for a run that has not started or ended."""
        span = working_time(self.started_at, self.ended_at, self.idle)
        return None if span is None else round(span.total_seconds(), 1)

    @property
    def client_reference(self) -> str:
        """The reference sent to Fireant, the same for every attempt at this submission."""
        return f"{self.reference}-{self.submission}"

    @property
    def result_name(self) -> str:
        """Name the submission's result: `<reference>`, and from the second submission on `<reference>-<submission>`.

        No submission can find the file or the rows of another. A result that was stored before names had the number keeps
        its name.
        """
        first = str(self.reference)
        return first if self.submission == 1 or self.results_path.endswith(f"/{first}.json") else self.client_reference

    @property
    def result_path(self) -> str:
        return result_path(report_key=self.report_key, run_date=self.run_date, reference=self.result_name)

    @property
    def manifest_path(self) -> str:
        return manifest_path(self.result_path)

    def is_claimable(self, now: datetime) -> bool:
        """True if a worker that was notified of this run may claim it now."""
        if self.status == Status.QUEUED:
            return True
        return not self.has_ended and self.wake_at is not None and self.wake_at <= now

    def check_unchanged(self) -> None:
        """Raise `LeaseLostError` if another process wrote the row since this instance was read."""
        if not self._as_known().exists():
            raise self._taken_over()

    def lock(self) -> None:
        """Lock the row until the surrounding transaction ends. Raises `LeaseLostError` as `check_unchanged` does."""
        if not self._as_known().select_for_update().values_list("pk").first():
            raise self._taken_over()

    def _as_known(self) -> RunQuerySet:
        return type(self).objects.filter(pk=self.pk, version=self.version, status=self.status)

    def _taken_over(self) -> LeaseLostError:
        return LeaseLostError(f"{self} was taken over by another worker; this result is dropped.")

    def write(self, **changes: object) -> None:
        """Write the row as `guarded_update` does, and this instance with it."""
        self.guarded_update(changes)
        self.apply(changes)

    def guarded_update(self, changes: Mapping[str, object]) -> None:
        """Write the row if it is as this instance knows it, and increment its version. Leaves the instance unchanged.

        Raises:
            LeaseLostError: another process wrote the row in between. Nothing was written.
        """
        if not self._as_known().update(version=F("version") + 1, **changes):
            raise self._taken_over()

    def apply(self, changes: Mapping[str, object]) -> None:
        self.version += 1
        for name, value in changes.items():
            setattr(self, name, value)
