"""Statuses, steps and outcomes of a run, and the transition from an outcome to the next state. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias, TypedDict, assert_never

from report_orchestrator.domain.error_codes import ErrorCode, Trait, traits_of
from report_orchestrator.domain.reports import Json
from report_orchestrator.domain.retries import backoff


class Step(StrEnum):
    REPORT_DATA = "report_data"
    EXTERNAL_JOB_SUBMISSION = "external_job_submission"
    LOCAL_JOB_RECORD = "local_job_record"
    JOB_COMPLETION_STATUS = "job_completion_status"
    RESULTS_STORAGE = "results_storage"

    @property
    def following(self) -> Step | None:
        steps = list(Step)
        position = steps.index(self) + 1
        return steps[position] if position < len(steps) else None


class Status(StrEnum):
    """The state of a run; its step is a second axis."""

    QUEUED = "queued"
    RUNNING = "running"
    DEFERRED = "deferred"
    UP_FOR_RETRY = "up_for_retry"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"
    SKIPPED = "skipped"


class Trigger(StrEnum):
    SCHEDULED = "scheduled"
    MANUAL = "manual"
    BACKFILL = "backfill"
    SHADOW = "shadow"
    """A scheduled time that another system serves: the run builds its payload, and ends without a job."""


class StepResult(StrEnum):
    STARTED = "started"
    COMPLETED = "completed"
    WAITING = "waiting"
    RETRIED = "retried"
    FAILED = "failed"
    LOST = "lost"
    CANCELED = "canceled"


ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.CANCELED, Status.SKIPPED})
UNFINISHED = frozenset(Status) - ENDED
RETRYABLE_BY_PERSON = frozenset({Status.FAILED, Status.TIMED_OUT})

MAX_CRASHES = 3
"""Workers lost at one step after which a run is set aside, as the likeliest cause."""


def working_time(started_at: datetime | None, until: datetime | None, idle: timedelta | None) -> timedelta | None:
    """Return the time from the first start, or the last retry by a person, to `until`; None for a run without one of the two.

    `idle` is the time from the first start to that retry.
    """
    if started_at is None or until is None:
        return None
    return max(until - started_at - (idle or timedelta(0)), timedelta(0))


def resume_step(step: Step, code: str) -> Step:
    """Return the step at which a retry by a person resumes: the failed step, unless a new job must be submitted.

    That is so for a job that is of no further use, and for a submission that Fireant rejected: the report may be corrected now.
    """
    traits = traits_of(code)
    rejected = step is Step.EXTERNAL_JOB_SUBMISSION and Trait.FIREANT_REJECTED in traits
    return Step.REPORT_DATA if Trait.NEEDS_NEW_JOB in traits or rejected else step


class RunColumns(TypedDict, total=False):
    """Columns of the run that a step sets."""

    modifier_key: str
    job_kind: str
    payload_digest: str
    fireant_job_id: str
    fireant_status: str
    results_path: str
    result_size: int
    result_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The step is done; the run continues with the next."""

    columns: RunColumns = field(default_factory=RunColumns)
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Fireant has not finished the job. Uses up a poll, never a retry."""

    columns: RunColumns = field(default_factory=RunColumns)
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retryable:
    """The step failed with a temporary error."""

    code: str
    error: str
    retry_after: timedelta | None = None
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The step failed permanently: a person must change something."""

    code: str
    error: str
    columns: RunColumns = field(default_factory=RunColumns)
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """The step must wait for a reason outside the run. Uses up neither a retry nor a poll."""

    code: str
    error: str
    until: datetime
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """The step is done, and the run ends here on purpose."""

    code: str
    error: str
    columns: RunColumns = field(default_factory=RunColumns)
    metadata: Mapping[str, Json] = field(default_factory=dict)


Outcome: TypeAlias = Completed | Waiting | Retryable | Postponed | Failed | Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A run's state before an outcome. `failures` counts the failed attempts at this step, `polls` all polls of the run."""

    step: Step
    failures: int = 0
    polls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    max_retries: int
    max_polls: int
    poll_interval: timedelta
    retry_base: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """The state after an outcome. `wake_at` is None exactly if the run has ended or continues at once."""

    status: Status
    step: Step
    failures: int
    polls: int
    wake_at: datetime | None
    code: str = ""
    error: str = ""


def transition(
    position: Position, outcome: Outcome, *, now: datetime, policy: Policy, jitter: float = 0.5
) -> Transition:
    """Return the state that an outcome leads to.

    `jitter` in [0, 1) spreads waits. A completed step leaves the run `running` at the next step, or `succeeded` after the last.
    """
    position = replace(position, polls=position.polls + _is_poll(position.step, outcome))
    match outcome:
        case Completed():
            return _next_step(position)
        case Waiting():
            return _wait(position, now, policy, jitter)
        case Retryable():
            return _retry(position, outcome, now, policy, jitter)
        case Postponed():
            return _postpone(position, outcome)
        case Failed():
            return _reach(position, Status.FAILED, outcome.code, outcome.error)
        case Skipped():
            return _reach(position, Status.SKIPPED, outcome.code, outcome.error)
        case _:
            assert_never(outcome)


def _is_poll(step: Step, outcome: Outcome) -> bool:
    """True if Fireant responded to a poll with the job's state."""
    if step is not Step.JOB_COMPLETION_STATUS:
        return False
    match outcome:
        case Completed() | Waiting():
            return True
        case Failed():
            return outcome.code == ErrorCode.FIREANT_JOB_FAILED
        case _:
            return False


def _next_step(position: Position) -> Transition:
    following = position.step.following
    done = replace(position, step=following or position.step, failures=0)
    return _reach(done, Status.SUCCEEDED if following is None else Status.RUNNING)


def _wait(position: Position, now: datetime, policy: Policy, jitter: float) -> Transition:
    if position.polls >= policy.max_polls:
        error = (
            f"Fireant had not finished after {position.polls} polls, {policy.poll_interval.total_seconds():g} s apart. "
            "Check the job in Fireant; raise MAX_POLL_ATTEMPTS or POLL_INTERVAL_SECONDS if jobs of this size take longer; "
            "then retry the run, which continues to poll the same job."
        )
        return _reach(position, Status.TIMED_OUT, ErrorCode.POLL_ATTEMPTS_USED_UP, error)
    wake_at = now + spread_poll_interval(policy.poll_interval, jitter)
    return _reach(replace(position, failures=0), Status.DEFERRED, wake_at=wake_at)


def spread_poll_interval(interval: timedelta, jitter: float) -> timedelta:
    """Vary a poll interval by up to a tenth either way, so that runs submitted together drift apart."""
    return interval * (0.9 + 0.2 * jitter)


def _retry(position: Position, outcome: Retryable, now: datetime, policy: Policy, jitter: float) -> Transition:
    failed = replace(position, failures=position.failures + 1)
    if failed.failures > policy.max_retries:
        attempts = "once" if failed.failures == 1 else f"{failed.failures} times"
        return _reach(failed, Status.FAILED, outcome.code, f"{outcome.error} (tried {attempts})")
    wait = backoff(failed.failures, base=policy.retry_base, retry_after=outcome.retry_after, jitter=jitter)
    return _reach(failed, Status.UP_FOR_RETRY, outcome.code, outcome.error, wake_at=now + wait)


def _postpone(position: Position, outcome: Postponed) -> Transition:
    polling = position.step is Step.JOB_COMPLETION_STATUS
    status = Status.DEFERRED if polling else Status.UP_FOR_RETRY
    return _reach(position, status, outcome.code, outcome.error, wake_at=outcome.until)


def _reach(
    position: Position, status: Status, code: str = "", error: str = "", *, wake_at: datetime | None = None
) -> Transition:
    return Transition(
        status=status,
        step=position.step,
        failures=position.failures,
        polls=position.polls,
        wake_at=wake_at,
        code=code,
        error=error,
    )
