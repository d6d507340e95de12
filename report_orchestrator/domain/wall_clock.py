"""Convert wall times that a clock change skips (spring) or repeats (autumn)."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta, tzinfo


def utc_readings(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the naive wall time at the offsets before and after a clock change (PEP 495), aware UTC.

    They are equal for most times, increasing for a repeated time, and decreasing for a skipped one: the change is then
    later than the second and no later than the first.
    """
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def change_between(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return the first instant, to the second, in (before, after] with another offset than `before`."""
    offset = before.astimezone(zone).utcoffset()

    def is_past_change(seconds: int) -> bool:
        return (before + timedelta(seconds=seconds)).astimezone(zone).utcoffset() != offset

    span = range(int((after - before).total_seconds()))
    return before + timedelta(seconds=bisect_left(span, True, key=is_past_change))


def start_of_repetition(wall: datetime, zone: tzinfo) -> datetime | None:
    """Return the start of the repeated hour that contains a naive wall time; None for a time that comes once."""
    first, second = utc_readings(wall.replace(microsecond=0), zone)  # clocks change at full seconds
    if first >= second:
        return None
    return change_between(first, second, zone).astimezone(zone).replace(tzinfo=None, fold=0)
