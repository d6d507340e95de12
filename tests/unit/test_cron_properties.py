"""The cron function against three oracles that share no code with it.

- `scan` walks UTC minute by minute and follows the rules of the clock word for word.
- cronsim follows Debian's cron, whose rules for changes of the clock are ours with the differences that
  `for_cronsim` and `loses_its_way` name.
- croniter, where no clock changes.
"""

from __future__ import annotations

import calendar
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

import pytest
from croniter import croniter
from cronsim import CronSim, CronSimError
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from report_orchestrator.domain.cron import next_time, parse_cron, times_between
from report_orchestrator.exceptions import InvalidCronError

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
ZONES = sorted(available_timezones())

deterministic = settings(derandomize=True, deadline=None)


# Crons, with their values known from how they are built


@dataclass(frozen=True, slots=True)
class Part:
    """One field: its text, the values that it stands for, and whether it is a star or steps from a star."""

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


# Zones and windows around the changes of their clocks


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


# The oracles


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
    return (cron.names(wall) and not wall.fold) or any(
        cron.names(skipped) for skipped in skipped_before(instant, zone)
    )


def skipped_before(instant: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    skipped = (instant - MINUTE).astimezone(zone).replace(tzinfo=None) + MINUTE
    while skipped < instant.astimezone(zone).replace(tzinfo=None):
        yield skipped
        skipped += MINUTE


def by_cronsim(cron: Cron, window: Window) -> list[datetime]:
    return list(
        itertools.takewhile(
            lambda instant: instant <= window.until, all_by_cronsim(cron, window.after, window.zone)
        )
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


# The properties


@settings(deterministic, max_examples=700)
@given(st.one_of(every_day, some_weekdays), windows)
def test_the_times_are_those_of_a_minute_by_minute_scan(cron: Cron, window: Window) -> None:
    assert scan(cron, window) == ours(cron, window)


@settings(deterministic, max_examples=1500)
@given(st.one_of(every_day, some_weekdays), windows)
def test_the_times_are_those_of_cronsim(cron: Cron, window: Window) -> None:
    assume(not loses_its_way(cron, window))
    expected = by_cronsim(cron, window)
    event(f"times found: {bool(expected)}")

    assert expected == ours(cron, window)


AT_EVERY_CHANGE = [
    daily(listed(30), listed(2)),
    daily(listed(0), listed(0)),
    daily(steps(0, 59, 20), span(0, 3)),
    daily(listed(0), star(0, 23)),
    daily(listed(30), span(0, 23)),
    daily(steps(0, 59, 15), star(0, 23)),
    daily(listed(25), steps(0, 23, 2)),
    daily(listed(0), steps(0, 23, 24)),
]


@pytest.mark.parametrize("cron", AT_EVERY_CHANGE, ids=lambda cron: cron.text)
def test_the_times_are_those_of_the_scan_and_of_cronsim_at_every_change_of_every_zone(cron: Cron) -> None:
    for change, zone in all_changes():
        window = Window(zone, change - 3 * HOUR, change + 4 * HOUR)
        found = ours(cron, window)

        assert scan(cron, window) == found, window
        assert loses_its_way(cron, window) or by_cronsim(cron, window) == found, window


@settings(deterministic, max_examples=300)
@given(every_day, windows, st.floats(0, 1))
def test_a_window_cut_in_two_has_the_same_times(cron: Cron, window: Window, share: float) -> None:
    cut = window.after + (window.until - window.after) * share

    halves = ours(cron, Window(window.zone, window.after, cut)) + ours(
        cron, Window(window.zone, cut, window.until)
    )

    assert halves == ours(cron, window)


@settings(deterministic, max_examples=300)
@given(every_day, windows)
def test_following_the_next_time_leads_through_all_times_of_a_window(cron: Cron, window: Window) -> None:
    parsed, followed = parse_cron(cron.text), []
    instant = next_time(parsed, window.zone, after=window.after)
    while instant <= window.until:
        followed.append(instant)
        instant = next_time(parsed, window.zone, after=instant)

    assert followed == ours(cron, window)


instants = st.datetimes(datetime(2020, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@settings(deterministic, max_examples=500)
@given(some_days, instants)
def test_the_days_are_those_of_cronsim(cron: Cron, after: datetime) -> None:
    expected = next_by_cronsim(cron, after)
    assume(expected)

    assert expected == next_times(cron.text, after)


@settings(deterministic, max_examples=200)
@given(days_that_few_months_have, instants)
def test_a_cron_is_refused_exactly_if_cronsim_finds_no_time(cron: Cron, after: datetime) -> None:
    expected = next_by_cronsim(cron, after)
    event(f"can fire: {bool(expected)}")

    if expected:
        assert expected == next_times(cron.text, after)
    else:
        assert "can never fire" in (refusal_of(cron.text) or "")


def next_by_cronsim(cron: Cron, after: datetime) -> list[datetime]:
    """The next four, or none if there is none: cronsim gives up after 50 years."""
    try:
        return list(itertools.islice(all_by_cronsim(cron, after, ZoneInfo("UTC")), 4))
    except CronSimError:
        return []


def next_times(text: str, after: datetime) -> list[datetime]:
    end_of_time = datetime(9000, 1, 1, tzinfo=UTC)
    return list(itertools.islice(times_between(parse_cron(text), UTC, after=after, until=end_of_time), 4))


month_days = st.sampled_from(["L", "1,L", "28-3", "25-L", "15W", "w1", "31W", "*/10,L", "29-31"])
week_days = st.sampled_from(
    ["L5", "L7", "1#5", "MON#1,3#3", "tue-thu#2", "FRI-MON", "5-7", "6-7/2", "*/3", "SUN,2"]
)
months = st.sampled_from(["*", "2", "FEB,4", "nov-feb", "*/5", "6-12/3"])
written = st.one_of(
    st.tuples(month_days, months, st.sampled_from("*?")),
    st.tuples(st.sampled_from("*?"), months, week_days),
    st.tuples(
        st.sampled_from(["L", "13", "*/9", "28-3"]),
        months,
        st.sampled_from(["FRI-MON", "5-7", "*/3", "SUN,2"]),
    ),
)


@settings(deterministic, max_examples=400)
@given(written, instants)
def test_names_last_days_and_counted_weekdays_are_those_of_croniter(
    days: tuple[str, str, str], after: datetime
) -> None:
    text = f"15 22-4 {' '.join(days)}"
    theirs = croniter(text, after, ret_type=datetime)

    assert [theirs.get_next() for _ in range(4)] == next_times(text, after)


def in_stars(drawn: tuple[str, int]) -> str:
    field, position = drawn
    return " ".join(field if index == position else "*" for index in range(5))


some_text = st.text(st.sampled_from("0123456789*/-,#?LWRH@ANUMO "), min_size=1, max_size=4)
some_number = st.sampled_from(["*", "?", "0", "2", "7", "12", "31", "99", "L", "MON", "jan"])
some_sign = st.sampled_from(["", "/", "-", ",", "#"])
some_field = st.lists(st.tuples(some_number, some_sign), min_size=1, max_size=3).map(
    lambda drawn: "".join(itertools.chain.from_iterable(drawn)).strip("/-,#")
)
some_fields = st.tuples(some_field, st.integers(0, 4)).map(in_stars)


@settings(deterministic, max_examples=1500)
@given(st.one_of(st.text(), some_fields, st.lists(some_text, min_size=5, max_size=5).map(" ".join)))
def test_whatever_is_written_either_fires_or_is_refused_in_words(text: str) -> None:
    refusal = refusal_of(text)
    event("fires" if refusal is None else "refused")

    if refusal is None:
        assert next_time(parse_cron(text), UTC, after=START) > START
    else:
        assert refusal.startswith("The cron '")
        assert "Write " in refusal


def refusal_of(text: str) -> str | None:
    try:
        parse_cron(text)
    except InvalidCronError as error:
        return error.message
    return None
