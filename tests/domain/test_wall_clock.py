"""Wall times that come twice, and those that come once."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from report_orchestrator.domain.wall_clock import start_of_repetition, utc_readings

NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("time", ["01:00:00", "01:00:01", "01:30:00", "01:59:59.999999"])
def test_all_of_a_repeated_hour_has_one_start(time: str) -> None:
    assert start_of_repetition(wall(f"2026-11-01T{time}"), NEW_YORK) == wall("2026-11-01T01:00:00")
    assert start_of_repetition(wall(f"2026-11-01T{time}").replace(fold=1), NEW_YORK) == wall("2026-11-01T01:00:00")


def test_half_an_hour_may_be_repeated_too() -> None:
    assert start_of_repetition(wall("2026-04-05T01:45:00"), LORD_HOWE) == wall("2026-04-05T01:30:00")


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-01T00:59:59.999999",
        "2026-11-01T02:00:00",
        "2026-03-08T02:30:00",  # skipped
        "2026-07-01T12:00:00",
    ],
)
def test_a_time_that_does_not_come_twice_has_none(time: str) -> None:
    assert start_of_repetition(wall(time), NEW_YORK) is None
    assert start_of_repetition(wall(time), ZoneInfo("UTC")) is None


def test_a_repeated_time_reads_as_two_instants() -> None:
    first, second = utc_readings(wall("2026-11-01T01:30:00"), NEW_YORK)
    assert (first, second) == (datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC))
