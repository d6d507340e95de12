"""Find the times of a parsed cron in a time zone.

The search is ours: croniter 7.0.0 fires a daily 02:30 in Amsterdam twice on the night that the clock goes back, keeps its
position inside the parsed object, and takes some 40 µs for each time.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from calendar import monthrange
from collections import deque
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise, takewhile
from typing import TYPE_CHECKING

from report_orchestrator.domain.wall_clock import change_between, utc_readings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)

LAST = -1
"""The last day of the month, or the last of its weekday in the month."""

_TIMES_COMPARED = 50_000
"""A cron of each minute repeats itself after a month, and the times of rarer ones reach over years."""

# 28 years without a century's end contain all fourteen calendars: a date missing from them never occurs.
_ALL_KINDS_OF_YEAR = (date(2001, 1, 1), date(2028, 12, 31))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CronExpression:
    """A valid cron that fires, created by `parse_cron` only.

    Weekdays count from Sunday, 0, and are paired with the occurrence in the month: (1, 2) is the second Monday.
    """

    expression: str
    minutes: tuple[int, ...] = dataclasses.field(repr=False)
    hours: tuple[int, ...] = dataclasses.field(repr=False)
    days_of_month: frozenset[int] = dataclasses.field(repr=False)
    nearest_weekday: int | None = dataclasses.field(repr=False)
    months: frozenset[int] = dataclasses.field(repr=False)
    weekdays: frozenset[tuple[int, int]] = dataclasses.field(repr=False)
    either_day: bool = dataclasses.field(repr=False)
    """Day of month and day of week are both restricted, and a day that matches either fires."""
    open_hour: bool = dataclasses.field(repr=False)
    """Follows elapsed time through a clock change; a fixed hour follows the wall clock."""

    @property
    def can_fire(self) -> bool:
        """True if some calendar has a day that matches."""
        return next(_days_between(self, *_ALL_KINDS_OF_YEAR), None) is not None


def times_between(cron: CronExpression, zone: tzinfo, *, after: datetime, until: datetime) -> Iterator[datetime]:
    """Return the cron's times in (after, until], aware UTC, increasing and found lazily.

    Times of a fixed hour that the clock skips fire once, at the first instant after the gap; repeated ones fire at their
    first occurrence. An open hour (`*`, `*/n`, or all 24) follows elapsed time: the skipped hour does not fire, and the
    repeated hour fires twice.

    Raises:
        ValueError: `after` or `until` is naive.
    """
    _require_aware(after, until)
    return takewhile(lambda instant: instant <= until, _times_after(cron, zone, after))


def next_time(cron: CronExpression, zone: tzinfo, *, after: datetime) -> datetime:
    """Return the first time after `after`, aware UTC, by the rules of `times_between`.

    There always is one, at most 40 years away: `parse_cron` refuses a cron that never fires.

    Raises:
        ValueError: `after` is naive.
    """
    _require_aware(after)
    return next(_times_after(cron, zone, after))


def named_date(cron: CronExpression, zone: tzinfo, instant: datetime) -> date:
    """Return the date of the wall time that the cron names for one of its times.

    It is the local date, but for a time that the clock skips: 23:30 on the evening of a change at 23:00 fires at 00:00, and
    keeps the date of that evening.
    """
    wall, before = (at.astimezone(zone).replace(tzinfo=None) for at in (instant, instant - datetime.resolution))
    is_after_gap = wall - before > datetime.resolution
    if cron.open_hour or not is_after_gap or next(_wall_times(cron, wall - datetime.resolution)) == wall:
        return wall.date()
    return min(wall, next(_wall_times(cron, before))).date()


def last_time(cron: CronExpression, zone: tzinfo, *, until: datetime) -> datetime:
    """Return the last time up to `until`, aware UTC, by the rules of `times_between`.

    Raises:
        ValueError: `until` is naive.
    """
    _require_aware(until)
    span = _DAY
    while not (times := deque(times_between(cron, zone, after=until - span, until=until), maxlen=1)):
        span *= 4
    return times[0]


def longest_gap(cron: CronExpression) -> timedelta:
    """Return the longest distance of two successive times, changes of the clock aside."""
    start, end = (datetime.combine(day, time(), tzinfo=UTC) for day in _ALL_KINDS_OF_YEAR)
    times = islice(times_between(cron, UTC, after=start, until=end), _TIMES_COMPARED)
    return max((later - earlier for earlier, later in pairwise(times)), default=end - start)


def _require_aware(*instants: datetime) -> None:
    for instant in instants:
        if instant.utcoffset() is None:
            raise ValueError(f"{instant!r} is naive: give an instant with a time zone.")


def _times_after(cron: CronExpression, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    walls = _wall_times(cron, _search_start(after, zone))
    latest = after
    for instant in (_by_elapsed_time if cron.open_hour else _by_wall_clock)(walls, zone):
        # Times in one gap coincide, and the search starts early in a repeated hour.
        if instant > latest:
            latest = instant
            yield instant


def _search_start(after: datetime, zone: tzinfo) -> datetime:
    """Return a wall time before all those whose instant is later than `after`.

    Within the first pass of a repeated hour that is before the hour, whose second pass is still to come.
    """
    wall = after.astimezone(zone).replace(tzinfo=None, fold=0)
    first, second = utc_readings(wall, zone)
    return wall - (second - first)


def _by_wall_clock(walls: Iterator[datetime], zone: tzinfo) -> Iterator[datetime]:
    for wall in walls:
        first, second = utc_readings(wall, zone)
        yield first if first <= second else change_between(second, first, zone)


def _by_elapsed_time(walls: Iterator[datetime], zone: tzinfo) -> Iterator[datetime]:
    second_pass: list[datetime] = []
    for wall in walls:
        first, second = utc_readings(wall, zone)
        if first < second:
            second_pass.append(second)
            yield first
            continue
        yield from second_pass
        second_pass.clear()
        if first == second:
            yield first


def _wall_times(cron: CronExpression, start: datetime) -> Iterator[datetime]:
    """Yield the cron's naive times strictly after the naive start, without end."""
    for day in _days_between(cron, start.date(), date.max):
        earliest = start.hour if day == start.date() else 0
        for hour in cron.hours[bisect_left(cron.hours, earliest) :]:
            for minute in cron.minutes:
                wall = datetime.combine(day, time(hour, minute))
                if wall > start:
                    yield wall


def _days_between(cron: CronExpression, first: date, last: date) -> Iterator[date]:
    day = first
    while day <= last:
        if day.month not in cron.months:
            day = _first_of_next_month(day)
            continue
        if _fires_on(cron, day):
            yield day
        day += _DAY


def _first_of_next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _fires_on(cron: CronExpression, day: date) -> bool:
    if cron.either_day:
        return _matches_day_of_month(cron, day) or _matches_weekday(cron, day)
    return _matches_day_of_month(cron, day) and _matches_weekday(cron, day)


def _matches_day_of_month(cron: CronExpression, day: date) -> bool:
    if cron.nearest_weekday is not None:
        return day == _nearest_weekday(cron.nearest_weekday, day)
    if day.day in cron.days_of_month:
        return True
    return LAST in cron.days_of_month and (day + _DAY).month != day.month


def _matches_weekday(cron: CronExpression, day: date) -> bool:
    weekday = day.isoweekday() % 7
    if (weekday, (day.day + 6) // 7) in cron.weekdays:
        return True
    return (weekday, LAST) in cron.weekdays and (day + _WEEK).month != day.month


def _nearest_weekday(day_of_month: int, month_of: date) -> date:
    """Return the weekday, Monday to Friday, nearest to a day of the month and within the month."""
    length = monthrange(month_of.year, month_of.month)[1]
    day = month_of.replace(day=min(day_of_month, length))
    if day.isoweekday() == 6:
        return day - _DAY if day.day > 1 else day + 2 * _DAY
    if day.isoweekday() == 7:
        return day + _DAY if day.day < length else day - 2 * _DAY
    return day
