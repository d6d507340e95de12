"""Sample history for the demo: months of runs with successes, failures, retries, skips, flaky and slow reports, and
changes.

No step runs; the rows, payloads and results are written as if they had. The same seed gives the same history.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from report_orchestrator.domain.cron import times_between
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.reports import Json
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import (
    Intervention,
    ReportChange,
    ReportRun,
    ReportSchedule,
    RunPayload,
    RunStep,
    ScheduleState,
)
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.ports import Ports
from report_orchestrator.services.scheduling.create_runs import new_run
from report_orchestrator.services.timetable.cron_zone import zone_of
from tests.demo.evidence import Evidence
from tests.demo.past_runs import ERRORS, PastRun, attempts, fail, retry_of, skip, succeed, succeed_after_retry

WEEKS = 38
RUNS_AT_MOST = 500  # of one report
FORMER_CRON = "0 5 * * 1-5"


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
RETRIED_BY_PEOPLE = 0.1
"""Of the failed runs."""
OFTEN = timedelta(hours=2)
"""A report with shorter gaps skips some times, because the run before has not ended."""
OUTAGE_BEGAN, OUTAGE_TOOK = timedelta(days=9, hours=5), timedelta(hours=6)
ABSENCE_BEGAN, ABSENCE_TOOK = timedelta(days=20), timedelta(hours=30)
TROUBLE_BEGAN = timedelta(hours=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of a report by its owner. The runs before it are those of the report as it was."""

    at: datetime
    kind: ChangeKind
    before: Mapping[str, Json]
    after: Mapping[str, Json]


def fill_history(*, weeks: int = WEEKS, seed: int = 7, now: datetime | None = None, ports: Ports | None = None) -> int:
    """Write the history of every active report until now; return the number of runs.

    With `ports`, payloads are built from the project's reports, and results are written to the local store.
    """
    now = now or datetime.now(UTC)
    luck = random.Random(seed)
    schedules = list(ReportSchedule.objects.filter(state=ScheduleState.ACTIVE).order_by("pk"))
    edits = _edit(schedules, luck, now, weeks)
    runs: list[ReportRun] = []
    for position, schedule in enumerate(schedules):
        made = _runs_of(schedule, TEMPERS[position % len(TEMPERS)], edits.get(schedule.pk, ()), luck, now, weeks)
        runs += [run for run in made if run.ended_at is not None and run.ended_at <= now]
    runs.sort(key=lambda run: run.created_at)
    _save(runs, None if ports is None else Evidence(ports=ports, now=now))
    return len(runs)


def _save(runs: Sequence[ReportRun], evidence: Evidence | None) -> None:
    """Save the runs whose occurrence has none yet, with their attempts, payloads and retries."""
    past = [PastRun(run) for run in runs] if evidence is None else evidence.add(runs)
    ReportRun.objects.bulk_create(runs, batch_size=500, ignore_conflicts=True)
    keys = dict(ReportRun.objects.values_list("reference", "pk"))
    for run in runs:
        run.pk = keys.get(run.reference)
    saved = [each for each in past if each.run.reference in keys]
    RunStep.objects.bulk_create((step for each in saved for step in attempts(each)), batch_size=500)
    Intervention.objects.bulk_create(retry for each in saved if (retry := retry_of(each.run)))
    payloads = [] if evidence is None else [each for each in evidence.payloads if each.run.reference in keys]
    for payload in payloads:
        payload.run_id = payload.run.pk
    RunPayload.objects.bulk_create(payloads, batch_size=500)


def _runs_of(
    schedule: ReportSchedule, temper: Temper, edits: Sequence[Edit], luck: random.Random, now: datetime, weeks: int
) -> list[ReportRun]:
    times = _times(schedule, edits, now - timedelta(weeks=weeks), now)
    gap = min((after - before for before, after in pairwise(times)), default=timedelta(days=1))
    longest = max(gap / timedelta(minutes=1), 1)
    temper = replace(temper, minutes=min(temper.minutes, 0.6 * longest), skips=temper.skips * (gap < OFTEN))
    runs: list[ReportRun] = []
    for nominal in times:
        run = _as_it_was(new_run(schedule, nominal, now=nominal + timedelta(seconds=luck.uniform(2, 50))), edits)
        went = _went(run, temper, luck, now, weeks, longest)
        if went.error_code == ErrorCode.OVERLAP and not _prolong(runs, until=run.created_at):
            continue
        runs.append(went)
    return runs


def _prolong(runs: Sequence[ReportRun], *, until: datetime) -> bool:
    """Have the last run end after this time was skipped for it; return False if it did not succeed."""
    if not runs or runs[-1].status != Status.SUCCEEDED or until - runs[-1].created_at > OFTEN:
        return False
    runs[-1].ended_at = until + timedelta(seconds=40)
    return True


def _times(schedule: ReportSchedule, edits: Sequence[Edit], since: datetime, now: datetime) -> list[datetime]:
    """Return the latest times of a report, by its former cron until that was edited."""
    retimed_at = next((edit.at for edit in edits if edit.kind is ChangeKind.RETIMED), since)
    former = times_between(parse_cron(FORMER_CRON), zone_of(schedule), after=since, until=retimed_at)
    return [*former, *_latest(schedule, retimed_at, now)][-RUNS_AT_MOST:]


def _latest(schedule: ReportSchedule, since: datetime, now: datetime) -> list[datetime]:
    """Return the latest times of the present cron, searching further back until there are enough."""
    cron, zone = parse_cron(schedule.cron), zone_of(schedule)
    span = timedelta(days=1)
    times: list[datetime] = []
    while len(times) < RUNS_AT_MOST and span < 2 * (now - since):
        span *= 2
        times = list(times_between(cron, zone, after=max(since, now - span), until=now))
    return times


def _as_it_was(run: ReportRun, edits: Sequence[Edit]) -> ReportRun:
    """Give the run the name and priority that its report had then."""
    for edit in reversed([edit for edit in edits if edit.at > run.created_at]):
        run.report_name = str(edit.before.get("name", run.report_name))
        run.priority = int(str(edit.before.get("priority", run.priority)))
    return run


def _went(run: ReportRun, temper: Temper, luck: random.Random, now: datetime, weeks: int, longest: float) -> ReportRun:
    """Decide how the run went. It takes less than `longest` minutes, until the next one."""
    nominal, absence_ended = run.scheduled_for, now - ABSENCE_BEGAN + ABSENCE_TOOK
    if now - ABSENCE_BEGAN <= nominal <= absence_ended:
        run.created_at = absence_ended + timedelta(seconds=5)
        return skip(run, ErrorCode.MISSED)
    if now - OUTAGE_BEGAN <= nominal <= now - OUTAGE_BEGAN + OUTAGE_TOOK:
        return fail(run, 0, luck, minutes=1)
    grown = min(temper.slows, temper.minutes) * (1 - (now - nominal) / timedelta(weeks=weeks))
    minutes = min((temper.minutes + grown) * luck.lognormvariate(0, 0.25), 0.9 * longest)
    if luck.random() < temper.skips:
        return skip(run, ErrorCode.OVERLAP)
    in_trouble = nominal > now - TROUBLE_BEGAN
    if luck.random() < (max(temper.fails, 0.02) if in_trouble else temper.fails):
        if luck.random() < RETRIED_BY_PEOPLE:
            return succeed_after_retry(run, luck, minutes=minutes)
        return fail(run, 0 if in_trouble else luck.randrange(len(ERRORS)), luck, minutes=minutes)
    return succeed(run, luck, minutes=minutes, tries=2 if luck.random() < temper.retries else 1)


def _edit(
    schedules: Sequence[ReportSchedule], luck: random.Random, now: datetime, weeks: int
) -> Mapping[int, Sequence[Edit]]:
    """Record the discovery before the first run, and edits of every third report; return the edits, oldest first."""
    discovered = now - timedelta(weeks=weeks, days=1)
    for schedule in schedules:
        ReportSchedule.objects.filter(pk=schedule.pk).update(discovered_at=discovered, changed_at=discovered)
    edits: dict[int, Sequence[Edit]] = {}
    changes = []
    for schedule in schedules[::3]:
        days = sorted((luck.uniform(1, min(50, 7 * weeks)) for _ in range(3)), reverse=True)
        edits[schedule.pk] = _edits_of(schedule, [now - timedelta(days=ago) for ago in days])
        ReportSchedule.objects.filter(pk=schedule.pk).update(changed_at=edits[schedule.pk][-1].at)
        changes += [_change(schedule, edit, luck) for edit in edits[schedule.pk]]
    ReportChange.objects.bulk_create(changes)
    for change in ReportChange.objects.filter(kind=ChangeKind.NEW, schedule__in=schedules):
        was = {
            name: value
            for edit in reversed(edits.get(change.schedule_id or 0, ()))
            for name, value in edit.before.items()
        }
        change.after = {**change.after, **{name: was[name] for name in change.after if name in was}}
        change.noticed_at = discovered
        change.save()
    return edits


def _edits_of(schedule: ReportSchedule, times: Sequence[datetime]) -> list[Edit]:
    values: tuple[tuple[ChangeKind, dict[str, Json], dict[str, Json]], ...] = (
        (ChangeKind.RENAMED, {"name": f"{schedule.name} (draft)"}, {"name": schedule.name}),
        (ChangeKind.REPRIORITISED, {"priority": schedule.priority - 1}, {"priority": schedule.priority}),
        (ChangeKind.RETIMED, {"cron": FORMER_CRON}, {"cron": schedule.cron}),
    )
    return [
        Edit(at=at, kind=kind, before=before, after=after)
        for at, (kind, before, after) in zip(times, values, strict=True)
    ]


def _change(schedule: ReportSchedule, edit: Edit, luck: random.Random) -> ReportChange:
    return ReportChange(
        schedule=schedule,
        kind=edit.kind,
        before=edit.before,
        after=edit.after,
        source=luck.choice([ChangeSource.SIGNAL, ChangeSource.DISCOVERY, ChangeSource.CHANGE_STAMP]),
        noticed_at=edit.at,
    )
