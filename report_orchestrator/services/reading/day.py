"""What was due lately, hour by hour, and what became of it."""

from __future__ import annotations

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

Fate: TypeAlias = Literal["succeeded", "under_way", "skipped", "failed"]

FATES: Mapping[str, Fate] = {
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.TIMED_OUT: "failed",
    Status.SKIPPED: "skipped",
    Status.CANCELED: "skipped",
}
"""Statuses that have ended; every other is under way."""


def fate_of(status: str) -> Fate:
    """What a person cares about in a status."""
    return FATES.get(status, "under_way")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """The times that fell due in one hour. `unopened` are those that nobody has made a run of yet."""

    start: datetime
    succeeded: int = 0
    under_way: int = 0
    skipped: int = 0
    failed: int = 0
    unopened: int = 0

    @property
    def expected(self) -> int:
        """All that was due."""
        return self.succeeded + self.under_way + self.skipped + self.failed + self.unopened


def hour_of(instant: datetime, zone: tzinfo) -> datetime:
    """The beginning of the hour on the zone's clock, aware UTC."""
    local = instant.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    return local.astimezone(UTC)


def midnight_of(now: datetime, zone: tzinfo) -> datetime:
    """The beginning of the day in the zone, aware UTC."""
    return datetime.combine(now.astimezone(zone).date(), time(), tzinfo=zone).astimezone(UTC)


def hours_until(now: datetime, zone: tzinfo) -> list[Hour]:
    """The hours up to now, at least `HOURS_SHOWN` and back to midnight. One query, answered by `ro_run_due_idx`.

    What a person asked for by hand was not due, and is left out.
    """
    last = hour_of(now, zone)
    first = min(last - (HOURS_SHOWN - 1) * HOUR, hour_of(midnight_of(now, zone), zone))
    counted = _counted(first, now, zone)
    count = (last - first) // HOUR + 1
    return [_hour(start, counted.get(start, {})) for start in (first + n * HOUR for n in range(count))]


def _hour(start: datetime, fates: Mapping[Fate, int]) -> Hour:
    return Hour(
        start=start,
        succeeded=fates.get("succeeded", 0),
        under_way=fates.get("under_way", 0),
        skipped=fates.get("skipped", 0),
        failed=fates.get("failed", 0),
    )


def _counted(first: datetime, now: datetime, zone: tzinfo) -> Mapping[datetime, Mapping[Fate, int]]:
    """Grouped by the very time and not by the hour: crons name whole minutes, so there are few, and no database has to know
    the zone."""
    rows = (
        ReportRun.objects.filter(~Q(trigger="manual"), scheduled_for__gte=first, scheduled_for__lte=now)
        .order_by()
        .values_list("scheduled_for", "status")
        .annotate(n=Count("*"))
    )
    hours: dict[datetime, Counter[Fate]] = {}
    for due, status, count in rows:
        hours.setdefault(hour_of(due, zone), Counter())[fate_of(status)] += count
    return hours


def total(hours: Sequence[Hour], since: datetime) -> Hour:
    """The sum of the hours that begin at `since` or later."""
    chosen = [hour for hour in hours if hour.start >= since]
    return Hour(
        start=since,
        succeeded=sum(hour.succeeded for hour in chosen),
        under_way=sum(hour.under_way for hour in chosen),
        skipped=sum(hour.skipped for hour in chosen),
        failed=sum(hour.failed for hour in chosen),
        unopened=sum(hour.unopened for hour in chosen),
    )
