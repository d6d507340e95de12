"""Commits a step's outcome: the run's next state, the end of the attempt and the start of the next, in one transaction.

The rows in memory change only after the transaction has succeeded, so that one that failed is repeated from the rows as
claimed.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import cast

from django.db import DatabaseError, DataError, transaction

from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.runs import (
    Completed,
    Failed,
    Outcome,
    Policy,
    Postponed,
    Retryable,
    Skipped,
    Status,
    StepResult,
    Transition,
    Waiting,
    transition,
)
from report_orchestrator.exceptions import LeaseLostError
from report_orchestrator.masking import masked
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.services.events import database_alias, emit_run_event
from report_orchestrator.services.fireant.limits import has_queued_ahead, may_start
from report_orchestrator.services.running.db_retry import with_db_retry
from report_orchestrator.services.running.lease import Lease, last_attempt

_RESULTS: Mapping[type, StepResult] = {
    Completed: StepResult.COMPLETED,
    Waiting: StepResult.WAITING,
    Retryable: StepResult.RETRIED,
    Postponed: StepResult.RETRIED,
    Failed: StepResult.FAILED,
    Skipped: StepResult.COMPLETED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """The changes of one transaction: the state reached, the run's columns, and the next attempt if the run continues."""

    reached: Transition
    columns: Mapping[str, object]
    at: datetime
    next_attempt: RunStep | None


def commit(lease: Lease, outcome: Outcome, *, hand_over: bool = False) -> None:
    """Commit the outcome and the start of the next step.

    With `hand_over`, or if the next step may not start yet, the run is queued instead. If the database is unavailable for seconds
    or ends a deadlock, the write is repeated, so that no result, such as a job's id, is lost. An outcome that the
    database cannot store fails the run.

    Raises:
        LeaseLostError: another worker or a person wrote the run. Nothing was written.
        OperationalError, InterfaceError: the database was unavailable for longer.
    """
    writes: list[Write] = []
    try:
        write = with_db_retry(
            partial(_commit_once, lease, outcome, writes, hand_over=hand_over), lease=lease.settings.lease
        )
    except (DataError, ValueError) as error:
        commit(lease, _unstorable(lease, outcome, error), hand_over=hand_over)
        return
    ended = lease.attempt
    lease.run.apply(write.columns)
    lease.attempt = write.next_attempt or ended
    _emit(lease.run, ended, write)


def _commit_once(lease: Lease, outcome: Outcome, writes: list[Write], *, hand_over: bool) -> Write:
    """Return the write of an earlier try that was committed after all, or try again. Adds each try to `writes`."""
    if committed := _first_committed(lease, writes):
        return committed
    try:
        return _write(lease, outcome, writes, hand_over=hand_over)
    except LeaseLostError:
        # The server may have finished a commit whose response was lost only after the check for it.
        if committed := _first_committed(lease, writes):
            return committed
        raise


def _first_committed(lease: Lease, writes: Sequence[Write]) -> Write | None:
    return next((write for write in writes if was_committed(lease, write)), None)


def was_committed(lease: Lease, write: Write) -> bool:
    """True if a transaction was committed although the connection broke before the database could confirm it."""
    next_version = ReportRun.objects.filter(pk=lease.run.pk, version=lease.run.version + 1)
    if write.next_attempt is not None:
        # No other claim has this token, so this lease wrote the next version of a row that still has it.
        still_ours = next_version.filter(status=Status.RUNNING, worker=lease.token)
        # SQLite gives the key of an attempt that was rolled back to the next one, so the key alone is not enough.
        attempt = write.next_attempt
        return still_ours.filter(steps=attempt.pk, steps__started_at=attempt.started_at).exists()
    if write.reached.status == Status.DEFERRED:
        return next_version.filter(status=Status.DEFERRED, wake_at=write.reached.wake_at).exists()
    # The end of the attempt is final, even if another process has written the run since.
    ended = RunStep.objects.filter(pk=lease.attempt.pk, ended_at=write.at)
    return ended.exclude(result__in=[StepResult.LOST, StepResult.CANCELED]).exists()


def _unstorable(lease: Lease, outcome: Outcome, error: Exception) -> Failed:
    if isinstance(outcome, Failed) and outcome.code == ErrorCode.UNSTORABLE:
        raise error
    message = ascii(masked(str(error), lease.settings.secrets))[:500]
    return Failed(
        code=ErrorCode.UNSTORABLE,
        error=(
            f"The database cannot store the result of {lease.run.step}: {message}. "
            "Check the data that the step received, then retry the run."
        ),
    )


def _write(lease: Lease, outcome: Outcome, writes: list[Write], *, hand_over: bool) -> Write:
    run, settings, now = lease.run, lease.settings, lease.clock()
    reached = transition(run.position, outcome, now=now, policy=_policy(settings), jitter=random.random())
    with transaction.atomic(using=database_alias()):
        if reached.status == Status.RUNNING and not hand_over:
            hand_over = (lease.in_worker and has_queued_ahead(run, reached.step, settings=settings)) or not may_start(
                run, reached.step, now=now, settings=settings
            )
        # The run before its steps, here and everywhere: two writers that lock in one order cannot deadlock.
        columns = _columns(lease, outcome, reached, now=now, hand_over=hand_over)
        run.guarded_update(columns)
        _close_attempt(lease.attempt, outcome, reached, now)
        write = Write(reached=reached, columns=columns, at=now, next_attempt=_open_attempt(run, columns, now))
        writes.append(write)
    return write


def _policy(settings: Settings) -> Policy:
    return Policy(
        max_retries=settings.max_retries,
        max_polls=settings.max_poll_attempts,
        poll_interval=settings.poll_interval,
        retry_base=settings.retry_backoff,
    )


def _columns(
    lease: Lease, outcome: Outcome, reached: Transition, *, now: datetime, hand_over: bool
) -> Mapping[str, object]:
    run = lease.run
    columns: dict[str, object] = {
        "status": reached.status.value,
        "step": reached.step.value,
        "failures": reached.failures,
        "polls": reached.polls,
        "wake_at": reached.wake_at,
        "worker": "",
        "error_code": reached.code,
        "error": reached.error,
    }
    if isinstance(outcome, Completed | Waiting | Failed | Skipped):
        columns |= outcome.columns
    if isinstance(outcome, Completed | Waiting | Skipped):
        columns["crashes"] = 0
    if reached.status == Status.RUNNING:
        # A step that now begins was never tried before, unless a person had a new job submitted.
        attempts = 0 if run.submission == 1 else last_attempt(run, reached.step)
        if hand_over:
            columns |= {"status": Status.QUEUED.value, "wake_at": now, "attempt": attempts}
        else:
            columns |= {"worker": lease.token, "wake_at": now + lease.settings.lease, "attempt": attempts + 1}
    elif reached.wake_at is None:
        columns["ended_at"] = now
    return columns


def _close_attempt(attempt: RunStep, outcome: Outcome, reached: Transition, now: datetime) -> None:
    has_failed = reached.status in {Status.FAILED, Status.TIMED_OUT}
    result = StepResult.FAILED if has_failed else _RESULTS[type(outcome)]
    columns: dict[str, object] = {"result": result.value, "error_code": reached.code, "error": reached.error}
    if isinstance(outcome, Completed | Waiting | Skipped):
        columns["metadata"] = {**attempt.metadata, **outcome.metadata}
    else:
        columns["traceback"] = outcome.traceback
    if result != StepResult.WAITING:
        columns["ended_at"] = now
    if not RunStep.objects.filter(pk=attempt.pk).update(**columns):
        raise DatabaseError(f"Attempt {attempt.pk} of run {attempt.run_id} no longer exists.")


def _open_attempt(run: ReportRun, columns: Mapping[str, object], now: datetime) -> RunStep | None:
    """Open the attempt at the next step, before its work begins; None if the run does not continue at once."""
    if columns["status"] != Status.RUNNING:
        return None
    return RunStep.objects.create(
        run=run, step=str(columns["step"]), attempt=cast("int", columns["attempt"]), started_at=now
    )


def _emit(run: ReportRun, ended: RunStep, write: Write) -> None:
    reached = write.reached
    fields: dict[str, object] = {"step": ended.step, "attempt": ended.attempt}
    error = {"error_code": reached.code, "error": reached.error}
    match reached.status:
        case Status.SUCCEEDED:
            fields |= {"results_path": run.results_path, "duration_s": _seconds(run.duration(write.at))}
            emit_run_event("run_succeeded", run, **fields)
        case Status.FAILED | Status.TIMED_OUT:
            fields |= {**error, "duration_s": _seconds(run.duration(write.at))}
            emit_run_event(f"run_{reached.status.value}", run, **fields)
        case Status.UP_FOR_RETRY:
            fields |= {**error, "failures": reached.failures, "wake_at": reached.wake_at}
            emit_run_event("step_retried", run, **fields)
        case Status.DEFERRED:
            emit_run_event("run_deferred", run, **fields, polls=reached.polls, wake_at=reached.wake_at)
        case _:
            fields |= {"duration_s": _seconds(write.at - ended.started_at)}
            emit_run_event("step_completed", run, **fields, fireant_job_id=run.fireant_job_id)


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else round(span.total_seconds(), 3)
