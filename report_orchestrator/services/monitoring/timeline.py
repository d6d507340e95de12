"""The timeline: the runs of many reports in the last hours, and their due times in the next."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice

from django.db.models import Q, QuerySet

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import ENDED
from report_orchestrator.models import ReportRun, ReportSchedule, RunStep
from report_orchestrator.services.monitoring.forecast import cron_times
from report_orchestrator.services.monitoring.hourly_outcomes import HOUR, StatusGroup, status_group

HOURS = 36  # the last 24 and the next 12
MAX_REPORTS = 500
MAX_RUNS = 12_000
MAX_TIMES = 6_000
MAX_STEPPED = 500
"""Runs of which the steps are read, the newest first."""
WIDE_ENOUGH = 0.006
"""Share of the span from which on the steps of a run can be told apart."""
COLUMNS = ("pk", "schedule", "status", "step", "scheduled_for", "created_at", "started_at", "ended_at", "idle")


@dataclass(frozen=True, slots=True)
class TimelineRun:
    """A run as the timeline draws it. Its names are those of `ReportRun`."""

    pk: int
    schedule: int
    status: str
    step: str
    scheduled_for: datetime
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    idle: timedelta | None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def status_group(self) -> StatusGroup:
        return status_group(self.status)

    @property
    def retried_at(self) -> datetime | None:
        """When a person last retried it."""
        return None if self.started_at is None or self.idle is None else self.started_at + self.idle


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Reports with their runs, the oldest first, and due times, by the reports' keys.

    `attempts` are those of the runs that are long enough to show their steps, by the runs' keys. Before `runs_from` and from
    `due_until` on something is left out; None where everything is drawn.
    """

    now: datetime
    start: datetime
    end: datetime
    reports: Sequence[ReportSchedule]
    runs: Mapping[int, Sequence[TimelineRun]]
    attempts: Mapping[int, Sequence[RunStep]]
    due: Mapping[int, Sequence[datetime]]
    runs_from: datetime | None
    due_until: datetime | None


def read_timeline(
    reports: Sequence[ReportSchedule],
    runs: QuerySet[ReportRun],
    now: datetime,
    *,
    settings: Settings,
    hours: int = HOURS,
) -> Timeline:
    """Read two thirds of the `hours` back and one third ahead in three queries. `runs` are those that the reader may see."""
    start, end = now - hours * HOUR * 2 / 3, now + hours * HOUR / 3
    drawn = _read_runs(runs.filter(schedule__in=[report.pk for report in reports]), start, now)
    is_cut, drawn = len(drawn) > MAX_RUNS, drawn[:MAX_RUNS]
    by_report: dict[int, list[TimelineRun]] = defaultdict(list)
    for run in reversed(drawn):
        by_report[run.schedule].append(run)
    due, due_until = due_times(reports, now, end, settings)
    return Timeline(
        now=now,
        start=start,
        end=end,
        reports=reports,
        runs=by_report,
        attempts=_read_attempts(drawn, now, (end - start) * WIDE_ENOUGH),
        due=due,
        runs_from=drawn[-1].scheduled_for if is_cut else None,
        due_until=due_until,
    )


def _read_runs(runs: QuerySet[ReportRun], start: datetime, now: datetime) -> list[TimelineRun]:
    """Return the newest runs first, one more than `MAX_RUNS` if there are more.

    Those due in the span come from `ro_run_history_idx`; older ones, such as a backfill's, if they have not ended or ended in it.
    """
    older = Q(wake_at__isnull=False) | Q(ended_at__gte=start, ended_at__isnull=False)
    rows: list[TimelineRun] = []
    for chosen in (Q(scheduled_for__gte=start, scheduled_for__lte=now), Q(older, scheduled_for__lt=start)):
        newest = runs.filter(chosen).order_by("-scheduled_for", "-pk").values_list(*COLUMNS)
        rows += (TimelineRun(*values) for values in newest[: MAX_RUNS + 1 - len(rows)])
    return rows


def _read_attempts(runs: Sequence[TimelineRun], now: datetime, shortest: timedelta) -> Mapping[int, Sequence[RunStep]]:
    stepped = (run.pk for run in runs if (run.ended_at or now) - run.created_at >= shortest)
    attempts: dict[int, list[RunStep]] = defaultdict(list)
    rows = RunStep.objects.filter(run__in=list(islice(stepped, MAX_STEPPED))).order_by("run", "pk")
    for attempt in rows.only("run", "step", "attempt", "result", "started_at", "ended_at"):
        attempts[attempt.run_id].append(attempt)
    return attempts


def due_times(
    reports: Sequence[ReportSchedule], now: datetime, end: datetime, settings: Settings
) -> tuple[Mapping[int, Sequence[datetime]], datetime | None]:
    """Return the due times before `end` by report, late ones included, and until when they are complete if not to the end."""
    # Merged as they are computed: many frequent reports have hundreds of thousands of times.
    each = (
        _times_of(report, now, end) for report in reports if report.is_live_at(now, unless_switched=not settings.shadow)
    )
    found = list(islice(merge(*each), MAX_TIMES + 1))
    due: dict[int, list[datetime]] = defaultdict(list)
    for at, key in found[:MAX_TIMES]:
        due[key].append(at)
    return due, found[MAX_TIMES][0] if len(found) > MAX_TIMES else None


def _times_of(report: ReportSchedule, now: datetime, end: datetime) -> Iterator[tuple[datetime, int]]:
    first = report.next_run_at
    if first is None or first >= end:
        return
    yield first, report.pk
    for at in cron_times(report.cron, report.timezone, after=max(first, now), until=end):
        yield at, report.pk
