"""Wall clocks and the instants that they show: a wall time may be skipped in spring and come twice in autumn."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta, tzinfo


def readings(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """The naive wall time read with the offset before and after a change of the clock (PEP 495), aware UTC.

    They are equal for most times, increasing for one that comes twice, and decreasing for one that is
    skipped: the change is then later than the second and no later than the first.
    """
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC), wall.replace(tzinfo=zone, fold=1).astimezone(
        UTC
    )


def change_between(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The first instant, to the second, in (before, after] that has another offset than `before`."""
    offset = before.astimezone(zone).utcoffset()

    def is_past_change(seconds: int) -> bool:
        return (before + timedelta(seconds=seconds)).astimezone(zone).utcoffset() != offset

    span = range(int((after - before).total_seconds()))
    return before + timedelta(seconds=bisect_left(span, True, key=is_past_change))


def start_of_repetition(wall: datetime, zone: tzinfo) -> datetime | None:
    """The first wall time of the repeated hour that a naive `wall` time lies in; None for a time that comes once."""
    first, second = readings(wall.replace(microsecond=0), zone)  # clocks change at full seconds
    if first >= second:
        return None
    return change_between(first, second, zone).astimezone(zone).replace(tzinfo=None, fold=0)
