"""Scheduled times of the last hours, counted by outcome."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal, TypeAlias

from django.db.models import Count, Q

from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun

HOUR = timedelta(hours=1)
HOURS_SHOWN = 24

StatusGroup: TypeAlias = Literal["succeeded", "under_way", "skipped", "failed"]

STATUS_GROUPS: Mapping[str, StatusGroup] = {
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.TIMED_OUT: "failed",
    Status.SKIPPED: "skipped",
    Status.CANCELED: "skipped",
}
"""Statuses that have ended; every other is under way."""


def status_group(status: str) -> StatusGroup:
    return STATUS_GROUPS.get(status, "under_way")


@dataclass(frozen=True, slots=True, kw_only=True)
class HourCounts:
    """The times that were due in one hour; `without_run` counts those that have no run yet."""

    start: datetime
    succeeded: int = 0
    under_way: int = 0
    skipped: int = 0
    failed: int = 0
    without_run: int = 0

    @property
    def expected(self) -> int:
        return self.succeeded + self.under_way + self.skipped + self.failed + self.without_run


def start_of_hour(instant: datetime, zone: tzinfo) -> datetime:
    """Return the start of the hour on the zone's clock, aware UTC."""
    local = instant.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    return local.astimezone(UTC)


def start_of_day(now: datetime, zone: tzinfo) -> datetime:
    """Return midnight in the zone, aware UTC."""
    return datetime.combine(now.astimezone(zone).date(), time(), tzinfo=zone).astimezone(UTC)


def read_hours(now: datetime, zone: tzinfo) -> list[HourCounts]:
    """Return the hours up to now, at least `HOURS_SHOWN` and back to midnight. One query, on `ro_run_due_idx`.

    Manual runs were not due, and shadow runs were due elsewhere: both are left out.
    """
    last = start_of_hour(now, zone)
    first = min(last - (HOURS_SHOWN - 1) * HOUR, start_of_hour(start_of_day(now, zone), zone))
    # Grouped by instant, not by hour: crons name whole minutes, so there are few, and no database has to know the zone.
    rows = (
        ReportRun.objects.filter(
            ~Q(trigger="manual"), ~Q(trigger="shadow"), scheduled_for__gte=first, scheduled_for__lte=now
        )
        .order_by()
        .values_list("scheduled_for", "status")
        .annotate(n=Count("*"))
    )
    counts: dict[datetime, Counter[str]] = {}
    for due, status, count in rows:
        counts.setdefault(start_of_hour(due, zone), Counter())[status_group(status)] += count
    starts = (first + n * HOUR for n in range((last - first) // HOUR + 1))
    return [HourCounts(start=start, **counts.get(start, Counter())) for start in starts]


def sum_hours(hours: Sequence[HourCounts], since: datetime) -> HourCounts:
    names = ("succeeded", "under_way", "skipped", "failed", "without_run")
    chosen = [hour for hour in hours if hour.start >= since]
    return HourCounts(start=since, **{name: sum(getattr(hour, name) for hour in chosen) for name in names})
