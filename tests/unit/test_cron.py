from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter

from report_orchestrator.domain.cron import next_time, parse_cron, times_between
from report_orchestrator.exceptions import InvalidCronError

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
APIA = ZoneInfo("Pacific/Apia")
CASABLANCA = ZoneInfo("Africa/Casablanca")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
NEW_YORK = ZoneInfo("America/New_York")
SANTIAGO = ZoneInfo("America/Santiago")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")

FIVE_FIELDS = "Write five fields with spaces between them: minute, hour, day of month, month, day of week"


def local_times(cron: str, zone: ZoneInfo, after: str, until: str) -> list[str]:
    """The times in (after, until], both on the zone's clock, as ISO 8601 with the offset there."""
    return [
        instant.astimezone(zone).isoformat(timespec="minutes")
        for instant in times_between(
            parse_cron(cron),
            zone,
            after=datetime.fromisoformat(after).replace(tzinfo=zone),
            until=datetime.fromisoformat(until).replace(tzinfo=zone),
        )
    ]


def utc_times(cron: str, after: str, count: int) -> list[str]:
    expression, instant = parse_cron(cron), datetime.fromisoformat(after).replace(tzinfo=UTC)
    times = []
    for _ in range(count):
        instant = next_time(expression, UTC, after=instant)
        times.append(instant.strftime("%Y-%m-%d %H:%M"))
    return times


def dates(cron: str, after: str, count: int) -> list[str]:
    return [time.removesuffix(" 00:00") for time in utc_times(f"0 0 {cron}", after, count)]


# Changes of the clock


def test_a_fixed_hour_that_does_not_exist_fires_once_at_the_first_instant_after_the_gap() -> None:
    assert local_times("30 2 * * *", AMSTERDAM, "2026-03-28", "2026-03-31") == [
        "2026-03-28T02:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]


def test_a_fixed_hour_that_comes_twice_fires_at_its_first_occurrence_only() -> None:
    assert local_times("30 2 * * *", AMSTERDAM, "2026-10-24", "2026-10-27") == [
        "2026-10-24T02:30+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]


@pytest.mark.parametrize("cron", ["*/15 2 * * *", "* 2 * * *", "0,20,40 2 * * *", "0-59/5 2,3 * * *"])
def test_all_times_of_a_fixed_hour_in_one_gap_fire_once_together(cron: str) -> None:
    times = local_times(cron, AMSTERDAM, "2026-03-29T00:00", "2026-03-29T03:00")

    assert times == ["2026-03-29T03:00+02:00"]


def test_the_end_of_the_gap_and_a_time_named_there_are_one_time() -> None:
    assert local_times("30 2,3 * * *", AMSTERDAM, "2026-03-29", "2026-03-30") == [
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:30+02:00",
    ]
    assert local_times("0 2,3 * * *", AMSTERDAM, "2026-03-29", "2026-03-30") == ["2026-03-29T03:00+02:00"]


def test_a_step_over_minutes_in_a_fixed_hour_keeps_to_the_first_run_of_the_hour() -> None:
    assert local_times("*/30 2 * * *", AMSTERDAM, "2026-10-25", "2026-10-26") == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:30+02:00",
    ]


def test_every_hour_goes_by_elapsed_time() -> None:
    assert local_times("0 * * * *", AMSTERDAM, "2026-03-29T00:30", "2026-03-29T04:30") == [
        "2026-03-29T01:00+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-29T04:00+02:00",
    ]
    assert local_times("0 * * * *", AMSTERDAM, "2026-10-25T00:30", "2026-10-25T03:30") == [
        "2026-10-25T01:00+02:00",
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
    ]


@pytest.mark.parametrize("hour", ["0-23", "*/1", "0-11,12-23"])
def test_all_24_hours_are_every_hour_however_they_are_written(hour: str) -> None:
    assert local_times(f"30 {hour} * * *", AMSTERDAM, "2026-10-25T01:00", "2026-10-25T03:00") == [
        "2026-10-25T01:30+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:30+01:00",
    ]


def test_a_step_over_minutes_with_an_open_hour_never_waits_longer_than_the_step() -> None:
    instants = list(
        times_between(
            parse_cron("*/15 * * * *"),
            NEW_YORK,
            after=datetime(2026, 1, 1, tzinfo=UTC),
            until=datetime(2027, 1, 1, tzinfo=UTC),
        )
    )

    assert len(instants) == 365 * 24 * 4
    assert {later - earlier for earlier, later in itertools.pairwise(instants)} == {timedelta(minutes=15)}


def test_a_step_over_hours_leaves_out_the_gap_and_comes_again_in_the_repeated_hour() -> None:
    assert local_times("0 */2 * * *", AMSTERDAM, "2026-03-28T23:00", "2026-03-29T05:00") == [
        "2026-03-29T00:00+01:00",
        "2026-03-29T04:00+02:00",
    ]
    assert local_times("0 */2 * * *", AMSTERDAM, "2026-10-24T23:00", "2026-10-25T05:00") == [
        "2026-10-25T00:00+02:00",
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T04:00+01:00",
    ]


@pytest.mark.parametrize("hour", ["0-23/2", "0/2", "0,2,4,6,8,10,12,14,16,18,20,22", "*/6,2"])
def test_hours_that_are_not_only_steps_from_a_star_are_fixed(hour: str) -> None:
    assert local_times(f"0 {hour} * * *", AMSTERDAM, "2026-03-29T01:00", "2026-03-29T03:30") == [
        "2026-03-29T03:00+02:00"
    ]
    assert local_times(f"0 {hour} * * *", AMSTERDAM, "2026-10-25T01:00", "2026-10-25T03:30") == [
        "2026-10-25T02:00+02:00"
    ]


def test_a_step_that_leaves_one_hour_is_a_fixed_hour_and_not_lost_in_a_gap_at_midnight() -> None:
    assert local_times("0 */24 * * *", SANTIAGO, "2026-09-05T12:00", "2026-09-07T12:00") == [
        "2026-09-06T01:00-03:00",
        "2026-09-07T00:00-03:00",
    ]


def test_the_second_run_of_an_hour_is_found_from_within_the_first() -> None:
    first_run = datetime(2026, 10, 25, 2, 50, tzinfo=AMSTERDAM)

    assert datetime(2026, 10, 25, 1, 15, tzinfo=UTC) == next_time(
        parse_cron("15 * * * *"), AMSTERDAM, after=first_run
    )
    assert datetime(2026, 10, 26, 1, 15, tzinfo=UTC) == next_time(
        parse_cron("15 2 * * *"), AMSTERDAM, after=first_run
    )


def test_a_fixed_hour_does_not_fire_again_from_within_the_second_run() -> None:
    second_run = datetime(2026, 10, 25, 2, 10, tzinfo=AMSTERDAM, fold=1)

    assert datetime(2026, 10, 26, 1, 30, tzinfo=UTC) == next_time(
        parse_cron("30 2 * * *"), AMSTERDAM, after=second_run
    )


def test_the_end_of_the_gap_is_not_found_again_after_it() -> None:
    end_of_gap = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    cron = parse_cron("30 2 * * *")

    assert end_of_gap == next_time(cron, AMSTERDAM, after=end_of_gap - timedelta(microseconds=1))
    assert datetime(2026, 3, 30, 0, 30, tzinfo=UTC) == next_time(cron, AMSTERDAM, after=end_of_gap)


def test_a_change_of_half_an_hour_follows_the_same_rules() -> None:
    assert local_times("15 2 * * *", LORD_HOWE, "2026-10-04", "2026-10-05") == ["2026-10-04T02:30+11:00"]
    assert local_times("45 1 * * *", LORD_HOWE, "2026-04-05", "2026-04-06") == ["2026-04-05T01:45+11:00"]
    assert local_times("15,45 * * * *", LORD_HOWE, "2026-04-05T01:00", "2026-04-05T02:30") == [
        "2026-04-05T01:15+11:00",
        "2026-04-05T01:45+11:00",
        "2026-04-05T01:45+10:30",
        "2026-04-05T02:15+10:30",
    ]
    assert local_times("15,45 * * * *", LORD_HOWE, "2026-10-04T01:30", "2026-10-04T03:30") == [
        "2026-10-04T01:45+10:30",
        "2026-10-04T02:45+11:00",
        "2026-10-04T03:15+11:00",
    ]


def test_a_gap_at_midnight_moves_a_weekly_midnight_to_its_end_on_the_same_day() -> None:
    assert local_times("0 0 * * SUN", SANTIAGO, "2026-09-01", "2026-09-14") == [
        "2026-09-06T01:00-03:00",
        "2026-09-13T00:00-03:00",
    ]


def test_the_pause_of_summer_time_for_ramadan_is_a_change_like_any_other() -> None:
    assert local_times("30 2 * * *", CASABLANCA, "2026-02-14", "2026-02-17") == [
        "2026-02-14T02:30+01:00",
        "2026-02-15T02:30+01:00",
        "2026-02-16T02:30+00:00",
    ]
    assert local_times("30 2 * * *", CASABLANCA, "2026-03-21", "2026-03-24") == [
        "2026-03-21T02:30+00:00",
        "2026-03-22T03:00+01:00",
        "2026-03-23T02:30+01:00",
    ]


def test_a_zone_that_gave_up_daylight_saving_changes_no_more() -> None:
    assert local_times("30 0 * * *", SAO_PAULO, "2018-11-03T12:00", "2018-11-05T12:00") == [
        "2018-11-04T01:00-02:00",
        "2018-11-05T00:30-02:00",
    ]
    assert local_times("30 0 * * *", SAO_PAULO, "2026-10-31T12:00", "2026-11-02T12:00") == [
        "2026-11-01T00:30-03:00",
        "2026-11-02T00:30-03:00",
    ]


def test_a_day_that_a_zone_skipped_whole_fires_once_at_its_end() -> None:
    assert local_times("30 2,14 * * *", APIA, "2011-12-29T12:00", "2011-12-31T12:00") == [
        "2011-12-29T14:30-10:00",
        "2011-12-31T00:00+14:00",
        "2011-12-31T02:30+14:00",
    ]
    assert local_times("0 */12 * * *", APIA, "2011-12-29T06:00", "2011-12-31T06:00") == [
        "2011-12-29T12:00-10:00",
        "2011-12-31T00:00+14:00",
    ]


def test_apia_has_no_summer_time_since_2021() -> None:
    assert local_times("30 3 * * *", APIA, "2020-09-26T12:00", "2020-09-27T12:00") == [
        "2020-09-27T04:00+14:00"
    ]
    assert local_times("30 3 * * *", APIA, "2026-09-26T12:00", "2026-09-27T12:00") == [
        "2026-09-27T03:30+13:00"
    ]


# The window


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
    times = times_between(
        parse_cron("0 0 1 * *"), UTC, after=datetime(2026, 1, 15, tzinfo=UTC), until=forever
    )

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
def test_a_day_that_satisfies_either_of_two_restricted_fields_is_enough(
    cron: str, expected: list[str]
) -> None:
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
    ("cron", "count"),
    [("", 0), ("0 6 * *", 4), ("0 0 6 * * *", 6), ("0 0 6 * * * 2026", 7), ("every day", 2)],
)
def test_another_number_of_fields_than_five_is_refused(cron: str, count: int) -> None:
    message = _refusal(cron)

    assert f"five fields are needed, without seconds or a year, and it has {count}." in message
    assert FIVE_FIELDS in message


@pytest.mark.parametrize(
    ("cron", "problem"),
    [
        ("99 99 99 99 99", "its minute, '99', cannot be read. Write a number from 0 to 59"),
        ("0 24 * * *", "its hour, '24', cannot be read. Write a number from 0 to 23"),
        ("0 0 0 * *", "its day of month, '0', cannot be read. Write a number from 1 to 31"),
        ("0 0 32W * *", "its day of month, '32W', cannot be read"),
        ("0 0 1 13 *", "its month, '13', cannot be read. Write a number from 1 to 12"),
        ("0 0 1 FOO *", "its month, 'FOO', cannot be read"),
        (
            "0 0 * * 8",
            "its day of week, '8', cannot be read. Write a number from 0 to 7 (0 and 7 are Sunday)",
        ),
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
        (
            "0 0 * * MON-MON#1",
            "its day of week, 'MON-MON#1', has a range that starts and ends at the same value",
        ),
        ("0 0 9-0 * *", "its day of month, '9-0', has a range that leaves the possible values"),
        (
            "0 23-5/2 * * *",
            "its hour, '23-5/2', has a step over a range that runs backwards (list its values",
        ),
        ("R * * * *", "its minute, 'R', is hashed or random"),
        ("0 h(0-5) * * *", "its hour, 'h(0-5)', is hashed or random"),
        ("0 0 * * *,1#1", "its day of week, '*,1#1', mixes weekdays counted within the month with others"),
        ("0 0 * * L5,1", "its day of week, 'L5,1', mixes weekdays counted within the month with others"),
    ],
)
def test_what_croniter_takes_and_does_not_evaluate_as_written_is_refused(cron: str, problem: str) -> None:
    assert f"The cron '{cron}' is not valid: {problem}" in _refusal(cron)


def test_a_refusal_that_no_single_field_explains_still_says_what_to_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(croniter, "is_valid", lambda _: True)

    assert FIVE_FIELDS in _refusal("99 0 * * *")


@pytest.mark.parametrize("cron", ["0 0 15W * 1", "0 0 15 * 1#2", "0 0 L * L5"])
def test_a_counted_day_with_another_restriction_is_refused(cron: str) -> None:
    assert "cannot be combined, because schedulers read that in different ways" in _refusal(cron)


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
    assert (
        f"its day of month, '{day}', comes in no month of '{months}', so the cron can never fire"
        in _refusal(cron)
    )


def _refusal(cron: str) -> str:
    with pytest.raises(InvalidCronError) as refusal:
        parse_cron(cron)
    assert refusal.value.code == "invalid_cron"
    return refusal.value.message
