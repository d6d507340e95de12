"""A step's outcome becomes the run's next state, in one transaction with the beginning of what follows."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import DataError, transaction
from django.db.models import Max

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import (
    Completed,
    Failed,
    Outcome,
    Policy,
    Postponed,
    Retryable,
    Status,
    Step,
    StepResult,
    Transition,
    Waiting,
    transition,
)
from report_orchestrator.exceptions import (
    GaveWayError,
    LeaseLostError,
    OrchestratorError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.ports import Clock
from report_orchestrator.services.announce import database, run_event
from report_orchestrator.services.gate import admits, stands_behind
from report_orchestrator.services.patience import patiently

LOOKS_EVERY = timedelta(seconds=3)
"""How often a step that lasts looks whether its run is still its own: a person may have canceled it."""


@dataclass(slots=True, kw_only=True)
class Lease:
    """A claimed run, its open attempt, and the right to write both until `run.wake_at`.

    Held `in_worker` of a cluster, it leaves a free place at Fireant to runs that come before it, and lasting downloads give way.
    """

    run: ReportRun
    attempt: RunStep
    settings: Settings
    clock: Clock
    in_worker: bool = False
    token: str = field(init=False)
    looked_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.token = self.run.worker
        self.looked_at = self.clock()

    def keep(self) -> None:
        """Renews the lease once half of it is gone. Raises `LeaseLostError` when another worker has the run, or nobody.

        One that seems to last longer than any does was given before the clock was set back, and may have been moved since.
        """
        now, lease = self.clock(), self.settings.lease
        if self.run.wake_at is not None and not lease / 2 <= self.run.wake_at - now <= lease:
            self.run.write(wake_at=now + lease)
        elif abs(now - self.looked_at) >= LOOKS_EVERY:
            self.run.check_unchanged()
        else:
            return
        self.looked_at = now


def policy_of(settings: Settings) -> Policy:
    """The limits that the settings put on a run."""
    return Policy(
        max_retries=settings.max_retries,
        max_polls=settings.max_poll_attempts,
        poll_interval=settings.poll_interval,
        retry_base=settings.retry_backoff,
    )


def outcome_of(step: Callable[[], Outcome], *, run: ReportRun, settings: Settings) -> Outcome:
    """Runs a step and turns whatever it raises into an outcome, secrets masked.

    The one broad catch of the house: an error that nobody foresaw is recorded with its traceback and tried again within bounds.
    """
    try:
        return step()
    except LeaseLostError:
        raise
    except OrchestratorError as error:
        return _foreseen(error, run, settings)
    except Exception as error:  # noqa: BLE001 - recorded on the run, with its traceback
        sent = run.step == Step.EXTERNAL_JOB_SUBMISSION
        if sent and settings.fireant_on_unknown == "hold":
            return held(run)
        return Retryable(
            code="submission_unknown" if sent else "unexpected",
            error=settings.masked(f"{type(error).__name__}: {error}"),
            traceback=settings.masked(traceback.format_exc()),
        )


def _foreseen(error: OrchestratorError, run: ReportRun, settings: Settings) -> Outcome:
    match error:
        case SubmissionUnknownError() if settings.fireant_on_unknown == "hold":
            return held(run)
        case TransientError():
            return _retryable(error, settings)
        case GaveWayError():
            return Postponed(code=error.code, error=error.message, until=error.until)
        case _:
            return Failed(
                code=error.code,
                error=settings.masked(error.message),
                traceback=settings.masked(traceback.format_exc()),
            )


def _retryable(error: TransientError, settings: Settings) -> Retryable:
    return Retryable(
        code=error.code,
        error=settings.masked(error.message),
        retry_after=error.retry_after,
        traceback=settings.masked(traceback.format_exc()),
    )


def held(run: ReportRun) -> Failed:
    """A submission whose fate is unknown, where the settings say that a person decides."""
    return Failed(
        code="submission_unknown",
        error=(
            f"{run} was sent to Fireant {'twice' if run.possibly_submitted_twice else 'once'} and no answer names a job: it may "
            f"exist under reference {run.client_reference}. It waits for you: look in Fireant, then retry the run, which sends "
            "it again."
        ),
    )


def commit(lease: Lease, outcome: Outcome, *, hand_over: bool = False) -> None:
    """Writes the outcome, and the beginning of what follows, in one transaction.

    With `hand_over`, or where the gate does not admit the next step, the run is queued for whoever comes next. A database
    that is away for seconds, or that chose this transaction to end a deadlock, is waited for: what a step learned, such as
    a job's id, is not lost for that. What the database cannot hold ends the run with a reason.
    """
    restore = _restorer(lease)
    tries: list[_Try] = []

    def write() -> None:
        restore()
        if any(_went_through(lease, one) for one in tries):
            return
        earlier = tuple(tries)
        try:
            _commit_once(lease, outcome, tries, hand_over=hand_over)
        except LeaseLostError:
            # The server may have finished a commit, whose answer was lost, only after the look for it.
            restore()
            if not any(_went_through(lease, one) for one in earlier):
                raise

    try:
        patiently(write, lease=lease.settings.lease)
    except (DataError, ValueError) as error:
        restore()
        commit(lease, _unstorable(lease, outcome, error), hand_over=hand_over)


def _restorer(lease: Lease) -> Callable[[], None]:
    """Brings the lease's rows back to what they are in the database, after a transaction that did not come about."""
    attempt = lease.attempt
    run_before, attempt_before = dict(vars(lease.run)), dict(vars(attempt))

    def restore() -> None:
        lease.attempt = attempt
        for row, before in ((lease.run, run_before), (attempt, attempt_before)):
            vars(row).clear()
            vars(row).update(before)

    return restore


@dataclass(frozen=True, slots=True, kw_only=True)
class _Try:
    """What one transaction was to write: the state that was reached, and the run's columns."""

    reached: Transition
    columns: Mapping[str, object]
    at: datetime


def _went_through(lease: Lease, tried: _Try) -> bool:
    """Whether a commit came about though the connection broke before it could say so.

    If so, the lease goes on from there, and what the transaction was to announce, and did not, is announced.
    """
    ended, held = lease.attempt, tried.columns["status"] == Status.RUNNING
    if not (_still_ours(lease.run) if held else _ended_by(lease, tried)):
        return False
    vars(lease.run).update(tried.columns, version=lease.run.version + 1)
    ended.refresh_from_db()
    if held:
        run = lease.run
        lease.attempt = RunStep.objects.get(run=run, step=run.step, attempt=run.attempt)
    _announce(lease.run, ended, tried.reached)
    return True


def _still_ours(run: ReportRun) -> bool:
    """Nobody else has this claim's name, so a row of the next version that still bears it was written by us."""
    written = ReportRun.objects.filter(pk=run.pk, version=run.version + 1)
    return written.filter(status=Status.RUNNING, worker=run.worker).exists()


def _ended_by(lease: Lease, tried: _Try) -> bool:
    """By the attempt's end, which stands whatever became of the run since; one that waits has none, but its run has a time."""
    attempts = RunStep.objects.filter(pk=lease.attempt.pk)
    if tried.reached.status != Status.DEFERRED:
        return (
            attempts.filter(ended_at=tried.at)
            .exclude(result__in=[StepResult.LOST, StepResult.CANCELED])
            .exists()
        )
    written = {"version": lease.run.version + 1, "status": Status.DEFERRED, "wake_at": tried.reached.wake_at}
    return ReportRun.objects.filter(pk=lease.run.pk, **written).exists()


def _unstorable(lease: Lease, outcome: Outcome, error: Exception) -> Failed:
    if isinstance(outcome, Failed) and outcome.code == "unstorable":
        raise error
    told = ascii(lease.settings.masked(str(error)))[:500]
    return Failed(
        code="unstorable",
        error=(
            f"The result of {lease.run.step} cannot be stored in the database: {told}. "
            "Look at what was answered, then retry the run."
        ),
    )


def _commit_once(lease: Lease, outcome: Outcome, tries: list[_Try], *, hand_over: bool) -> None:
    now = lease.clock()
    run = lease.run
    reached = transition(
        run.position, outcome, now=now, policy=policy_of(lease.settings), jitter=random.random()
    )
    ended = lease.attempt
    with transaction.atomic(using=database()):
        if reached.status == Status.RUNNING and not hand_over:
            hand_over = (
                lease.in_worker and stands_behind(run, reached.step, settings=lease.settings)
            ) or not admits(run, reached.step, now=now, settings=lease.settings)
        # The run before its steps, here and everywhere: two writers that lock in one order cannot deadlock.
        columns = _columns(run, outcome, reached, now=now, lease=lease.settings.lease, hand_over=hand_over)
        tries.append(_Try(reached=reached, columns=columns, at=now))
        run.write(**columns)
        _close(ended, outcome, reached, now)
        if run.status == Status.RUNNING:
            lease.attempt = RunStep.objects.create(
                run=run, step=run.step, attempt=run.attempt, started_at=now
            )
        _announce(run, ended, reached)


def hand_back(lease: Lease) -> None:
    """Puts a run back into the queue at the step that its worker had to leave: nobody's failure, and no crash.

    A submission that was left in the middle may have reached Fireant, and is remembered as such. A run that this worker
    no longer holds, or whose outcome it has just committed, is left as it is.
    """
    now = lease.clock()
    # By the claim's name, not by the instance: that one may have columns of a commit that did not come about.
    run = ReportRun.objects.filter(pk=lease.run.pk, worker=lease.token, status=Status.RUNNING).first()
    if run is None:
        return
    sent = run.step == Step.EXTERNAL_JOB_SUBMISSION
    try:
        with transaction.atomic(using=database()):
            run.write(
                status=Status.QUEUED.value,
                worker="",
                wake_at=now,
                error_code="submission_unknown" if sent else "",
                error="",
            )
            RunStep.objects.filter(run=run, result=StepResult.STARTED).update(
                result=StepResult.LOST, ended_at=now, error_code="handed_back", error="The worker was ended."
            )
            run_event("run_handed_back", run)
    except LeaseLostError:
        run_event("lease_lost", run, worker=run.worker)


def _columns(
    run: ReportRun,
    outcome: Outcome,
    reached: Transition,
    *,
    now: datetime,
    lease: timedelta,
    hand_over: bool,
) -> Mapping[str, object]:
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
    if isinstance(outcome, Completed | Waiting):
        columns |= outcome.learned
        columns["crashes"] = 0
    if reached.status == Status.RUNNING and hand_over:
        columns |= {
            "status": Status.QUEUED.value,
            "wake_at": now,
            "attempt": _attempts_made(run, reached.step),
        }
    elif reached.status == Status.RUNNING:
        columns |= {
            "worker": run.worker,
            "wake_at": now + lease,
            "attempt": _attempts_made(run, reached.step) + 1,
        }
    elif reached.wake_at is None:
        columns["ended_at"] = now
    return columns


def _attempts_made(run: ReportRun, step: Step) -> int:
    """How often a step that now begins was tried before: never, unless a person had the job submitted anew."""
    if run.submission == 1:
        return 0
    last = RunStep.objects.filter(run=run, step=step).aggregate(last=Max("attempt"))["last"]
    return last or 0


_RESULTS: Mapping[type, StepResult] = {
    Completed: StepResult.COMPLETED,
    Waiting: StepResult.WAITING,
    Retryable: StepResult.RETRIED,
    Postponed: StepResult.RETRIED,
    Failed: StepResult.FAILED,
}


def _close(attempt: RunStep, outcome: Outcome, reached: Transition, now: datetime) -> None:
    attempt.result = _RESULTS[type(outcome)].value
    if reached.status in {Status.FAILED, Status.TIMED_OUT}:
        attempt.result = StepResult.FAILED.value
    attempt.error_code, attempt.error = reached.code, reached.error
    if isinstance(outcome, Completed | Waiting):
        attempt.metadata = {**attempt.metadata, **outcome.metadata}
    else:
        attempt.traceback = outcome.traceback
    if attempt.result != StepResult.WAITING:
        attempt.ended_at = now
    attempt.save(update_fields=["result", "error_code", "error", "metadata", "traceback", "ended_at"])


def _announce(run: ReportRun, ended: RunStep, reached: Transition) -> None:
    told: dict[str, object] = {"step": ended.step, "attempt": ended.attempt}
    wrong = {"error_code": reached.code, "error": reached.error}
    match reached.status:
        case Status.SUCCEEDED:
            told |= {"results_path": run.results_path, "duration_s": _elapsed(run.started_at, run.ended_at)}
            run_event("run_succeeded", run, **told)
        case Status.FAILED | Status.TIMED_OUT:
            told |= {**wrong, "duration_s": _elapsed(run.started_at, run.ended_at)}
            run_event(f"run_{reached.status.value}", run, **told)
        case Status.UP_FOR_RETRY:
            told |= {**wrong, "failures": reached.failures, "wake_at": reached.wake_at}
            run_event("step_retried", run, **told)
        case Status.DEFERRED:
            run_event("run_deferred", run, **told, polls=reached.polls, wake_at=reached.wake_at)
        case _:
            told |= {"duration_s": _elapsed(ended.started_at, ended.ended_at)}
            run_event("step_completed", run, **told, fireant_job_id=run.fireant_job_id)


def _elapsed(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds(), 3)
