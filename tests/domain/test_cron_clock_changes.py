"""A cron keeps to the clock of its zone when that clock changes."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from report_orchestrator.domain.cron import next_time, times_between
from report_orchestrator.domain.cron_parser import parse_cron
from tests.support.cron_times import local_times

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
APIA = ZoneInfo("Pacific/Apia")
CASABLANCA = ZoneInfo("Africa/Casablanca")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
NEW_YORK = ZoneInfo("America/New_York")
SANTIAGO = ZoneInfo("America/Santiago")
SAO_PAULO = ZoneInfo("America/Sao_Paulo")


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

    assert datetime(2026, 10, 25, 1, 15, tzinfo=UTC) == next_time(parse_cron("15 * * * *"), AMSTERDAM, after=first_run)
    assert datetime(2026, 10, 26, 1, 15, tzinfo=UTC) == next_time(parse_cron("15 2 * * *"), AMSTERDAM, after=first_run)


def test_a_fixed_hour_does_not_fire_again_from_within_the_second_run() -> None:
    second_run = datetime(2026, 10, 25, 2, 10, tzinfo=AMSTERDAM, fold=1)

    assert datetime(2026, 10, 26, 1, 30, tzinfo=UTC) == next_time(parse_cron("30 2 * * *"), AMSTERDAM, after=second_run)


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
    assert local_times("30 3 * * *", APIA, "2020-09-26T12:00", "2020-09-27T12:00") == ["2020-09-27T04:00+14:00"]
    assert local_times("30 3 * * *", APIA, "2026-09-26T12:00", "2026-09-27T12:00") == ["2026-09-27T03:30+13:00"]
