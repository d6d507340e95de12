"""Past runs for the demo: how each went, and its attempts. Rows only; nothing is saved here."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from report_orchestrator.domain.reports import Json
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import Intervention, InterventionKind, ReportRun, RunStep
from report_orchestrator.services.scheduling.create_runs import SKIP_REASONS

STEPS = list(Step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """A failure at a step. A transient one is retried; the others fail at once."""

    code: str
    step: Step
    error: str
    may_pass: bool


ERRORS = (
    Mishap(
        code="fireant_503",
        step=Step.EXTERNAL_JOB_SUBMISSION,
        error="Fireant responded to the submission with 503. The response body was empty.",
        may_pass=True,
    ),
    Mishap(
        code="fireant_job_failed",
        step=Step.JOB_COMPLETION_STATUS,
        error=(
            "Fireant job {job} of {report} failed: node 7 ran out of memory. "
            "Correct the report if it is the cause, then retry the run, which submits a new job."
        ),
        may_pass=False,
    ),
    Mishap(
        code="no_result",
        step=Step.RESULTS_STORAGE,
        error="Fireant finished job {job} of {report}, but has no result for it. Retry the run: it submits a new job.",
        may_pass=False,
    ),
)
"""After each of them a retry goes on: at the submission with the payload that is kept, otherwise with a new job."""
HICCUP = Mishap(
    code="onelake_503",
    step=Step.RESULTS_STORAGE,
    error="OneLake cannot accept the result at the moment: 503 ServerBusy, request 77c2.",
    may_pass=True,
)
"""The failure of a succeeded run's first attempt."""
TRIES = 4
"""The first, and as many retries as MAX_RETRIES has by default."""
LENGTHS = {Step.JOB_COMPLETION_STATUS: 30, Step.RESULTS_STORAGE: 4}
"""Relative lengths of the steps; one is the usual."""
WORKED = 0.2
"""Of the time that a step took which was tried again; the rest was waited between the attempts."""
FIRST_TRY = timedelta(minutes=3)
"""What a run took that failed and was retried by a person, until it failed."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run, and the details that its attempts recorded, by step."""

    run: ReportRun
    details: dict[Step, Mapping[str, Json]] = field(default_factory=dict)


def skip(run: ReportRun, because: str) -> ReportRun:
    run.status, run.wake_at, run.ended_at = Status.SKIPPED.value, None, run.created_at
    run.error_code, run.error = because, SKIP_REASONS[because]
    return run


def succeed(run: ReportRun, luck: random.Random, *, minutes: float, tries: int) -> ReportRun:
    _end(run, Status.SUCCEEDED, Step.RESULTS_STORAGE, minutes)
    run.attempt, run.polls = tries, max(int(minutes), 1)
    run.fireant_job_id, run.fireant_status = _job(luck), "Finished"
    return run


def succeed_after_retry(run: ReportRun, luck: random.Random, *, minutes: float) -> ReportRun:
    """The submission failed for good; half an hour later a person retried the run, which then succeeded."""
    succeed(run, luck, minutes=minutes, tries=1)
    run.idle = FIRST_TRY + timedelta(minutes=luck.uniform(20, 60))
    run.ended_at = run.ended_at and run.ended_at + run.idle
    return run


def fail(run: ReportRun, kind: int, luck: random.Random, *, minutes: float) -> ReportRun:
    mishap = ERRORS[kind]
    _end(run, Status.FAILED, mishap.step, minutes * luck.uniform(0.2, 0.9))
    if mishap.step is not Step.EXTERNAL_JOB_SUBMISSION:
        run.fireant_job_id, run.polls = _job(luck), max(int(minutes), 1)
        run.fireant_status = "Failed" if mishap.step is Step.JOB_COMPLETION_STATUS else "Finished"
    run.attempt = TRIES if mishap.may_pass else 1
    run.failures = run.attempt if mishap.may_pass else 0
    told = mishap.error.format(job=run.fireant_job_id, report=run.report)
    run.error_code, run.error = mishap.code, f"{told} (tried {TRIES} times)" if mishap.may_pass else told
    return run


def _job(luck: random.Random) -> str:
    return str(luck.randrange(100_000, 999_999))


def _end(run: ReportRun, status: Status, step: Step, minutes: float) -> None:
    run.status, run.step, run.wake_at = status.value, step.value, None
    run.started_at = run.created_at + timedelta(seconds=1)
    run.ended_at = run.started_at + timedelta(minutes=minutes)


def retry_of(run: ReportRun) -> Intervention | None:
    """Return the retry by which a run went on; None if nobody retried it."""
    if run.retried_at is None:
        return None
    return Intervention(
        run=run, kind=InterventionKind.RETRIED, actor="maria", reason="Fireant is back", made_at=run.retried_at
    )


def attempts(past: PastRun) -> Iterator[RunStep]:
    """Yield all attempts of a run, in order; those of a run that was retried by a person begin with the failed ones."""
    run = past.run
    if run.started_at is None or run.ended_at is None:
        return
    reached, at, first = STEPS[: STEPS.index(Step(run.step)) + 1], run.started_at, 1
    if run.retried_at is not None:
        yield from _failed_first(past)
        reached, at, first = reached[1:], run.retried_at, TRIES + 1
    share = (run.ended_at - at) / sum(LENGTHS.get(step, 1) for step in reached)
    for step in reached:
        span = share * LENGTHS.get(step, 1)
        number = first if step is Step.EXTERNAL_JOB_SUBMISSION else 1
        yield from _attempts(past, step, at, span, first=number, is_last=step is reached[-1])
        at += span


def _failed_first(past: PastRun) -> Iterator[RunStep]:
    """Yield the steps until the submission failed, after which a person retried the run."""
    began, outage = past.run.started_at, ERRORS[0]
    assert began is not None
    yield _attempt(past, Step.REPORT_DATA, 1, StepResult.COMPLETED, began, began + FIRST_TRY / 10)
    times = [began + FIRST_TRY * (1 + 9 * number / TRIES) / 10 for number in range(TRIES)]
    for number, at in enumerate(times, start=1):
        is_last = number == TRIES
        ended = began + FIRST_TRY if is_last else at + FIRST_TRY / 50
        result = StepResult.FAILED if is_last else StepResult.RETRIED
        error = f"{outage.error} (tried {TRIES} times)" if is_last else outage.error
        yield _attempt(past, outage.step, number, result, at, ended, outage.code, error)


def _attempts(
    past: PastRun, step: Step, at: datetime, span: timedelta, *, first: int, is_last: bool
) -> Iterator[RunStep]:
    """Yield all attempts of a step. The last one ends with the span; earlier ones waited for a retry."""
    run = past.run
    count = run.attempt if is_last else 1
    ended_well = run.status == Status.SUCCEEDED or not is_last
    worked = span * WORKED / count
    for attempt in range(1, count):
        began = at + (span - worked) * (attempt - 1) / (count - 1)
        code, error = (HICCUP.code, HICCUP.error) if ended_well else (run.error_code, _once(run.error))
        yield _attempt(past, step, attempt, StepResult.RETRIED, began, began + worked, code, error)
    began, number = at if count == 1 else at + span - worked, first + count - 1
    if ended_well:
        yield _attempt(past, step, number, StepResult.COMPLETED, began, at + span)
    else:
        yield _attempt(past, step, number, StepResult.FAILED, began, at + span, run.error_code, run.error)


def _attempt(
    past: PastRun,
    step: Step,
    attempt: int,
    result: StepResult,
    began: datetime,
    ended: datetime,
    code: str = "",
    error: str = "",
) -> RunStep:
    return RunStep(
        run=past.run,
        step=step.value,
        attempt=attempt,
        result=result.value,
        started_at=began,
        ended_at=ended,
        error_code=code,
        error=error,
        metadata=past.details.get(step, {}) if result is StepResult.COMPLETED else {},
    )


def _once(error: str) -> str:
    """Return the error of an attempt that is followed by another one."""
    return error.removesuffix(f" (tried {TRIES} times)")
