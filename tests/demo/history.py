"""Sample history for the demo: months of runs with successes, failures, retries, skips, flaky and slow reports, and
changes.

Only rows are written; no step runs, so no results are stored. The same seed gives the same history.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from report_orchestrator.domain.cron import times_between
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import (
    Intervention,
    InterventionKind,
    ReportChange,
    ReportRun,
    ReportSchedule,
    RunStep,
    ScheduleState,
)
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.services.scheduling.create_runs import SKIP_REASONS, new_run
from report_orchestrator.services.timetable.cron_zone import zone_of

WEEKS = 38
RUNS_AT_MOST = 1500  # of one report
STEPS_WITHIN = timedelta(days=3)
STEPS = list(Step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Temper:
    """The usual outcomes of a report's runs, as shares of all runs; the rest succeeds."""

    fails: float
    skips: float
    retries: float
    minutes: float
    slows: float = 0
    """Minutes that a run takes longer at the end of the history than at its beginning."""


TEMPERS = (
    Temper(fails=0.004, skips=0.01, retries=0.05, minutes=4),
    Temper(fails=0.0, skips=0.0, retries=0.03, minutes=11),
    Temper(fails=0.01, skips=0.02, retries=0.1, minutes=2.5),
    Temper(fails=0.002, skips=0.01, retries=0.04, minutes=7, slows=9),
    Temper(fails=0.22, skips=0.05, retries=0.4, minutes=6),
)
"""Four steady ones, one of which grows slower, and a flaky one."""


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
        code="configuration",
        step=Step.RESULTS_STORAGE,
        error=(
            "OneLake denied access: 403 AuthorizationFailed, request 4d1f. Give the application of AZURE_CLIENT_ID the "
            "Contributor role in the workspace of FABRIC_WORKSPACE_ID, and let Fabric's tenant settings admit service "
            "principals; then retry the run."
        ),
        may_pass=False,
    ),
)
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
OUTAGE_BEGAN, OUTAGE_TOOK = timedelta(days=9, hours=5), timedelta(hours=6)
ABSENCE_BEGAN, ABSENCE_TOOK = timedelta(days=20), timedelta(hours=30)
TROUBLE_BEGAN = timedelta(hours=7)


def fill_history(*, weeks: int = WEEKS, seed: int = 7, now: datetime | None = None) -> int:
    """Write the history of every active report until now; return the number of runs."""
    now = now or datetime.now(UTC)
    luck = random.Random(seed)
    schedules = list(ReportSchedule.objects.filter(state=ScheduleState.ACTIVE).order_by("pk"))
    runs: list[ReportRun] = []
    for position, schedule in enumerate(schedules):
        temper = TEMPERS[position % len(TEMPERS)]
        times = _times(schedule, now - timedelta(weeks=weeks), now)
        gap = min((after - before for before, after in pairwise(times)), default=timedelta(days=1))
        temper = replace(temper, minutes=min(temper.minutes, 0.6 * gap / timedelta(minutes=1)))
        made = (_past_run(schedule, nominal, temper, luck, now, weeks) for nominal in times)
        runs += [run for run in made if run.ended_at is not None and run.ended_at <= now]
    runs.sort(key=lambda run: run.created_at)
    ReportRun.objects.bulk_create(runs, batch_size=500, ignore_conflicts=True)
    kept = list(ReportRun.objects.filter(reference__in=[run.reference for run in runs[-2000:]]))
    RunStep.objects.bulk_create(_steps(kept, luck, now), batch_size=500)
    _intervene(kept)
    _change(schedules, luck, now)
    return len(runs)


def _times(schedule: ReportSchedule, since: datetime, now: datetime) -> list[datetime]:
    """Return the latest times of a report, searching further back until there are enough."""
    cron, zone = parse_cron(schedule.cron), zone_of(schedule)
    span = timedelta(days=1)
    times: list[datetime] = []
    while len(times) < RUNS_AT_MOST and span < 2 * (now - since):
        span *= 2
        times = list(times_between(cron, zone, after=max(since, now - span), until=now))
    return times[-RUNS_AT_MOST:]


def _past_run(
    schedule: ReportSchedule, nominal: datetime, temper: Temper, luck: random.Random, now: datetime, weeks: int
) -> ReportRun:
    run = new_run(schedule, nominal, now=nominal + timedelta(seconds=luck.uniform(2, 50)))
    if now - ABSENCE_BEGAN <= nominal <= now - ABSENCE_BEGAN + ABSENCE_TOOK:
        return _skip(run, "missed")
    if now - OUTAGE_BEGAN <= nominal <= now - OUTAGE_BEGAN + OUTAGE_TOOK:
        return _fail(run, 0, luck, minutes=1)
    grown = min(temper.slows, temper.minutes) * (1 - (now - nominal) / timedelta(weeks=weeks))
    minutes = (temper.minutes + grown) * luck.lognormvariate(0, 0.25)
    if luck.random() < temper.skips:
        return _skip(run, "overlap")
    fails = max(temper.fails, 0.02) if nominal > now - TROUBLE_BEGAN else temper.fails
    if luck.random() < fails:
        kind = 0 if nominal > now - TROUBLE_BEGAN else luck.randrange(len(ERRORS))
        return _fail(run, kind, luck, minutes=minutes)
    return _succeed(run, temper, luck, minutes=minutes)


def _skip(run: ReportRun, because: str) -> ReportRun:
    run.status, run.wake_at, run.ended_at = Status.SKIPPED.value, None, run.created_at
    run.error_code, run.error = because, SKIP_REASONS[because]
    return run


def _succeed(run: ReportRun, temper: Temper, luck: random.Random, *, minutes: float) -> ReportRun:
    _end(run, Status.SUCCEEDED, Step.RESULTS_STORAGE, minutes)
    run.attempt = 2 if luck.random() < temper.retries else 1
    run.polls = max(int(minutes), 1)
    run.fireant_job_id, run.fireant_status = str(luck.randrange(100_000, 999_999)), "Completed"
    run.results_path = f"report_results/{run.result_path}"
    run.result_size = luck.randrange(20_000, 90_000_000)
    return run


def _fail(run: ReportRun, kind: int, luck: random.Random, *, minutes: float) -> ReportRun:
    mishap = ERRORS[kind]
    _end(run, Status.FAILED, mishap.step, minutes * luck.uniform(0.2, 0.9))
    if mishap.step is not Step.EXTERNAL_JOB_SUBMISSION:
        run.fireant_job_id = str(luck.randrange(100_000, 999_999))
    run.attempt = TRIES if mishap.may_pass else 1
    run.failures = run.attempt if mishap.may_pass else 0
    told = mishap.error.format(job=run.fireant_job_id, report=run.report)
    run.error_code, run.error = mishap.code, f"{told} (tried {TRIES} times)" if mishap.may_pass else told
    return run


def _end(run: ReportRun, status: Status, step: Step, minutes: float) -> None:
    run.status, run.step, run.wake_at = status.value, step.value, None
    run.started_at = run.created_at + timedelta(seconds=1)
    run.ended_at = run.started_at + timedelta(minutes=minutes)


def _steps(runs: Sequence[ReportRun], luck: random.Random, now: datetime) -> Iterator[RunStep]:
    """The timelines of the last days' runs."""
    for run in runs:
        if run.started_at is None or run.ended_at is None or run.created_at < now - STEPS_WITHIN:
            continue
        reached = STEPS[: STEPS.index(Step(run.step)) + 1]
        at = run.started_at
        share = (run.ended_at - run.started_at) / sum(LENGTHS.get(step, 1) for step in reached)
        for step in reached:
            span = share * LENGTHS.get(step, 1)
            yield from _attempts(run, step, at, span, is_last=step is reached[-1])
            at += span


def _attempts(run: ReportRun, step: Step, at: datetime, span: timedelta, *, is_last: bool) -> Iterator[RunStep]:
    """Return all attempts of a step. The last one ends with the span; earlier ones waited for a retry."""
    count = run.attempt if is_last else 1
    ended_well = run.status == Status.SUCCEEDED or not is_last
    worked = span * WORKED / count
    for attempt in range(1, count):
        began = at + (span - worked) * (attempt - 1) / (count - 1)
        code, error = (HICCUP.code, HICCUP.error) if ended_well else (run.error_code, _once(run.error))
        yield _attempt(run, step, attempt, StepResult.RETRIED, began, began + worked, code, error)
    began = at if count == 1 else at + span - worked
    if ended_well:
        yield _attempt(run, step, count, StepResult.COMPLETED, began, at + span)
    else:
        yield _attempt(run, step, count, StepResult.FAILED, began, at + span, run.error_code, run.error)


def _attempt(
    run: ReportRun,
    step: Step,
    attempt: int,
    result: StepResult,
    began: datetime,
    ended: datetime,
    code: str = "",
    error: str = "",
) -> RunStep:
    return RunStep(
        run=run,
        step=step.value,
        attempt=attempt,
        result=result.value,
        started_at=began,
        ended_at=ended,
        error_code=code,
        error=error,
    )


def _once(error: str) -> str:
    """Return the error of an attempt that is followed by another one."""
    return error.removesuffix(f" (tried {TRIES} times)")


def _intervene(runs: Sequence[ReportRun]) -> None:
    """Record retries by users that succeeded."""
    lucky = [run for run in runs if run.status == Status.SUCCEEDED and run.attempt > 1 and run.ended_at]
    Intervention.objects.bulk_create(
        Intervention(
            run=run,
            kind=InterventionKind.RETRIED,
            actor="maria",
            reason="Fireant is back",
            made_at=run.ended_at or run.created_at,
        )
        for run in lucky[:10]
    )


def _change(schedules: Sequence[ReportSchedule], luck: random.Random, now: datetime) -> None:
    """Record the discovery before the first run, and edits of every third report, the newest yesterday."""
    discovered = now - timedelta(weeks=WEEKS, days=1)
    ReportChange.objects.filter(kind=ChangeKind.NEW, schedule__in=schedules).update(noticed_at=discovered)
    changes = []
    for schedule in schedules[::3]:
        days = sorted((luck.uniform(1, 50) for _ in range(3)), reverse=True)
        edits = (
            (ChangeKind.RENAMED, {"name": f"{schedule.name} (draft)"}, {"name": schedule.name}),
            (ChangeKind.REPRIORITISED, {"priority": schedule.priority - 1}, {"priority": schedule.priority}),
            (ChangeKind.RETIMED, {"cron": "0 5 * * 1-5"}, {"cron": schedule.cron}),
        )
        changes += [
            ReportChange(
                schedule=schedule,
                kind=kind,
                before=before,
                after=after,
                source=luck.choice([ChangeSource.SIGNAL, ChangeSource.DISCOVERY, ChangeSource.CHANGE_STAMP]),
                noticed_at=now - timedelta(days=ago),
            )
            for ago, (kind, before, after) in zip(days, edits, strict=True)
        ]
    ReportChange.objects.bulk_create(changes)
