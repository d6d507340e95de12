"""Actions of people on runs: retry from the failed step, which also releases a run on hold, and cancel."""

import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import OperationalError, transaction

from report_orchestrator.domain.error_codes import ErrorCode, RefusalCode
from report_orchestrator.domain.runs import RETRYABLE_BY_PERSON, Status, Step, StepResult, resume_step
from report_orchestrator.exceptions import LeaseLostError, NotPossibleError
from report_orchestrator.models import EarlierJob, InterventionKind, ReportRun, RunStep, ScheduleState
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_run_event
from report_orchestrator.services.evidence.audit import record_interventions
from report_orchestrator.services.running.lease import last_attempt

CANCEL_ATTEMPTS = 5
"""A worker may write the run between reading and canceling it, so a cancellation is tried this often."""
TIMING_PROBLEMS = frozenset({ErrorCode.NO_CRON, ErrorCode.INVALID_CRON, ErrorCode.INVALID_TIMEZONE})
_NO_JOB: Mapping[str, object] = {
    "fireant_job_id": "",
    "fireant_status": "",
    "results_path": "",
    "result_size": None,
    "result_sha256": "",
    "result_etag": "",
}
"""Columns of a run whose job is submitted again: those of the earlier job do not describe the next one."""


def retry_run(run_id: int, *, actor: str, runtime: Runtime, reason: str = "", version: int | None = None) -> ReportRun:
    """Queue a failed or timed-out run again at the step that failed, with its retries and polls reset.

    Releases a run on hold: its job is submitted again under the same reference. `version` is that of the run as the person
    saw it; a run that was written since is left unchanged.

    Raises:
        NotPossibleError: there is no such run, it has not failed, or it is no longer at `version`.
    """
    with transaction.atomic(using=database_alias()):
        run = _get(run_id)
        if version is not None and run.version != version:
            raise NotPossibleError(_moved_on(run, run.status), code=RefusalCode.MOVED_ON)
        if run.status not in RETRYABLE_BY_PERSON:
            advice = f"Start a new one with run_report {run.report_key}" if run.has_ended else "It continues by itself"
            raise NotPossibleError(
                f"{run} cannot be retried: it is {run.get_status_display()}. {advice}.",
                code=RefusalCode.NOTHING_TO_RETRY,
            )
        _requeue(run, runtime)
        _record(run, InterventionKind.RETRIED, actor, reason, runtime)
        runtime.queue.notify([run.pk])
    return run


def _requeue(run: ReportRun, runtime: Runtime) -> None:
    step = resume_step(Step(run.step), run.error_code)
    resubmit = step is Step.REPORT_DATA and run.step != step
    was_on_hold = run.error_code == ErrorCode.SUBMISSION_UNKNOWN
    now = runtime.clock()
    if resubmit and run.fireant_job_id:
        EarlierJob.objects.create(run=run, submission=run.submission, fireant_job_id=run.fireant_job_id)
    try:
        run.write(
            status=Status.QUEUED.value,
            step=step.value,
            wake_at=now,
            ended_at=None,
            idle=_idle(run, now),
            attempt=last_attempt(run, step),
            failures=0,
            crashes=0,
            polls=0,
            error_code="",
            error="",
            submission=run.submission + resubmit,
            possibly_submitted_twice=run.possibly_submitted_twice or was_on_hold,
            **(_NO_JOB if resubmit else {}),
        )
    except LeaseLostError as error:
        raise NotPossibleError(
            f"{run} was changed by someone else just now. Reload it and try again.", code=RefusalCode.CHANGED_JUST_NOW
        ) from error


def _idle(run: ReportRun, now: datetime) -> timedelta | None:
    """Return the time before this retry, which no duration counts; None for a run that never started."""
    return None if run.started_at is None else max(now - run.started_at, timedelta(0))


def remaining_cause(run: ReportRun, *, has_payload: bool = True) -> str:
    """Return the error code with which a retry would fail again, by the report as it was last discovered; "" if none is known.

    A quarantine for a cron or zone does not count, as a retry needs neither.
    """
    step, schedule = resume_step(Step(run.step), run.error_code), run.schedule
    if step is Step.EXTERNAL_JOB_SUBMISSION and not has_payload:
        return ErrorCode.PAYLOAD_MISSING
    if step is not Step.REPORT_DATA:
        return ""
    if schedule.state == ScheduleState.REMOVED:
        return ErrorCode.REPORT_NOT_FOUND
    return schedule.problem_code if schedule.problem_code not in TIMING_PROBLEMS else ""


def cancel_fingerprint(run: ReportRun) -> int:
    """Return a number that changes with the run's step, submission or job, so that a stale confirmation is detected."""
    return zlib.crc32(f"{run.step}/{run.submission}/{run.fireant_job_id}".encode())


def cancel_run(
    run_id: int, *, actor: str, runtime: Runtime, reason: str = "", fingerprint: int | None = None
) -> ReportRun:
    """Cancel a run that has not ended. Its worker, if any, loses the lease and discards its result.

    Fireant cannot cancel: a submitted job continues there, and its result is not downloaded. `fingerprint` is the
    `cancel_fingerprint` of the run as the person saw it; a run that has moved on since is left unchanged.

    Raises:
        NotPossibleError: there is no such run, it has ended, or it no longer has this `fingerprint`.
    """
    for _ in range(CANCEL_ATTEMPTS):
        try:
            return _cancel(run_id, actor, reason, runtime, fingerprint)
        except (LeaseLostError, OperationalError):  # a worker wrote first, or a deadlock was ended
            continue
    raise NotPossibleError(f"Run {run_id} keeps changing. Try again in a moment.", code=RefusalCode.KEEPS_CHANGING)


def _cancel(run_id: int, actor: str, reason: str, runtime: Runtime, fingerprint: int | None) -> ReportRun:
    now = runtime.clock()
    with transaction.atomic(using=database_alias()):
        run = _get(run_id)
        if run.has_ended:
            raise NotPossibleError(
                f"{run} has already ended: {run.status}. There is nothing to cancel.", code=RefusalCode.HAS_ENDED
            )
        if fingerprint is not None and cancel_fingerprint(run) != fingerprint:
            job = f" with job {run.fireant_job_id}" if run.fireant_job_id else ""
            raise NotPossibleError(_moved_on(run, f"at the step {run.step}{job}"), code=RefusalCode.MOVED_ON)
        run.write(
            status=Status.CANCELED.value,
            worker="",
            wake_at=None,
            ended_at=now,
            error_code=ErrorCode.CANCELED,
            error=f"Canceled by {actor}." + (f" Reason: {reason}" if reason else ""),
        )
        RunStep.objects.filter(run=run, ended_at__isnull=True).update(result=StepResult.CANCELED, ended_at=now)
        _record(run, InterventionKind.CANCELED, actor, reason, runtime)
    return run


def _moved_on(run: ReportRun, state: str) -> str:
    return (
        f"{run} has changed since you opened its page: it is {state} now. Nothing was changed. Reload it and try again."
    )


def _get(run_id: int) -> ReportRun:
    run = ReportRun.objects.filter(pk=run_id).first()
    if run is None:
        raise NotPossibleError(f"Run {run_id} does not exist. Check the ID in the admin.", code=RefusalCode.NO_SUCH_RUN)
    return run


def _record(run: ReportRun, kind: InterventionKind, actor: str, reason: str, runtime: Runtime) -> None:
    record_interventions([run.pk], kind, actor=actor, reason=reason, now=runtime.clock())
    emit_run_event(f"run_{kind.value}", run, actor=actor, reason=reason)
