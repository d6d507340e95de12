"""The forecast: times due in the next hours, the fullest instants, and reports that are late already."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import reduce
from itertools import islice
from operator import or_

from django.db.models import Case, Count, F, Min, Q, QuerySet, When

from report_orchestrator.conf import Settings
from report_orchestrator.domain.cron import times_between
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportSchedule
from report_orchestrator.models.schedules import live_condition
from report_orchestrator.services.monitoring.hourly_outcomes import HOUR, start_of_hour
from report_orchestrator.services.monitoring.overdue import late_before
from report_orchestrator.services.timetable.cron_zone import named_zone

HOURS_AHEAD = 12
MAX_CRONS = 500
MAX_TIMES = 20_000
"""Limits on the crons and times that are expanded; of the others only the next time counts."""
PEAKS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Counts by start of hour, the fullest instants, and the reports that are late: due, and without a run.

    `overdue_hours` counts the late ones by the hour in which they were due; `late_name` names one that has waited longest.
    """

    hours: tuple[tuple[datetime, int], ...]
    peaks: tuple[tuple[datetime, int], ...]
    late: int
    late_since: datetime | None
    late_name: str
    overdue_hours: Mapping[datetime, int]

    @property
    def total(self) -> int:
        return sum(count for _start, count in self.hours)


@dataclass(slots=True)
class _CronGroup:
    """Reports with one cron in one zone; `late` counts the late ones by their due time, and names one of each."""

    cron: str
    timezone: str
    first_at: datetime
    count: int = 0
    late: dict[datetime, tuple[int, str]] = field(default_factory=dict)


def read_forecast(now: datetime, zone: tzinfo, settings: Settings, *, report_model: str) -> Forecast:
    """Read the next `HOURS_AHEAD` hours, without reports in shadow.

    One query over the reports due in them, on `ro_schedule_due_idx`.
    """
    this_hour = start_of_hour(now, zone)
    until = this_hour + HOURS_AHEAD * HOUR
    groups = _read_groups(now, until, settings, report_model)
    instants = _count_by_instant(groups, now, until)
    by_hour: Counter[datetime] = Counter()
    for instant, count in instants.items():
        by_hour[max(start_of_hour(instant, zone), this_hour)] += count
    overdue: Counter[datetime] = Counter()
    for group in groups:
        for instant, (count, _name) in group.late.items():
            overdue[start_of_hour(instant, zone)] += count
    late = ((instant, name) for group in groups for instant, (_count, name) in group.late.items())
    late_since, late_name = min(late, default=(None, ""))
    return Forecast(
        hours=tuple((start, by_hour[start]) for start in (this_hour + n * HOUR for n in range(HOURS_AHEAD))),
        peaks=tuple(instants.most_common(PEAKS_SHOWN)),
        late=overdue.total(),
        late_since=late_since,
        late_name=late_name,
        overdue_hours=overdue,
    )


def _read_groups(now: datetime, until: datetime, settings: Settings, report_model: str) -> list[_CronGroup]:
    late_at = Case(When(next_run_at__lt=late_before(now, settings), then=F("next_run_at")), default=None)
    rows = (
        ReportSchedule.objects.filter(report_model=report_model, next_run_at__lt=until)
        .live(now, unless_switched=not settings.shadow)
        .order_by()
        .values_list("cron", "timezone", late_at)
        .annotate(n=Count("*"), first_at=Min("next_run_at"), first_name=Min("name"))
    )
    groups: dict[tuple[str, str], _CronGroup] = {}
    for cron, timezone, due_at, count, first_at, name in rows:
        group = groups.setdefault((cron, timezone), _CronGroup(cron, timezone, first_at))
        group.count += count
        group.first_at = min(group.first_at, first_at)
        if due_at is not None:
            group.late[due_at] = (count, name)
    return sorted(groups.values(), key=lambda group: (-group.count, group.cron, group.timezone))


def due_between(
    reports: QuerySet[ReportSchedule], start: datetime, end: datetime, *, now: datetime, settings: Settings
) -> QuerySet[ReportSchedule]:
    """Return the reports that will be due from `start` until before `end`, as far as `MAX_CRONS` crons tell.

    Late reports are due now. One query for the crons of the reports that are due before `start` too.
    """
    live = reports.filter(live_condition(now, unless_switched=not settings.shadow), next_run_at__lt=end)
    earlier = live.filter(next_run_at__lt=start).order_by().values_list("cron", "timezone").annotate(n=Count("*"))
    crons: dict[str, list[str]] = {}
    for cron, timezone, _count in earlier.order_by("-n", "cron", "timezone")[:MAX_CRONS]:
        if next(cron_times(cron, timezone, after=max(now, start) - datetime.resolution, until=end), None):
            crons.setdefault(timezone, []).append(cron)
    again = [Q(timezone=timezone, cron__in=named) for timezone, named in crons.items()]
    if start <= now < end:
        again.append(Q(next_run_at__lte=now))
    return live.filter(reduce(or_, again, Q(next_run_at__gte=start)))


def _count_by_instant(groups: list[_CronGroup], now: datetime, until: datetime) -> Counter[datetime]:
    """Count the due reports of each instant, expanding the most frequent crons first."""
    counts: Counter[datetime] = Counter()
    left = MAX_TIMES
    for position, group in enumerate(groups):
        counts[max(group.first_at, now)] += group.count
        if position < MAX_CRONS and left > 0:
            for instant in islice(_times_after_first(group, now, until), left):
                counts[instant] += group.count
                left -= 1
    return counts


def _times_after_first(group: _CronGroup, now: datetime, until: datetime) -> Iterator[datetime]:
    return cron_times(group.cron, group.timezone, after=max(group.first_at, now), until=until)


def cron_times(cron: str, timezone: str, *, after: datetime, until: datetime) -> Iterator[datetime]:
    """Return the times after `after` and before `until`; none of an invalid cron, which is quarantined once it is due."""
    try:
        return times_between(
            parse_cron(cron), named_zone(timezone, cron), after=after, until=until - datetime.resolution
        )
    except InvalidReportError:
        return iter(())
