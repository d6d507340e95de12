"""The run table, its timeline, and the guarded writes that keep one writer at a time."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from report_orchestrator.domain.paths import manifest_path, result_path
from report_orchestrator.domain.reports import Json, describe_report
from report_orchestrator.domain.runs import (
    ENDED,
    LIVE,
    RETRYABLE_BY_PERSON,
    Position,
    Status,
    Step,
    StepResult,
    Trigger,
)
from report_orchestrator.exceptions import LeaseLostError
from report_orchestrator.models.instants import InstantField

STATUS_LABELS = {
    Status.QUEUED: _("queued"),
    Status.RUNNING: _("running"),
    Status.DEFERRED: _("waiting for Fireant"),
    Status.UP_FOR_RETRY: _("will be tried again"),
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
    Trigger.MANUAL: _("by hand"),
    Trigger.BACKFILL: _("backfill"),
}
RESULT_LABELS = {
    StepResult.STARTED: _("started"),
    StepResult.COMPLETED: _("completed"),
    StepResult.WAITING: _("waiting"),
    StepResult.RETRIED: _("failed, to be tried again"),
    StepResult.FAILED: _("failed"),
    StepResult.LOST: _("lost with its worker"),
    StepResult.CANCELED: _("canceled"),
}


class RunQuerySet(models.QuerySet["ReportRun"]):
    """Runs by what has to be done with them."""

    def live(self) -> Self:
        """Runs that have not ended.

        They alone have a time to wake up, by a constraint; saying so lets the database use the small indexes that hold only them.
        """
        return self.filter(status__in=sorted(LIVE), wake_at__isnull=False)

    def ended(self) -> Self:
        """Runs that have ended, well or not."""
        return self.filter(status__in=sorted(ENDED))

    def claimable(self, now: datetime) -> Self:
        """Runs that any worker may take: those that may start, and those whose worker lost its lease.

        Runs that wait for Fireant are left to the poller, which asks about many at once.
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
        """Queued runs that go before this one, by priority, then by age."""
        older = Q(created_at__lt=run.created_at) | Q(created_at=run.created_at, pk__lt=run.pk)
        before = Q(priority__gt=run.priority) | Q(priority=run.priority) & older
        return self.filter(before, status=Status.QUEUED).out_of_line()

    def out_of_line(self) -> Self:
        """Runs that need not wait for an earlier run of their report."""
        return self.exclude(self._behind_another())

    def _behind_another(self) -> Q:
        """Runs that have not begun and stand in line behind an earlier run of their report."""
        live = ReportRun.objects.live().exclude(trigger=Trigger.MANUAL.value)
        earlier = live.filter(schedule=OuterRef("schedule"), pk__lt=OuterRef("pk"))
        return Q(in_line=True, started_at__isnull=True) & Q(Exists(earlier))

    def waits_in_line(self, run: ReportRun) -> bool:
        """Whether this very run has to wait for an earlier one."""
        return (
            run.in_line and run.started_at is None and self.filter(self._behind_another(), pk=run.pk).exists()
        )

    def pollable(self, now: datetime) -> Self:
        """Runs whose time to ask Fireant has come; the longest waiting first."""
        return self.filter(status=Status.DEFERRED, wake_at__lte=now).order_by("wake_at")


class ReportRun(models.Model):
    """One run of one report: the whole truth about it.

    `wake_at` says when somebody must look at a run that has not ended: when it may start, be tried again or be polled,
    or, while it is running, when its worker's lease runs out. It is empty exactly when the run has ended.
    """

    reference = models.UUIDField(
        _("reference"),
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text=_("Names the result in the lake, and the job to Fireant."),
    )
    schedule = models.ForeignKey(
        "report_orchestrator.ReportSchedule",
        on_delete=models.PROTECT,
        db_index=False,  # the index of history begins with it
        related_name="runs",
        verbose_name=_("report"),
    )
    report_key = models.CharField(_("report's key"), max_length=200)
    report_name = models.CharField(_("report's name"), max_length=500, blank=True)
    trigger = models.CharField(
        _("trigger"), max_length=16, choices=[(t.value, label) for t, label in TRIGGER_LABELS.items()]
    )
    triggered_by = models.CharField(_("asked for by"), max_length=150, blank=True)
    scheduled_for = InstantField(_("scheduled for"))
    run_date = models.DateField(_("run date"), help_text=_("The date in the report's own time zone."))
    priority = models.SmallIntegerField(_("priority"), default=0)
    in_line = models.BooleanField(
        _("in line"), default=False, help_text=_("Starts only when the report's earlier runs have ended.")
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
    wake_at = InstantField(_("next look"), null=True, blank=True)
    worker = models.CharField(_("lease"), max_length=100, blank=True)
    version = models.PositiveIntegerField(_("version"), default=0)
    attempt = models.PositiveSmallIntegerField(_("attempt at this step"), default=0)
    failures = models.PositiveSmallIntegerField(_("failures at this step"), default=0)
    crashes = models.PositiveSmallIntegerField(_("workers lost at this step"), default=0)
    polls = models.PositiveIntegerField(_("polls"), default=0)
    error_code = models.CharField(_("error code"), max_length=40, blank=True)
    error = models.TextField(_("what is wrong, and what to do"), blank=True)

    modifier_key = models.CharField(_("modifier"), max_length=200, blank=True)
    job_kind = models.CharField(_("kind of job"), max_length=8, blank=True)
    payload_digest = models.CharField(_("payload's SHA-256"), max_length=64, blank=True)
    submission = models.PositiveSmallIntegerField(
        _("submission"), default=1, help_text=_("Raised when a person has the job submitted anew.")
    )
    possibly_submitted_twice = models.BooleanField(_("possibly submitted twice"), default=False)
    fireant_job_id = models.CharField(_("Fireant job"), max_length=200, blank=True)
    fireant_status = models.CharField(_("Fireant's last word"), max_length=100, blank=True)
    results_path = models.CharField(_("stored at"), max_length=1000, blank=True)
    result_size = models.BigIntegerField(_("result's size in bytes"), null=True, blank=True)
    result_sha256 = models.CharField(_("result's SHA-256"), max_length=64, blank=True)
    result_etag = models.CharField(
        _("result's mark in the store"),
        max_length=100,
        blank=True,
        help_text=_(
            "Noted before the result gets its name, so that a later attempt knows it without reading it."
        ),
    )

    created_at = InstantField(_("opened"))
    started_at = InstantField(_("started"), null=True, blank=True)
    ended_at = InstantField(_("ended"), null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ("-pk",)
        permissions = [
            ("retry_runs", "Can retry and release runs"),
            ("cancel_runs", "Can cancel runs"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["schedule", "scheduled_for"],
                condition=~Q(trigger="manual"),
                name="ro_run_occurrence_uniq",
            ),
            models.CheckConstraint(
                condition=Q(status__in=sorted(ENDED), wake_at__isnull=True, ended_at__isnull=False)
                | Q(status__in=sorted(LIVE), wake_at__isnull=False, ended_at__isnull=True),
                name="ro_run_live_has_wake_up",
            ),
            models.CheckConstraint(
                condition=Q(status="running") ^ Q(worker=""),
                name="ro_run_running_has_lease",
            ),
        ]
        indexes = [
            models.Index(
                fields=["status", "wake_at", "step"],
                name="ro_run_wake_idx",
                condition=Q(wake_at__isnull=False),
            ),
            models.Index(fields=["schedule"], name="ro_run_live_idx", condition=Q(wake_at__isnull=False)),
            models.Index(
                fields=["schedule", "-scheduled_for", "status", "run_date"], name="ro_run_history_idx"
            ),
            models.Index(fields=["status", "-created_at"], name="ro_run_status_idx"),
            models.Index(
                fields=["-ended_at"],
                name="ro_run_stopped_idx",
                condition=Q(status__in=sorted(RETRYABLE_BY_PERSON)),
            ),
            models.Index(
                fields=["scheduled_for", "status"], name="ro_run_due_idx", condition=~Q(trigger="manual")
            ),
            models.Index(
                fields=["trigger", "-id"], name="ro_run_trigger_idx", condition=~Q(trigger="scheduled")
            ),
            models.Index(fields=["fireant_job_id"], name="ro_run_job_idx"),
            models.Index(fields=["ended_at"], name="ro_run_ended_idx", condition=Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.report}"

    @property
    def report(self) -> str:
        """The report as messages name it."""
        return describe_report(self.report_key, self.report_name)

    @property
    def position(self) -> Position:
        """Where the run stands, as the transition table wants it."""
        return Position(step=Step(self.step), failures=self.failures, polls=self.polls)

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen to this run by itself any more."""
        return Status(self.status) in ENDED

    @property
    def seconds(self) -> float | None:
        """How long an ended run took from its first step, waiting included; None for one that has not ended or not begun."""
        if self.started_at is None or self.ended_at is None:
            return None
        return round((self.ended_at - self.started_at).total_seconds(), 1)

    @property
    def client_reference(self) -> str:
        """What Fireant is told to know this submission by; the same for every repetition of it."""
        return f"{self.reference}-{self.submission}"

    @property
    def result_path(self) -> str:
        """The run's one place in the store, relative to the results folder."""
        return result_path(report_key=self.report_key, run_date=self.run_date, reference=self.reference)

    @property
    def manifest_path(self) -> str:
        """Where the description of the result lies, relative to the results folder."""
        return manifest_path(self.result_path)

    def is_claimable(self, now: datetime) -> bool:
        """Whether a worker that was rung for this very run may take it now."""
        if self.status == Status.QUEUED:
            return True
        return not self.has_ended and self.wake_at is not None and self.wake_at <= now

    def check_unchanged(self) -> None:
        """Raises `LeaseLostError` where somebody else wrote since this instance was read. Writes nothing."""
        if not self._as_known().exists():
            raise self._taken_over()

    def lock(self) -> None:
        """Keeps the row from all other writers until the surrounding transaction ends. Raises as `check_unchanged` does."""
        if not self._as_known().select_for_update().values_list("pk").first():
            raise self._taken_over()

    def _as_known(self) -> RunQuerySet:
        return type(self).objects.filter(pk=self.pk, version=self.version, status=self.status)

    def _taken_over(self) -> LeaseLostError:
        return LeaseLostError(f"{self} was taken over by another worker; this result is dropped.")

    def write(self, **changes: object) -> None:
        """The guarded write: succeeds only while the row is as this instance knows it, and moves its version on.

        Raises:
            LeaseLostError: somebody else wrote in between. Nothing was written.
        """
        if not self._as_known().update(version=F("version") + 1, **changes):
            raise self._taken_over()
        self.version += 1
        for name, value in changes.items():
            setattr(self, name, value)


class RunPayload(models.Model):
    """What was sent to Fireant, kept beside the run so that lists of runs stay light."""

    run = models.OneToOneField(
        ReportRun, on_delete=models.CASCADE, primary_key=True, related_name="payload", verbose_name=_("run")
    )
    body = models.JSONField(_("body"))

    class Meta:
        verbose_name = _("payload")
        verbose_name_plural = _("payloads")

    def __str__(self) -> str:
        return f"payload of run {self.pk}"


class RunStep(models.Model):
    """One attempt at one step. A step that waits keeps one row however often it polls."""

    run = models.ForeignKey(ReportRun, on_delete=models.CASCADE, related_name="steps", verbose_name=_("run"))
    step = models.CharField(
        _("step"), max_length=32, choices=[(s.value, label) for s, label in STEP_LABELS.items()]
    )
    attempt = models.PositiveSmallIntegerField(_("attempt"))
    result = models.CharField(
        _("result"),
        max_length=16,
        default=StepResult.STARTED.value,
        choices=[(r.value, label) for r, label in RESULT_LABELS.items()],
    )
    started_at = InstantField(_("started"))
    ended_at = InstantField(_("ended"), null=True, blank=True)
    metadata: models.JSONField[Mapping[str, Json], Mapping[str, Json]] = models.JSONField(
        _("learned"), default=dict
    )
    error_code = models.CharField(_("error code"), max_length=40, blank=True)
    error = models.TextField(_("error"), blank=True)
    traceback = models.TextField(_("traceback"), blank=True)

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        ordering = ("pk",)
        constraints = [
            models.UniqueConstraint(fields=["run", "step", "attempt"], name="ro_step_attempt_uniq"),
        ]
        indexes = [
            models.Index(
                fields=["started_at"],
                name="ro_step_submitted_idx",
                condition=Q(step="external_job_submission"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.step}, attempt {self.attempt}"
