"""The times of random crons are those of a minute-by-minute scan, of cronsim and of croniter."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from cronsim import CronSimError
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from report_orchestrator.domain.cron import named_date, next_time, times_between
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.exceptions import InvalidCronError
from tests.support.cron_model import (
    HOUR,
    START,
    ZONES,
    Cron,
    Window,
    all_by_cronsim,
    all_changes,
    by_cronsim,
    daily,
    days_that_few_months_have,
    deterministic,
    every_day,
    listed,
    loses_its_way,
    ours,
    scan,
    some_days,
    some_weekdays,
    span,
    star,
    steps,
    windows,
)

pytestmark = pytest.mark.slow


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
        own_rows = ours(cron, window)

        assert scan(cron, window) == own_rows, window
        assert loses_its_way(cron, window) or by_cronsim(cron, window) == own_rows, window


@settings(deterministic, max_examples=300)
@given(every_day, windows, st.floats(0, 1))
def test_a_window_cut_in_two_has_the_same_times(cron: Cron, window: Window, share: float) -> None:
    cut = window.after + (window.until - window.after) * share

    halves = ours(cron, Window(window.zone, window.after, cut)) + ours(cron, Window(window.zone, cut, window.until))

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
week_days = st.sampled_from(["L5", "L7", "1#5", "MON#1,3#3", "tue-thu#2", "FRI-MON", "5-7", "6-7/2", "*/3", "SUN,2"])
months = st.sampled_from(["*", "2", "FEB,4", "nov-feb", "*/5", "6-12/3"])
written = st.one_of(
    st.tuples(month_days, months, st.sampled_from("*?")),
    st.tuples(st.sampled_from("*?"), months, week_days),
    st.tuples(st.sampled_from(["L", "13", "*/9", "28-3"]), months, st.sampled_from(["FRI-MON", "5-7", "*/3", "SUN,2"])),
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


@pytest.mark.parametrize("cron", ["0 0 * * *", "30 0 * * *", "30 2 * * *", "30 23 * * *"])
def test_each_date_of_every_zone_has_one_run(cron: str) -> None:
    parsed = parse_cron(cron)
    for name in ZONES:
        zone = ZoneInfo(name)
        times = times_between(
            parsed, zone, after=datetime(2025, 1, 1, tzinfo=UTC), until=datetime(2027, 1, 1, tzinfo=UTC)
        )
        days = [named_date(parsed, zone, at).toordinal() for at in times]
        assert days == list(range(days[0], days[0] + len(days))), name
