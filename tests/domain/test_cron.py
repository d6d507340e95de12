"""A cron's times, and crons that are rejected with the correction."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter

from report_orchestrator.domain.cron import named_date, next_time, times_between
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.exceptions import InvalidCronError
from tests.support.cron_times import dates, local_times

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NEW_YORK = ZoneInfo("America/New_York")

FIVE_FIELDS = "Write five fields with spaces between them: minute, hour, day of month, month, day of week"


def test_the_window_is_open_at_its_start_and_closed_at_its_end() -> None:
    assert local_times("0 * * * *", AMSTERDAM, "2026-06-01T10:00", "2026-06-01T12:00") == [
        "2026-06-01T11:00+02:00",
        "2026-06-01T12:00+02:00",
    ]


@pytest.mark.parametrize("until", ["2026-06-01T10:00", "2026-06-01T09:00"])
def test_an_empty_window_has_no_times(until: str) -> None:
    assert local_times("* * * * *", AMSTERDAM, "2026-06-01T10:00", until) == []


def test_instants_are_aware_utc_on_the_whole_minute() -> None:
    after = datetime(2026, 6, 1, 10, 59, 59, 999_999, tzinfo=NEW_YORK)

    time = next_time(parse_cron("* * * * *"), AMSTERDAM, after=after)

    assert datetime(2026, 6, 1, 15, 0, tzinfo=UTC) == time
    assert time.tzinfo is UTC


def test_the_times_are_found_lazily() -> None:
    forever = datetime(9000, 1, 1, tzinfo=UTC)
    times = times_between(parse_cron("0 0 1 * *"), UTC, after=datetime(2026, 1, 15, tzinfo=UTC), until=forever)

    assert [time.month for time in itertools.islice(times, 3)] == [2, 3, 4]


def test_a_naive_instant_is_refused_at_the_call() -> None:
    cron, aware, naive = parse_cron("0 0 * * *"), datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)  # noqa: DTZ001

    with pytest.raises(ValueError, match="naive"):
        times_between(cron, UTC, after=naive, until=aware)
    with pytest.raises(ValueError, match="naive"):
        times_between(cron, UTC, after=aware, until=naive)
    with pytest.raises(ValueError, match="naive"):
        next_time(cron, UTC, after=naive)


class _WithoutOffset(tzinfo):
    def utcoffset(self, _: datetime | None) -> None:
        return None

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> None:
        return None


def test_an_instant_whose_zone_gives_no_offset_is_naive_too() -> None:
    with pytest.raises(ValueError, match="naive"):
        next_time(parse_cron("0 0 * * *"), UTC, after=datetime(2026, 1, 1, tzinfo=_WithoutOffset()))


# The fields


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("13 * FRI", ["2026-02-06", "2026-02-13", "2026-02-20"]),
        ("15 * MON", ["2026-02-02", "2026-02-09", "2026-02-15"]),
        ("31 * MON", ["2026-02-02", "2026-02-09", "2026-02-16"]),
        ("31 2 MON", ["2026-02-02", "2026-02-09", "2026-02-16"]),
        ("*/10 * MON", ["2026-02-01", "2026-02-02", "2026-02-09"]),
        ("? * MON", ["2026-02-02", "2026-02-09", "2026-02-16"]),
        ("15 * ?", ["2026-02-15", "2026-03-15", "2026-04-15"]),
    ],
)
def test_a_day_that_satisfies_either_of_two_restricted_fields_is_enough(cron: str, expected: list[str]) -> None:
    assert expected == dates(cron, "2026-01-31", 3)


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("* * 0", ["2026-02-01", "2026-02-08"]),
        ("* * 7", ["2026-02-01", "2026-02-08"]),
        ("* * sun", ["2026-02-01", "2026-02-08"]),
        ("* * SAT-MON", ["2026-02-01", "2026-02-02"]),
        ("* * 5-7", ["2026-02-01", "2026-02-06"]),
        ("* * 0-7", ["2026-02-01", "2026-02-02"]),
        ("* * 1-5", ["2026-02-02", "2026-02-03"]),
        ("* * MON#2", ["2026-02-09", "2026-03-09"]),
        ("* * 1#1,5#3", ["2026-02-02", "2026-02-20"]),
        ("* * 1#5", ["2026-03-30", "2026-06-29"]),
        ("* * L5", ["2026-02-27", "2026-03-27"]),
        ("* * 7#1", ["2026-02-01", "2026-03-01"]),
        ("* JAN *", ["2027-01-01", "2027-01-02"]),
        ("1 nov-feb *", ["2026-02-01", "2026-11-01"]),
        ("1 */6 *", ["2026-07-01", "2027-01-01"]),
        ("L * *", ["2026-02-28", "2026-03-31"]),
        ("15,L * *", ["2026-02-15", "2026-02-28"]),
        ("29 2 *", ["2028-02-29", "2032-02-29"]),
        ("L 2 *", ["2026-02-28", "2027-02-28"]),
        ("30-2 * *", ["2026-02-01", "2026-02-02"]),
    ],
)
def test_names_sundays_last_days_and_counted_weekdays_are_read(cron: str, expected: list[str]) -> None:
    assert expected == dates(cron, "2026-01-31", 2)


@pytest.mark.parametrize(
    ("day", "after", "expected"),
    [
        ("15W", "2026-07-31", ["2026-08-14", "2026-09-15", "2026-10-15", "2026-11-16"]),
        ("w1", "2026-07-31", ["2026-08-03", "2026-09-01", "2026-10-01", "2026-11-02"]),
        ("31W", "2026-04-30", ["2026-05-29", "2026-06-30", "2026-07-31", "2026-08-31"]),
    ],
)
def test_the_nearest_weekday_stays_in_its_month(day: str, after: str, expected: list[str]) -> None:
    assert expected == dates(f"{day} * *", after, 4)


def test_the_rarest_day_is_found_across_the_end_of_a_century() -> None:
    assert dates("* 2 SUN#5", "2088-02-29", 1) == ["2128-02-29"]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("*/20 9-10 * * *", ["09:00", "09:20", "09:40", "10:00", "10:20", "10:40"]),
        ("50/5 9 * * *", ["09:50", "09:55"]),
        ("59/15 9 * * *", ["09:59"]),
        ("0 22-1 * * *", ["00:00", "01:00", "22:00", "23:00"]),
        ("*/60 9,11 * * *", ["09:00", "11:00"]),
        ("10-30/10,55 9 * * *", ["09:10", "09:20", "09:30", "09:55"]),
    ],
)
def test_steps_lists_and_ranges_name_the_times_of_a_day(cron: str, expected: list[str]) -> None:
    end_of_day = datetime(2026, 6, 1, 23, 59, tzinfo=UTC)
    times = times_between(parse_cron(cron), UTC, after=end_of_day - timedelta(days=1), until=end_of_day)

    assert expected == [time.strftime("%H:%M") for time in times]


def test_white_space_does_not_matter() -> None:
    assert parse_cron("  0\t 6  * * 1-5\n") == parse_cron("0 6 * * 1-5")
    assert parse_cron(" 0  6 * * 1-5 ").expression == "0 6 * * 1-5"


def test_a_cron_is_parsed_once_and_shows_its_text_only() -> None:
    assert parse_cron("17 4 * * *") is parse_cron(" 17 4 * * * ")
    assert repr(parse_cron("17 4 * * *")) == "CronExpression(expression='17 4 * * *')"


# What is refused


@pytest.mark.parametrize(
    ("alias", "instead"),
    [
        ("@hourly", "Write '0 * * * *' instead."),
        ("@Daily", "Write '0 0 * * *' instead."),
        ("@weekly", "Write '0 0 * * 0' instead."),
        ("@monthly", "Write '0 0 1 * *' instead."),
        ("@annually", "Write '0 0 1 1 *' instead."),
        ("@reboot", FIVE_FIELDS),
        ("@every 5m", FIVE_FIELDS),
    ],
)
def test_an_alias_is_refused_with_the_five_fields_to_write(alias: str, instead: str) -> None:
    message = _refusal(alias)

    assert message.startswith(f"The cron '{alias}' is not valid: ")
    assert instead in message


@pytest.mark.parametrize(
    ("cron", "count"), [("", 0), ("0 6 * *", 4), ("0 0 6 * * *", 6), ("0 0 6 * * * 2026", 7), ("every day", 2)]
)
def test_another_number_of_fields_than_five_is_refused(cron: str, count: int) -> None:
    message = _refusal(cron)

    assert f"it must have five fields, without seconds or a year, but has {count}." in message
    assert FIVE_FIELDS in message


@pytest.mark.parametrize(
    ("cron", "problem"),
    [
        ("99 99 99 99 99", "its minute, 99, is above 59. Write a number from 0 to 59"),
        ("0 24 * * *", "its hour, 24, is above 23. Write a number from 0 to 23"),
        ("0 0 0 * *", "its day of month, 0, is below 1. Write a number from 1 to 31"),
        ("0 0 32W * *", "its day of month, '32W', cannot be read"),
        ("0 0 1 13 *", "its month, 13, is above 12. Write a number from 1 to 12"),
        ("0 0 1 FOO *", "its month, 'FOO', cannot be read"),
        ("0 0 * * 8", "its day of week, 8, is above 7. Write a number from 0 to 7 (0 and 7 are Sunday)"),
        ("0 0 * * 5L", "its day of week, '5L', cannot be read"),
        ("0 0 * * 1#6", "its day of week, '1#6', cannot be read"),
        ("*/0 * * * *", "its minute, '*/0', cannot be read"),
        ("1,,2 * * * *", "its minute, '1,,2', cannot be read"),
        ("-5 * * * *", "its minute, '-5', cannot be read"),
        ("1.5 * * * *", "its minute, '1.5', cannot be read"),
        ("1-5-9 * * * *", "its minute, '1-5-9', cannot be read"),
        ("? * * * *", "its minute, '?', cannot be read"),
    ],
)
def test_a_field_that_croniter_refuses_is_named_with_what_to_write(cron: str, problem: str) -> None:
    assert f"The cron '{cron}' is not valid: {problem}" in _refusal(cron)


@pytest.mark.parametrize(
    ("cron", "problem"),
    [
        ("*/70 * * * *", "its minute, '*/70', has a step of 70, more than the 60 values that there are"),
        ("0 0/25 * * *", "its hour, '0/25', has a step of 25, more than the 24 values that there are"),
        ("0 5-5 * * *", "its hour, '5-5', has a range that starts and ends at the same value"),
        ("0 0 * JAN-1 *", "its month, 'JAN-1', has a range that starts and ends at the same value"),
        ("0 0 * * 7-0", "its day of week, '7-0', has a range that starts and ends at the same value"),
        ("0 0 * * MON-MON#1", "its day of week, 'MON-MON#1', has a range that starts and ends at the same value"),
        ("0 0 9-0 * *", "its day of month, '9-0', has a range that leaves the possible values"),
        ("0 23-5/2 * * *", "its hour, '23-5/2', has a step over a range that runs backwards (list its values"),
        ("R * * * *", "its minute, 'R', is hashed or random"),
        ("0 h(0-5) * * *", "its hour, 'h(0-5)', is hashed or random"),
        ("0 0 * * *,1#1", "its day of week, '*,1#1', mixes weekdays counted within the month with others"),
        ("0 0 * * L5,1", "its day of week, 'L5,1', mixes weekdays counted within the month with others"),
    ],
)
def test_what_croniter_takes_and_does_not_evaluate_as_written_is_refused(cron: str, problem: str) -> None:
    assert f"The cron '{cron}' is not valid: {problem}" in _refusal(cron)


@pytest.mark.parametrize(
    ("cron", "fields"),
    [
        ("99 24 0 13 8", ["minute, 99", "hour, 24", "day of month, 0", "month, 13", "day of week, 8"]),
        ("61 * * * 8", ["minute, 61", "day of week, 8"]),
        ("R 25 5-5 * L5,1", ["minute, 'R'", "hour, 25", "day of month, '5-5'", "day of week, 'L5,1'"]),
        ("*/70 5-5 * * *", ["minute, '*/70'", "hour, '5-5'"]),
    ],
)
def test_all_invalid_fields_are_named_at_once(cron: str, fields: list[str]) -> None:
    message = _refusal(cron)
    assert re.findall(r"(?:is not valid: |Also )its ([^,]+, (?:'.*?'|\d+))", message) == fields
    assert message.count("Write ") == len(fields)


def test_a_refusal_that_no_single_field_explains_still_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(croniter, "is_valid", lambda _: True)

    assert FIVE_FIELDS in _refusal("1,,2 0 * * *")


@pytest.mark.parametrize("cron", ["0 0 15W * 1", "0 0 15 * 1#2", "0 0 L * L5"])
def test_a_counted_day_with_another_restriction_is_refused(cron: str) -> None:
    assert "cannot be combined, because schedulers interpret that differently" in _refusal(cron)


@pytest.mark.parametrize(
    ("cron", "day", "months"),
    [
        ("0 0 31 2 *", "31", "2"),
        ("0 0 30,31 FEB *", "30,31", "FEB"),
        ("0 0 31 4,6,9,11 *", "31", "4,6,9,11"),
        ("* * 31 2 *", "31", "2"),
    ],
)
def test_a_cron_that_can_never_fire_is_refused(cron: str, day: str, months: str) -> None:
    assert f"no month of '{months}' has a day of month '{day}', so the cron can never fire" in _refusal(cron)


def _refusal(cron: str) -> str:
    with pytest.raises(InvalidCronError) as refusal:
        parse_cron(cron)
    assert refusal.value.code == "invalid_cron"
    return refusal.value.message


@pytest.mark.parametrize(
    ("cron", "problem"),
    [
        ("\ufeff0 6 * * *", "its minute, '\\ufeff0' (U+FEFF before '0'), cannot be read"),
        ("0 6 * * MON\u2013FRI", "its day of week, 'MON\u2013FRI' (U+2013 before 'FRI'), cannot be read"),
        ("0 \uff16 * * *", "its hour, '\uff16' (U+FF16), cannot be read"),
        ("0\0 6 * * *", "its minute, '0\\u0000' (U+0000), cannot be read"),
        ("0\u200b6 * * *", "The cron '0\\u200b6 * * *' (U+200B before '6 * * *') is not valid"),
    ],
)
def test_a_character_that_deceives_is_named(cron: str, problem: str) -> None:
    assert problem in _refusal(cron)


@pytest.mark.parametrize(
    ("cron", "zone", "instant", "day"),
    [
        ("30 23 * * *", "America/Nuuk", "2026-03-29T01:00", "2026-03-28"),
        ("0 23 * * *", "America/Nuuk", "2026-03-29T01:00", "2026-03-28"),
        ("0 0 * * *", "America/Nuuk", "2026-03-29T01:00", "2026-03-29"),
        ("0 0,23 * * *", "America/Nuuk", "2026-03-29T01:00", "2026-03-29"),
        ("0 * * * *", "America/Nuuk", "2026-03-29T01:00", "2026-03-29"),
        ("30 23 * * *", "America/Nuuk", "2026-03-30T00:30", "2026-03-29"),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T22:00", "2026-04-24"),
        ("0 6 * * *", "Pacific/Apia", "2011-12-30T10:00", "2011-12-30"),  # the day that Samoa left out
        ("0 0 * * *", "Pacific/Apia", "2011-12-30T10:00", "2011-12-31"),
    ],
)
def test_the_date_of_a_time_is_that_of_the_wall_time_that_the_cron_names(
    cron: str, zone: str, instant: str, day: str
) -> None:
    at = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    assert at in times_between(parse_cron(cron), ZoneInfo(zone), after=at - timedelta(hours=1), until=at)
    assert named_date(parse_cron(cron), ZoneInfo(zone), at) == date.fromisoformat(day)


def test_steps_over_the_hours_lose_a_skipped_time_and_fixed_hours_make_up_for_it() -> None:
    cairo = ZoneInfo("Africa/Cairo")
    day = ("2026-04-23T18:00", "2026-04-24T18:00")
    assert local_times("0 */12 * * *", cairo, *day) == ["2026-04-24T12:00+03:00"]
    assert local_times("0 0,12 * * *", cairo, *day) == ["2026-04-24T01:00+03:00", "2026-04-24T12:00+03:00"]


def test_a_very_long_cron_is_refused_in_a_short_sentence() -> None:
    every = ["0-59", "0-23", "1-31", "1-12", "0-6"]
    bounds = [range(int(low), int(high) + 1) for low, high in (field.split("-") for field in every)]
    parse_cron(" ".join(",".join(map(str, field)) for field in bounds))
    with pytest.raises(InvalidCronError, match=r"has 1,000,008 characters") as raised:
        parse_cron("1," * 500_000 + "* * * * ")
    assert len(raised.value.message) < 200
