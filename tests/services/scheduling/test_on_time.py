"""Which times are on time: measured from the windows' own times, across switches, and never in a pause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pytest_django import Settings as DjangoSettings

from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ReportRun
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.services.scheduling.pausing import pause, pause_all, resume, resume_all
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.services.upkeep.pruning import prune
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
POLICIES = ["latest", "all", "none"]
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 7, day, hour, minute, second, tzinfo=UTC)


def windows(**given: object) -> Settings:
    return SettingsFactory.make(**{"SCHEDULING_APPROACH": "schedule", "OVERLAP": "allow", **given})


def daily(**given: object) -> Settings:
    return windows(**{"SCHEDULE_CRON_EXPRESSION": "0 6 * * *", "SCHEDULE_INTERVAL_SECONDS": 86400, **given})


def discovered(fakes: FakePorts, cron: str, now: datetime, **summary: object) -> None:
    fakes.clock.now = now
    fakes.reports.add(geo_report("1"), cron=cron, **summary)
    discover(runtime=fakes.runtime(get_settings()))


def tick(fakes: FakePorts, now: datetime, settings: Settings) -> None:
    fakes.clock.now = now
    open_due_runs(runtime=fakes.runtime(settings))


def times(*statuses: Status) -> list[datetime]:
    runs = ReportRun.objects.filter(status__in=statuses or [Status.QUEUED]).order_by("scheduled_for")
    return list(runs.values_list("scheduled_for", flat=True))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("late", [at(1, 7, 1, 10), at(1, 7, 2, 20)], ids=["a tick", "a deployment"])
def test_a_late_window_runs_its_own_times(fakes: FakePorts, policy: str, late: datetime) -> None:
    discovered(fakes, "*/5 * * * *", at(1, 6, 0, 5))
    tick(fakes, late, windows(MISSED_RUNS=policy))
    assert times() == [at(1, 6, minute) for minute in range(5, 60, 5)] + [at(1, 7)]
    assert times(Status.SKIPPED) == []


def test_a_missed_window_is_missed(fakes: FakePorts) -> None:
    discovered(fakes, "30 * * * *", at(1, 6, 0, 5))
    tick(fakes, at(1, 8, 0, 5), windows(MISSED_RUNS="none"))
    assert (times(Status.SKIPPED), times()) == ([at(1, 6, 30)], [at(1, 7, 30)])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_window_of_25_hours_runs_its_first_times(fakes: FakePorts, policy: str, settings: DjangoSettings) -> None:
    settings.TIME_ZONE = "Europe/Amsterdam"
    saturday, sunday = (datetime(2026, 10, day, 6, 0, 5, tzinfo=AMSTERDAM) for day in (24, 25))
    discovered(fakes, "30 6 * * *", saturday, timezone="Europe/Amsterdam")
    tick(fakes, sunday.astimezone(UTC), daily(MISSED_RUNS=policy))
    assert times() == [datetime(2026, 10, 24, 6, 30, tzinfo=AMSTERDAM)]


def test_the_lookback_never_cuts_a_window_whose_tick_is_late(fakes: FakePorts) -> None:
    discovered(fakes, "1 6 * * *", at(1, 5))
    for day in range(1, 31):
        tick(fakes, at(day, 6) + timedelta(seconds=5 + 3 * day), daily(MISSED_RUNS="all"))
    tick(fakes, at(31, 6, 0, 5), daily(MISSED_RUNS="all"))
    assert times() == [at(day, 6, 1) for day in range(1, 31)]
    assert times(Status.SKIPPED) == []


def test_a_window_reaches_over_the_weekend(fakes: FakePorts) -> None:
    discovered(fakes, "0 12 * * *", at(3, 6, 0, 5))  # a Friday
    tick(fakes, at(6, 6, 0, 5), daily(SCHEDULE_CRON_EXPRESSION="0 6 * * 1-5"))
    assert times() == [at(3, 12), at(4, 12), at(5, 12)]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("approach", ["sensor", "pipeline"])
def test_times_that_waited_for_a_window_run_after_a_switch(fakes: FakePorts, approach: str, policy: str) -> None:
    sync_schedules(runtime=fakes.runtime(windows()))
    discovered(fakes, "*/5 * * * *", at(1, 6, 0, 5))
    new = SettingsFactory.make(SCHEDULING_APPROACH=approach, MISSED_RUNS=policy, OVERLAP="allow")
    fakes.clock.now = at(1, 6, 33)
    sync_schedules(runtime=fakes.runtime(new))
    tick(fakes, at(1, 6, 33, 30), new)
    assert times() == [at(1, 6, minute) for minute in range(5, 31, 5)]


def test_a_time_that_the_sensor_had_not_decided_yet_waits_for_the_window_after_a_switch(fakes: FakePorts) -> None:
    sensor, schedule = SettingsFactory.make(MISSED_RUNS="none"), windows(MISSED_RUNS="none")
    sync_schedules(runtime=fakes.runtime(sensor))
    discovered(fakes, "2-59/10 * * * *", at(1, 6, 0, 5))
    fakes.clock.now = at(1, 6, 33)  # an outage of the sensor, which missed 06:02, 06:12 and 06:22
    sync_schedules(runtime=fakes.runtime(schedule))
    tick(fakes, at(1, 7, 0, 5), schedule)
    assert times() == [at(1, 6, 32), at(1, 6, 42), at(1, 6, 52)]
    assert times(Status.SKIPPED) == [at(1, 6, 2), at(1, 6, 12), at(1, 6, 22)]


def test_times_before_a_switch_were_missed_if_the_first_tick_after_it_was(fakes: FakePorts) -> None:
    sync_schedules(runtime=fakes.runtime(windows()))
    discovered(fakes, "*/10 * * * *", at(1, 6, 0, 5))
    sensor = SettingsFactory.make(MISSED_RUNS="none")
    fakes.clock.now = at(1, 6, 33)
    sync_schedules(runtime=fakes.runtime(sensor))
    tick(fakes, at(1, 7, 30, 5), sensor)
    assert times() == [at(1, 7, 30)]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"SCHEDULE_CRON_EXPRESSION": "45 * * * *"}, [at(1, 6, minute) for minute in range(10, 41, 10)]),
        ({"SCHEDULE_CRON_EXPRESSION": "*/5 * * * *"}, [at(1, 6, minute) for minute in range(10, 41, 10)]),
        ({"SCHEDULE_INTERVAL_SECONDS": 60}, [at(1, 6, minute) for minute in range(10, 41, 10)]),
    ],
    ids=["cron", "shorter cron", "interval"],
)
def test_a_change_of_the_window_leaves_the_times_before_it_on_time(
    fakes: FakePorts, changed: dict[str, object], expected: list[datetime]
) -> None:
    sync_schedules(runtime=fakes.runtime(windows(MISSED_RUNS="none")))
    discovered(fakes, "*/10 * * * *", at(1, 6, 0, 5))
    fakes.clock.now = at(1, 6, 43)
    new = windows(MISSED_RUNS="none", **changed)
    sync_schedules(runtime=fakes.runtime(new))
    tick(fakes, at(1, 6, 45, 5), new)
    assert times() == expected


def test_another_time_zone_of_the_project_leaves_the_times_that_wait_for_a_window_on_time(
    fakes: FakePorts, settings: DjangoSettings
) -> None:
    settings.TIME_ZONE = "UTC"
    discovered(fakes, "0 */3 * * *", at(1, 5), timezone="Europe/Dublin")
    sync_schedules(runtime=fakes.runtime(daily()))
    tick(fakes, at(1, 6), daily())
    settings.TIME_ZONE = "Pacific/Honolulu"  # the next window is at 16:00 UTC instead of 06:00
    fakes.clock.now = at(2, 5)
    sync_schedules(runtime=fakes.runtime(daily()))
    change = ReportChange.objects.get(kind="approach")
    assert (change.before, change.after) == ({"TIME_ZONE": "UTC"}, {"TIME_ZONE": "Pacific/Honolulu"})
    tick(fakes, at(2, 16), daily())
    assert times(Status.SKIPPED) == []
    assert times(Status.QUEUED) == [at(1, 8) + timedelta(hours=hours) for hours in range(0, 31, 3)]


def test_a_shorter_interval_of_the_sensor_leaves_the_times_before_it_on_time(fakes: FakePorts) -> None:
    slow, fast = (SettingsFactory.make(CRON_SENSOR_INTERVAL_SECONDS=each, MISSED_RUNS="none") for each in (600, 10))
    sync_schedules(runtime=fakes.runtime(slow))
    discovered(fakes, "5 * * * *", at(1, 6, 0, 5))
    fakes.clock.now = at(1, 6, 9)
    sync_schedules(runtime=fakes.runtime(fast))
    sync_schedules(runtime=fakes.runtime(fast))  # as each start of a cluster does
    tick(fakes, at(1, 6, 9, 10), fast)
    assert times() == [at(1, 6, 5)]


@pytest.mark.parametrize(
    ("policy", "expected"), [("none", []), ("latest", [at(1, 6, 12)]), ("all", [at(1, 6, n) for n in range(1, 13)])]
)
@pytest.mark.parametrize("settings", [SettingsFactory.make(), windows()], ids=["sensor", "schedule"])
@pytest.mark.parametrize("of_all", [False, True], ids=["one", "all"])
def test_times_of_a_pause_are_missed(
    fakes: FakePorts, policy: str, expected: list[datetime], settings: Settings, of_all: bool
) -> None:
    given = SettingsFactory.make(SCHEDULING_APPROACH=settings.scheduling_approach, MISSED_RUNS=policy, OVERLAP="allow")
    discovered(fakes, "* * * * *", at(1, 6, 0, 5))
    runtime = fakes.runtime(given)
    if of_all:
        pause_all(actor="ann", reason="", runtime=runtime)
        fakes.clock.now = at(1, 6, 6)
        pause_all(actor="ben", reason="a better reason", runtime=runtime)
    else:
        pause(["1"], actor="ann", reason="", runtime=runtime)
    fakes.clock.now = at(1, 6, 12, 5)
    if of_all:
        resume_all(actor="ann", runtime=runtime)
    else:
        resume(["1"], actor="ann", runtime=runtime)
    tick(fakes, at(1, 6, 12, 10), given)
    assert times() == expected


def test_times_before_and_after_a_pause_are_judged_as_without_it(fakes: FakePorts) -> None:
    given = windows(MISSED_RUNS="none")
    discovered(fakes, "*/10 * * * *", at(1, 6, 0, 5))
    fakes.clock.now = at(1, 6, 15)
    pause(["1"], actor="ann", reason="", runtime=fakes.runtime(given))
    fakes.clock.now = at(1, 6, 45)
    resume(["1"], actor="ann", runtime=fakes.runtime(given))
    tick(fakes, at(1, 7, 0, 5), given)
    assert times() == [at(1, 6, 10), at(1, 6, 50), at(1, 7)]
    assert times(Status.SKIPPED) == [at(1, 6, 20), at(1, 6, 30), at(1, 6, 40)]


def test_a_pause_within_a_window_is_known_for_longer_than_changes_are_kept(fakes: FakePorts) -> None:
    given = windows(SCHEDULE_CRON_EXPRESSION="0 6 1,20 * *", MISSED_RUNS="none", KEEP_RUNS_DAYS=7)
    runtime = fakes.runtime(given)
    discovered(fakes, "0 12 * * *", at(1, 6))
    fakes.clock.now = at(3, 6)
    pause(["1"], actor="ann", reason="", runtime=runtime)
    fakes.clock.now = at(5, 6)
    resume(["1"], actor="ann", runtime=runtime)
    fakes.clock.now = at(20, 5)
    prune(runtime=runtime, until=at(20, 6))
    tick(fakes, at(20, 6, 0, 5), given)
    assert times(Status.SKIPPED) == [at(3, 12), at(4, 12)]
    assert times() == [at(day, 12) for day in range(1, 20) if day not in {3, 4}]
