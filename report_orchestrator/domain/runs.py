"""Statuses, steps and outcomes of a run, and the one table that turns an outcome into the next state. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias, TypedDict, assert_never

from report_orchestrator.domain.reports import Json
from report_orchestrator.domain.retries import backoff


class Step(StrEnum):
    """The five steps, in order."""

    REPORT_DATA = "report_data"
    EXTERNAL_JOB_SUBMISSION = "external_job_submission"
    LOCAL_JOB_RECORD = "local_job_record"
    JOB_COMPLETION_STATUS = "job_completion_status"
    RESULTS_STORAGE = "results_storage"

    @property
    def following(self) -> Step | None:
        """The step after this one; None after the last."""
        steps = list(Step)
        position = steps.index(self) + 1
        return steps[position] if position < len(steps) else None


class Status(StrEnum):
    """Where a run stands; the step is a second axis."""

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
    """Why a run was opened."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    BACKFILL = "backfill"


class StepResult(StrEnum):
    """How an attempt at a step ended, for its row in the timeline."""

    STARTED = "started"
    COMPLETED = "completed"
    WAITING = "waiting"
    RETRIED = "retried"
    FAILED = "failed"
    LOST = "lost"
    CANCELED = "canceled"


ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.CANCELED, Status.SKIPPED})
LIVE = frozenset(Status) - ENDED
RETRYABLE_BY_PERSON = frozenset({Status.FAILED, Status.TIMED_OUT})

ANEW = frozenset({"fireant_job_failed", "job_unknown", "no_result", "no_job_id", "result_too_large"})
"""Failures after which the job itself is of no more use: a person's retry reads the report again and submits a new job."""

MAX_CRASHES = 3
"""A run whose worker died this often at one step is set aside: it is the likeliest cause."""


def resumes_at(step: Step, code: str) -> Step:
    """Where a run goes on when a person has it retried: at the step that failed, but for two cases.

    A job that is of no more use is submitted anew, and a submission that Fireant refused is made from the report as it is now.
    """
    refused = step is Step.EXTERNAL_JOB_SUBMISSION and code.startswith("fireant_4")
    return Step.REPORT_DATA if code in ANEW or refused else step


class Learned(TypedDict, total=False):
    """What a step found out, as columns of the run."""

    modifier_key: str
    job_kind: str
    payload_digest: str
    fireant_job_id: str
    fireant_status: str
    possibly_submitted_twice: bool
    results_path: str
    result_size: int
    result_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The step is done; the run goes on to the next."""

    learned: Learned = field(default_factory=Learned)
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Fireant has not finished. Uses up a poll, never a retry."""

    learned: Learned = field(default_factory=Learned)
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retryable:
    """The step failed in a way that may pass."""

    code: str
    error: str
    retry_after: timedelta | None = None
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The step failed for good, until a person changes something."""

    code: str
    error: str
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """The step could not be tried for a reason that is not the run's own. Uses up neither a retry nor a poll."""

    code: str
    error: str
    until: datetime
    traceback: str = ""


Outcome: TypeAlias = Completed | Waiting | Retryable | Postponed | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a run stands when its step's outcome arrives.

    `failures` counts the failed attempts at this step, `polls` the questions asked of Fireant, both before this outcome.
    """

    step: Step
    failures: int = 0
    polls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The limits that the settings put on a run."""

    max_retries: int
    max_polls: int
    poll_interval: timedelta
    retry_base: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """The state after an outcome. `wake_at` is None exactly where the run has ended or goes straight on."""

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
    """The one place where an outcome becomes a state.

    `jitter` in [0, 1) spreads waits. A completed step leaves the run `running` at the next step, or `succeeded` after the last.
    """
    match outcome:
        case Completed():
            return _advance(position)
        case Waiting():
            return _wait(position, now, policy, jitter)
        case Retryable():
            return _retry(position, outcome, now, policy, jitter)
        case Postponed():
            return _postpone(position, outcome)
        case Failed():
            return _stop(position, Status.FAILED, outcome.code, outcome.error)
        case _:
            assert_never(outcome)


def _advance(position: Position) -> Transition:
    following = position.step.following
    return Transition(
        status=Status.SUCCEEDED if following is None else Status.RUNNING,
        step=following or position.step,
        failures=0,
        polls=position.polls,
        wake_at=None,
    )


def _wait(position: Position, now: datetime, policy: Policy, jitter: float) -> Transition:
    polls = position.polls + 1
    if polls >= policy.max_polls:
        return Transition(
            status=Status.TIMED_OUT,
            step=position.step,
            failures=position.failures,
            polls=polls,
            wake_at=None,
            code="poll_attempts_used_up",
            error=(
                f"Fireant had not finished after {polls} polls, {policy.poll_interval.total_seconds():g} s apart. "
                "Look at the job in Fireant; raise MAX_POLL_ATTEMPTS or POLL_INTERVAL_SECONDS if jobs of this size take longer; "
                "then retry the run, which goes on asking about the same job."
            ),
        )
    return Transition(
        status=Status.DEFERRED,
        step=position.step,
        failures=0,
        polls=polls,
        wake_at=now + spread_poll_interval(policy.poll_interval, jitter),
    )


def spread_poll_interval(interval: timedelta, jitter: float) -> timedelta:
    """A poll interval moved by up to a tenth either way, so that runs submitted together drift apart."""
    return interval * (0.9 + 0.2 * jitter)


def _retry(
    position: Position, outcome: Retryable, now: datetime, policy: Policy, jitter: float
) -> Transition:
    failures = position.failures + 1
    if failures > policy.max_retries:
        tries = "once" if failures == 1 else f"{failures} times"
        return _stop(position, Status.FAILED, outcome.code, f"{outcome.error} (tried {tries})", failures)
    wait = backoff(failures, base=policy.retry_base, retry_after=outcome.retry_after, jitter=jitter)
    return Transition(
        status=Status.UP_FOR_RETRY,
        step=position.step,
        failures=failures,
        polls=position.polls,
        wake_at=now + wait,
        code=outcome.code,
        error=outcome.error,
    )


def _postpone(position: Position, outcome: Postponed) -> Transition:
    asking = position.step is Step.JOB_COMPLETION_STATUS
    return Transition(
        status=Status.DEFERRED if asking else Status.UP_FOR_RETRY,
        step=position.step,
        failures=position.failures,
        polls=position.polls,
        wake_at=outcome.until,
        code=outcome.code,
        error=outcome.error,
    )


def _stop(
    position: Position, status: Status, code: str, error: str, failures: int | None = None
) -> Transition:
    return Transition(
        status=status,
        step=position.step,
        failures=position.failures if failures is None else failures,
        polls=position.polls,
        wake_at=None,
        code=code,
        error=error,
    )
