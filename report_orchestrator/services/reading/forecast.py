"""What is due in the next hours, where it piles up, and what is late already."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import islice

from django.db.models import Case, Count, F, Min, When

from report_orchestrator.conf import Settings
from report_orchestrator.domain.cron import parse_cron, times_between
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportSchedule
from report_orchestrator.services.lateness import GRACE
from report_orchestrator.services.reading.day import HOUR, hour_of
from report_orchestrator.services.timing import named_zone

HOURS_AHEAD = 12
CRONS_AT_MOST = 500
TIMES_AT_MOST = 20_000
"""So many crons, and so many times, are followed through the hours; of the rest only the next time is known."""
PEAKS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Counts by the beginning of the hour, the fullest instants, and the reports whose time came and that have no run."""

    hours: tuple[tuple[datetime, int], ...]
    peaks: tuple[tuple[datetime, int], ...]
    late: int
    late_since: datetime | None
    overdue_hours: Mapping[datetime, int]

    @property
    def total(self) -> int:
        """All times in these hours."""
        return sum(count for _start, count in self.hours)


@dataclass(frozen=True, slots=True)
class _Group:
    """Reports with the same cron in the same zone; the late ones by the time that came and has no run."""

    cron: str
    timezone: str
    count: int
    first_at: datetime
    late: Mapping[datetime, int]


def patience(settings: Settings) -> timedelta:
    """How long after its time a report without a run is late."""
    by_window = settings.scheduling_approach == "schedule"
    return GRACE + (settings.schedule_interval if by_window else settings.cron_sensor_interval)


def forecast(now: datetime, zone: tzinfo, settings: Settings, *, report_model: str) -> Forecast:
    """The next hours. One query over the reports that are due in them, by `ro_schedule_due_idx`."""
    this_hour = hour_of(now, zone)
    until = this_hour + HOURS_AHEAD * HOUR
    groups = _groups(now, until, settings, report_model)
    instants = _instants(groups, now, until)
    by_hour: Counter[datetime] = Counter()
    for instant, count in instants.items():
        by_hour[max(hour_of(instant, zone), this_hour)] += count
    late = [group for group in groups if group.late]
    overdue: Counter[datetime] = Counter()
    for group in late:
        for instant, count in group.late.items():
            overdue[hour_of(instant, zone)] += count
    return Forecast(
        hours=tuple((start, by_hour[start]) for start in (this_hour + n * HOUR for n in range(HOURS_AHEAD))),
        peaks=tuple(instants.most_common(PEAKS_SHOWN)),
        late=overdue.total(),
        late_since=min((group.first_at for group in late), default=None),
        overdue_hours=overdue,
    )


def _groups(now: datetime, until: datetime, settings: Settings, report_model: str) -> list[_Group]:
    late_at = Case(When(next_run_at__lt=now - patience(settings), then=F("next_run_at")), default=None)
    rows = (
        ReportSchedule.objects.filter(report_model=report_model, next_run_at__lt=until)
        .order_by()
        .values_list("cron", "timezone", late_at)
        .annotate(n=Count("*"), first_at=Min("next_run_at"))
    )
    parts: defaultdict[tuple[str, str], list[tuple[datetime | None, int, datetime]]] = defaultdict(list)
    for cron, timezone, late, count, first_at in rows:
        parts[cron, timezone].append((late, count, first_at))
    groups = [
        _Group(
            cron=cron,
            timezone=timezone,
            count=sum(count for _late, count, _first_at in found),
            first_at=min(first_at for _late, _count, first_at in found),
            late={late: count for late, count, _first_at in found if late is not None},
        )
        for (cron, timezone), found in parts.items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.cron, group.timezone))


def _instants(groups: list[_Group], now: datetime, until: datetime) -> Counter[datetime]:
    """How many reports each instant has."""
    found: Counter[datetime] = Counter()
    left = TIMES_AT_MOST
    for position, group in enumerate(groups):
        found[max(group.first_at, now)] += group.count
        if position < CRONS_AT_MOST and left > 0:
            for instant in islice(_times_after_first(group, now, until), left):
                found[instant] += group.count
                left -= 1
    return found


def _times_after_first(group: _Group, now: datetime, until: datetime) -> Iterator[datetime]:
    try:
        cron, zone = parse_cron(group.cron), named_zone(group.timezone, group.cron)
    except InvalidReportError:  # it is set aside, with its reason, as soon as it is due
        return iter(())
    last = until - timedelta(microseconds=1)
    return times_between(cron, zone, after=max(group.first_at, now), until=last)
