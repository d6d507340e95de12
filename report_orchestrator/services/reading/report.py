"""One report's page: what it will do and why, and what became of it. Five queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from itertools import islice

from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.domain.cron import next_time, parse_cron, times_between
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportChange, ReportSchedule, ScheduleState
from report_orchestrator.services.approaches import SETTINGS_MARK
from report_orchestrator.services.reading.dashboard import in_force_by
from report_orchestrator.services.reading.day import Fate
from report_orchestrator.services.reading.histories import PastRun, days_of, last_runs, live_run_of
from report_orchestrator.services.reading.policies import Rule, policies_of
from report_orchestrator.services.reading.vitals import Pause, Pulse, pause_of, read_marks, scheduler_pulse
from report_orchestrator.services.timing import named_zone, zone_of

RUNS_SHOWN = 60
CHANGES_SHOWN = 10
TIMES_SHOWN = 10
WEEKS_BACK = 39
WEEKS_AHEAD = 13
RUNS_COUNTED = 100_000
YEARS_OF_SEARCH = timedelta(days=366 * 45)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStory:
    """All that the page tells. Instants are aware; `zone` is the report's own, or the project's where there is no such."""

    now: datetime
    zone: tzinfo
    schedule: ReportSchedule
    settings: Settings
    pause: Pause | None
    scheduler: Pulse
    live: int | None
    next_times: Sequence[datetime]
    past: Sequence[PastRun]
    first_day: date
    last_day: date
    days: Mapping[date, Mapping[Fate, int]]
    days_due: frozenset[date]
    rules: Sequence[Rule]
    changes: Sequence[ReportChange]


def read_report(schedule: ReportSchedule, now: datetime) -> ReportStory:
    """Reads the story of one report as it is at `now`."""
    marks = read_marks()
    settings = in_force_by(marks.get(SETTINGS_MARK), get_settings())
    zone = _zone(schedule)
    today = now.astimezone(zone).date()
    first = today - timedelta(days=today.weekday(), weeks=WEEKS_BACK)
    last = first + timedelta(weeks=WEEKS_BACK + WEEKS_AHEAD, days=-1)
    upcoming = next_times(schedule, now)
    changes = schedule.changes.order_by("-noticed_at", "-pk")[:CHANGES_SHOWN]
    return ReportStory(
        now=now,
        zone=zone,
        schedule=schedule,
        settings=settings,
        pause=pause_of(marks),
        scheduler=scheduler_pulse(marks, settings),
        live=live_run_of(schedule.pk),
        next_times=upcoming,
        past=last_runs(schedule.pk, RUNS_SHOWN),
        first_day=first,
        last_day=last,
        days=days_of(schedule.pk, _days_from(first, zone, upcoming, now)),
        days_due=days_due(schedule, now, last),
        rules=policies_of(schedule, settings),
        changes=list(changes),
    )


def _days_from(first: date, zone: tzinfo, upcoming: Sequence[datetime], now: datetime) -> datetime:
    """Where the year begins; later for a report that runs so often that a whole year of it would take too long to count."""
    begins = datetime(first.year, first.month, first.day, tzinfo=zone)
    if not upcoming:
        return begins
    gap = (upcoming[-1] - upcoming[0]) / max(len(upcoming) - 1, 1)
    earliest = max((now - begins) / RUNS_COUNTED, timedelta(0))
    return begins if gap >= earliest else now - RUNS_COUNTED * gap


def next_times(schedule: ReportSchedule, now: datetime) -> list[datetime]:
    """The next times that its cron names, in its own zone; none where it has no cron or cannot run by it."""
    if not _has_times(schedule):
        return []
    try:
        cron, zone = parse_cron(schedule.cron), zone_of(schedule)
    except InvalidReportError:
        return []
    times = times_between(cron, zone, after=now, until=now + YEARS_OF_SEARCH)
    return [at.astimezone(zone) for at in islice(times, TIMES_SHOWN)]


def days_due(schedule: ReportSchedule, now: datetime, last: date) -> frozenset[date]:
    """The days from today to `last` on which it has a time, by its own zone."""
    if not _has_times(schedule):
        return frozenset()
    try:
        cron, zone = parse_cron(schedule.cron), zone_of(schedule)
    except InvalidReportError:
        return frozenset()
    found: set[date] = set()
    at = next_time(cron, zone, after=now)
    while (day := at.astimezone(zone).date()) <= last:
        found.add(day)
        tomorrow = day + timedelta(days=1)
        midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone)
        # Where the clock goes back at midnight, the day goes on: never search again from before what was found.
        at = next_time(cron, zone, after=max(at, midnight - timedelta(microseconds=1)))
    return frozenset(found)


def _has_times(schedule: ReportSchedule) -> bool:
    return bool(schedule.cron) and schedule.state == ScheduleState.ACTIVE


def _zone(schedule: ReportSchedule) -> tzinfo:
    try:
        return zone_of(schedule)
    except InvalidReportError:
        return named_zone("", str(schedule))
