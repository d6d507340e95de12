"""The values of one report's page: past runs, next times, rules and changes. Five queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import islice

from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.domain.cron import CronExpression, named_date, next_time, times_between
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportChange, ReportSchedule, ScheduleState
from report_orchestrator.services.monitoring.hourly_outcomes import StatusGroup
from report_orchestrator.services.monitoring.overdue import Heartbeat, scheduler_heartbeat
from report_orchestrator.services.monitoring.snapshot import Pause, pause_from, read_shared_states
from report_orchestrator.services.reports.rules import Rule, report_rules
from report_orchestrator.services.reports.run_history import (
    PastRun,
    counts_by_day,
    recent_runs,
    unfinished_scheduled_run,
)
from report_orchestrator.services.timetable.cron_zone import zone_of, zone_or_default
from report_orchestrator.services.timetable.effective_settings import effective_settings

CHANGES_SHOWN = 10
TIMES_SHOWN = 10
WEEKS_BACK = 39
WEEKS_AHEAD = 13
RUNS_COUNTED = 100_000
SEARCH_SPAN = timedelta(days=366 * 45)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDetails:
    """Instants are aware; `zone` is the report's own, or the project's if that is unknown."""

    now: datetime
    zone: tzinfo
    schedule: ReportSchedule
    settings: Settings
    pause: Pause | None
    scheduler: Heartbeat
    unfinished_run_id: int | None
    next_times: Sequence[datetime]
    past_runs: Sequence[PastRun]
    first_day: date
    last_day: date
    counts_by_day: Mapping[date, Mapping[StatusGroup, int]]
    due_days: frozenset[date]
    rules: Sequence[Rule]
    changes: Sequence[ReportChange]


def read_report_details(schedule: ReportSchedule, now: datetime) -> ReportDetails:
    states = read_shared_states()
    settings = effective_settings(get_settings(), states=states)
    zone = zone_or_default(schedule)
    today = now.astimezone(zone).date()
    first = today - timedelta(days=today.weekday(), weeks=WEEKS_BACK)
    last = first + timedelta(weeks=WEEKS_BACK + WEEKS_AHEAD, days=-1)
    upcoming = next_times(schedule, now)
    return ReportDetails(
        now=now,
        zone=zone,
        schedule=schedule,
        settings=settings,
        pause=pause_from(states),
        scheduler=scheduler_heartbeat(states, settings),
        unfinished_run_id=unfinished_scheduled_run(schedule.pk),
        next_times=upcoming,
        past_runs=recent_runs(schedule.pk),
        first_day=first,
        last_day=last,
        counts_by_day=counts_by_day(schedule.pk, _count_from(first, zone, upcoming, now)),
        due_days=due_days(schedule, now, last),
        rules=report_rules(schedule, settings),
        changes=list(schedule.changes.order_by("-noticed_at", "-pk")[:CHANGES_SHOWN]),
    )


def _count_from(first: date, zone: tzinfo, upcoming: Sequence[datetime], now: datetime) -> datetime:
    """Return the start of the year shown; later if the report runs so often that counting a year would take too long."""
    start = datetime.combine(first, time(), tzinfo=zone)
    if not upcoming:
        return start
    gap = (upcoming[-1] - upcoming[0]) / max(len(upcoming) - 1, 1)
    return start if gap * RUNS_COUNTED >= now - start else now - RUNS_COUNTED * gap


def next_times(schedule: ReportSchedule, now: datetime) -> list[datetime]:
    """Return the next times of its cron, in its own zone; none if it has no cron or cannot run by it."""
    if (timing := _timing(schedule)) is None:
        return []
    cron, zone = timing
    times = times_between(cron, zone, after=now, until=now + SEARCH_SPAN)
    return [at.astimezone(zone) for at in islice(times, TIMES_SHOWN)]


def due_days(schedule: ReportSchedule, now: datetime, last: date) -> frozenset[date]:
    """Return the days from today to `last` on which it is due, by its own zone."""
    if (timing := _timing(schedule)) is None:
        return frozenset()
    cron, zone = timing
    days: set[date] = set()
    at = next_time(cron, zone, after=now)
    while (day := named_date(cron, zone, at)) <= last:
        days.add(day)
        midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone)
        # If the clock goes back at midnight, that midnight may precede the time found: never search backwards.
        at = next_time(cron, zone, after=max(at, midnight - timedelta(microseconds=1)))
    return frozenset(days)


def _timing(schedule: ReportSchedule) -> tuple[CronExpression, tzinfo] | None:
    if not schedule.cron or schedule.state != ScheduleState.ACTIVE:
        return None
    try:
        return parse_cron(schedule.cron), zone_of(schedule)
    except InvalidReportError:
        return None
