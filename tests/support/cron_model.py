"""Crons whose values are known from how they are built, and other readings of them that share no code with ours.

- `scan` walks UTC minute by minute and follows the rules of the clock word for word.
- cronsim follows Debian's cron, whose rules for changes of the clock are ours with the differences that
  `for_cronsim` and `loses_its_way` name.
"""

from __future__ import annotations

import calendar
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim
from hypothesis import settings
from hypothesis import strategies as st

from report_orchestrator.domain.cron import times_between
from report_orchestrator.domain.cron_parser import parse_cron

if TYPE_CHECKING:
    from collections.abc import Iterator


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
ZONES = sorted(available_timezones())
deterministic = settings(derandomize=True, deadline=None)


@dataclass(frozen=True, slots=True)
class Part:
    """One field: its text, its values, and True if it is a star or steps from a star."""

    text: str
    values: frozenset[int]
    starred: bool = False


@dataclass(frozen=True, slots=True)
class Cron:
    minute: Part
    hour: Part
    day_of_month: Part
    month: Part
    day_of_week: Part

    @property
    def text(self) -> str:
        parts = (self.minute, self.hour, self.day_of_month, self.month, self.day_of_week)
        return " ".join(part.text for part in parts)

    @property
    def open_hour(self) -> bool:
        return len(self.hour.values) == 24 or (self.hour.starred and len(self.hour.values) > 1)

    @property
    def fires_every_day(self) -> bool:
        return self.day_of_month.text == self.month.text == self.day_of_week.text == "*"

    def names(self, wall: datetime) -> bool:
        return (
            wall.minute in self.minute.values
            and wall.hour in self.hour.values
            and wall.month in self.month.values
            and self._names_day(wall)
        )

    def _names_day(self, wall: datetime) -> bool:
        by_month = wall.day in self.day_of_month.values
        by_week = (calendar.weekday(wall.year, wall.month, wall.day) + 1) % 7 in self.day_of_week.values
        if "*" in (self.day_of_month.text, self.day_of_week.text):
            return by_month and by_week
        return by_month or by_week


def star(lowest: int, highest: int) -> Part:
    return Part("*", frozenset(range(lowest, highest + 1)), starred=True)


def steps(lowest: int, highest: int, step: int) -> Part:
    return Part(f"*/{step}", frozenset(range(lowest, highest + 1, step)), starred=True)


def span(first: int, last: int) -> Part:
    return Part(f"{first}-{last}", frozenset(range(first, last + 1)))


def span_with_step(first: int, last: int, step: int) -> Part:
    return Part(f"{first}-{last}/{step}", frozenset(range(first, last + 1, step)))


def listed(*values: int) -> Part:
    return Part(",".join(map(str, values)), frozenset(values))


def daily(minute: Part, hour: Part) -> Cron:
    return Cron(minute, hour, star(1, 31), star(1, 12), star(0, 6))


def parts(lowest: int, highest: int, *, smallest_step: int = 1) -> st.SearchStrategy[Part]:
    value = st.integers(lowest, highest)
    step = st.integers(smallest_step, highest - lowest + 1)
    ends = st.lists(value, min_size=2, max_size=2, unique=True).map(lambda two: (min(two), max(two)))
    return st.one_of(
        st.just(star(lowest, highest)),
        step.map(lambda step: steps(lowest, highest, step)),
        ends.map(lambda pair: span(*pair)),
        st.tuples(ends, step).map(lambda drawn: span_with_step(*drawn[0], drawn[1])),
        lists(value),
    )


def lists(value: st.SearchStrategy[int]) -> st.SearchStrategy[Part]:
    return st.lists(value, min_size=1, max_size=4, unique=True).map(lambda values: listed(*values))


minutes = parts(0, 59)

# Clocks change in the small hours, so those are drawn more often.
hours = st.one_of(parts(0, 23), lists(st.integers(0, 4)))

# What names all days without being a star is read as one in some combinations: too fine for an oracle.
days_of_month = parts(1, 31, smallest_step=2).filter(lambda part: part.text != "1-31")
days_of_week = parts(0, 6, smallest_step=2).filter(lambda part: part.text != "0-6")
every_day = st.builds(daily, minutes, hours)
some_weekdays = st.builds(Cron, minutes, hours, st.just(star(1, 31)), st.just(star(1, 12)), days_of_week)
some_days = st.builds(Cron, minutes, hours, days_of_month, parts(1, 12), days_of_week)
days_that_few_months_have = st.builds(
    Cron,
    minutes,
    hours,
    lists(st.integers(29, 31)),
    lists(st.sampled_from([2, 4, 6, 9, 11])),
    st.one_of(st.just(star(0, 6)), days_of_week),
)


@cache
def changes(zone_name: str) -> tuple[datetime, ...]:
    """The instants, in UTC and from 2020 to 2037, from which on the zone has another offset.

    No zone has two of them within a week.
    """
    zone, found, before = ZoneInfo(zone_name), [], START
    for after in (START + WEEK * weeks for weeks in range(1, (END - START) // WEEK + 1)):
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            found.append(change_between(before, after, zone))
        before = after
    return tuple(found)


def change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == before.astimezone(zone).utcoffset():
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


@cache
def all_changes() -> tuple[tuple[datetime, ZoneInfo], ...]:
    """Every change once for all the zones that make it together."""
    found: dict[object, tuple[datetime, ZoneInfo]] = {}
    for zone_name in ZONES:
        zone = ZoneInfo(zone_name)
        for change in changes(zone_name):
            before, after = ((change + shift).astimezone(zone).utcoffset() for shift in (-MINUTE, MINUTE))
            found.setdefault((change, before, after), (change, zone))
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Window:
    zone: ZoneInfo
    after: datetime
    until: datetime


spans = st.timedeltas(timedelta(seconds=1), 36 * HOUR)


def around(change: tuple[datetime, ZoneInfo], before: timedelta, after: timedelta) -> Window:
    instant, zone = change
    return Window(zone, instant - before, instant + after)


windows_around_a_change = st.deferred(lambda: st.builds(around, st.sampled_from(all_changes()), spans, spans))
windows_in_any_zone = st.builds(
    around,
    st.tuples(
        st.datetimes(datetime(2020, 2, 1), datetime(2037, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        st.sampled_from(ZONES).map(ZoneInfo),
    ),
    spans,
    spans,
)
windows = st.one_of(windows_around_a_change, windows_around_a_change, windows_in_any_zone)


def ours(cron: Cron, window: Window) -> list[datetime]:
    return list(times_between(parse_cron(cron.text), window.zone, after=window.after, until=window.until))


def scan(cron: Cron, window: Window) -> list[datetime]:
    instant = window.after.replace(second=0, microsecond=0)
    minutes = itertools.takewhile(
        lambda minute: minute <= window.until, (instant + MINUTE * n for n in itertools.count(1))
    )
    return [minute for minute in minutes if fires_at(cron, minute, window.zone)]


def fires_at(cron: Cron, instant: datetime, zone: ZoneInfo) -> bool:
    wall = instant.astimezone(zone)
    if cron.open_hour:
        return cron.names(wall)
    return (cron.names(wall) and not wall.fold) or any(cron.names(skipped) for skipped in skipped_before(instant, zone))


def skipped_before(instant: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    skipped = (instant - MINUTE).astimezone(zone).replace(tzinfo=None) + MINUTE
    while skipped < instant.astimezone(zone).replace(tzinfo=None):
        yield skipped
        skipped += MINUTE


def by_cronsim(cron: Cron, window: Window) -> list[datetime]:
    return list(
        itertools.takewhile(lambda instant: instant <= window.until, all_by_cronsim(cron, window.after, window.zone))
    )


def all_by_cronsim(cron: Cron, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    instants = (time.astimezone(UTC) for time in CronSim(for_cronsim(cron), after.astimezone(zone)))
    # For a fixed hour cronsim searches on the wall's clock: it begins in the first run of a repeated hour.
    return (instant for instant in instants if instant > after)


def for_cronsim(cron: Cron) -> str:
    """The cron as cronsim must be given it to mean the same.

    cronsim goes by elapsed time if the minute or the hour begins with a star. By our rule the hour alone
    decides: `*/15 2` is a fixed hour, and so is `*/24`, while all 24 hours are open however they are written.
    Where a day field begins with a star, cronsim wants both day fields to match; croniter, and so we, want that
    for a bare star only.
    """
    minute, hour = cron.minute.text, cron.hour.text
    if not cron.open_hour:
        minute, hour = minute.replace("*", "0-59"), hour.replace("*", "0-23")
    elif not cron.hour.starred:
        hour = "*"
    day_of_month = cron.day_of_month.text.replace("*/", "1-31/")
    day_of_week = cron.day_of_week.text.replace("*/", "0-6/")
    return f"{minute} {hour} {day_of_month} {cron.month.text} {day_of_week}"


def loses_its_way(cron: Cron, window: Window) -> bool:
    """The cases in which cronsim 2.8 leaves its own rules, all of them of an open hour; `scan` covers them.

    From a full hour it steps over the hours, and from its minute over a single minute, by 60 elapsed minutes.
    A change by half an hour, or at a quarter to, then makes it miss times (`0 */3` at 03:00 in Lord Howe in
    spring, the second 01:37 of `37 *` there in autumn), or search for ever (`58 */3 * * 0` in Chatham). And it
    jumps to the midnight of a matching day, which does not exist if it falls into a gap.
    """
    steps_over_hours = len(cron.hour.values) < 24
    return cron.open_hour and any(
        (is_off_the_hour(change, window.zone) and (steps_over_hours or len(cron.minute.values) == 1))
        or (swallows_midnight(change, window.zone) and steps_over_hours and not cron.fires_every_day)
        for change in changes(window.zone.key)
        if window.after - DAY < change <= window.until + DAY
    )


def is_off_the_hour(change: datetime, zone: ZoneInfo) -> bool:
    return (change - MINUTE).astimezone(zone).minute != 59 or change.astimezone(zone).minute != 0


def swallows_midnight(change: datetime, zone: ZoneInfo) -> bool:
    return any((skipped.hour, skipped.minute) == (0, 0) for skipped in skipped_before(change, zone))
