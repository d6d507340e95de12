"""The schedule rows of each approach, and the approach in effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NoReturn

import pytest
from django.db import OperationalError
from pytest_django import Settings as DjangoSettings

from report_orchestrator import tasks
from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportChange, ReportSchedule, SharedState, StateName
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.ports import QueueSchedule, ScheduleSync
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling.pausing import pause
from report_orchestrator.services.timetable import queue_sync
from report_orchestrator.services.timetable.effective_settings import effective_settings
from report_orchestrator.services.timetable.queue_schedules import pipeline_name, ticks
from report_orchestrator.services.timetable.queue_sync import (
    remove_schedules,
    request_sync,
    sync_if_stale,
    sync_schedules,
)
from report_orchestrator.services.upkeep.tick import tick
from report_orchestrator.testing import START, FakePorts, FakeQueue, geo_report, make_runtime
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
SENSOR = SettingsFactory.make()
PIPELINE = SettingsFactory.make(SCHEDULING_APPROACH="pipeline")
SCHEDULE = SettingsFactory.make(SCHEDULING_APPROACH="schedule", SCHEDULE_CRON_EXPRESSION="5 * * * *")
ALWAYS = {"report orchestrator: discovery", "report orchestrator: tick"}


@pytest.fixture
def two_reports(fakes: FakePorts) -> FakePorts:
    for key in ("1", "2"):
        fakes.reports.add(geo_report(key))
    discover(runtime=fakes.runtime(get_settings()))
    return fakes


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        (SENSOR, {"report orchestrator: cron sensor"}),
        (SCHEDULE, {"report orchestrator: schedule"}),
        (PIPELINE, {"report 1: Windstorm accumulation #", "report 2: Windstorm accumulation #"}),
    ],
)
def test_a_sync_leaves_exactly_the_lines_of_the_approach(
    two_reports: FakePorts, settings: object, lines: set[str]
) -> None:
    for other in (SENSOR, SCHEDULE, PIPELINE, settings):
        sync_schedules(runtime=make_runtime(two_reports.ports, other))  # type: ignore[arg-type]  # settings, by parametrize
    assert {name.rstrip("0123456789") for name in two_reports.queue.lines} == ALWAYS | lines


@pytest.mark.parametrize(
    ("cron", "zone", "turn"),
    [
        ("0 14 * * *", "UTC", START + timedelta(hours=2)),
        ("0 18 * * *", "UTC", START + timedelta(hours=6)),
        ("0 14 * * *", "America/New_York", START + timedelta(hours=6)),
    ],
)
def test_a_sync_computes_the_turns_of_ticks_again(
    two_reports: FakePorts, settings: DjangoSettings, cron: str, zone: str, turn: datetime
) -> None:
    given = {"SCHEDULING_APPROACH": "schedule", "SCHEDULE_CRON_EXPRESSION": cron}
    settings.TIME_ZONE = zone
    schedule = SettingsFactory.make(**given, DISCOVERY_SENSOR_INTERVAL_SECONDS=600)
    due = {tick.name: START + timedelta(hours=4) for tick in ticks(schedule)} | {"tick": START}
    for tick_ in ticks(schedule):
        SharedState.objects.create(name=tick_.state_name, due_at=due[tick_.name], marked_at=START)
    sync_schedules(runtime=make_runtime(two_reports.ports, schedule))
    turns = {tick_.name: SharedState.objects.get(name=tick_.state_name).due_at for tick_ in ticks(schedule)}
    assert turns == {"tick": START, "discovery": START + timedelta(minutes=10), "schedule": turn}


def test_all_lines_are_removed_before_the_app_is_and_come_back_with_the_next_tick(two_reports: FakePorts) -> None:
    runtime = make_runtime(two_reports.ports, PIPELINE)
    sync_schedules(runtime=runtime)
    assert len(remove_schedules(runtime=runtime).removed) == len(ALWAYS) + 2
    assert two_reports.queue.lines == {}
    assert remove_schedules(runtime=runtime).removed == ()
    tick(runtime=runtime, until=START)
    assert len(two_reports.queue.lines) == len(ALWAYS) + 2


def test_a_switch_by_command_reaches_clusters_that_are_running_and_is_not_undone_by_their_ticks(
    two_reports: FakePorts,
) -> None:
    sync_schedules(runtime=make_runtime(two_reports.ports, SENSOR))
    sync_schedules(runtime=make_runtime(two_reports.ports, PIPELINE))
    running = effective_settings(SENSOR)  # what a cluster that was started as a sensor goes by now
    assert running.scheduling_approach == "pipeline"
    tick(runtime=make_runtime(two_reports.ports, running), until=START)
    assert row_name("1") in two_reports.queue.lines
    assert [tick.name for tick in ticks(running)] == ["tick", "discovery"]


def test_a_window_and_its_cron_are_in_effect_together(two_reports: FakePorts) -> None:
    sync_schedules(runtime=make_runtime(two_reports.ports, SCHEDULE))
    assert effective_settings(SENSOR).schedule_cron_expression == "5 * * * *"
    assert effective_settings(SENSOR).schedule_interval == SCHEDULE.schedule_interval


def test_nothing_synced_leaves_the_settings_as_they_are(fakes: FakePorts) -> None:
    assert effective_settings(SENSOR) == SENSOR


def test_a_tick_makes_the_lines_once_and_again_only_when_a_report_changed(two_reports: FakePorts) -> None:
    assert sync_if_stale(runtime=make_runtime(two_reports.ports, PIPELINE)) is not None
    assert sync_if_stale(runtime=make_runtime(two_reports.ports, PIPELINE)) is None
    before = row_name("1")
    two_reports.reports.change("1", name="Renamed")
    discover(runtime=make_runtime(two_reports.ports, get_settings()))
    synced = sync_if_stale(runtime=make_runtime(two_reports.ports, PIPELINE))
    assert synced is not None
    assert synced.created == (row_name("1"),)
    assert synced.removed == (before,)
    assert sync_if_stale(runtime=make_runtime(two_reports.ports, PIPELINE)) is None


def test_a_pause_takes_the_line_away_at_the_next_tick(two_reports: FakePorts) -> None:
    sync_schedules(runtime=make_runtime(two_reports.ports, PIPELINE))
    pause(["1"], actor="ann", reason="", runtime=make_runtime(two_reports.ports))
    tick(runtime=make_runtime(two_reports.ports, PIPELINE), until=START)
    assert row_name("1") not in two_reports.queue.lines


def test_asking_for_a_reconciliation_before_there_are_lines_is_harmless(fakes: FakePorts) -> None:
    request_sync({1})
    assert not ReportSchedule.objects.exists()


def test_what_the_queue_left_undecided_is_opened_by_the_tick(two_reports: FakePorts) -> None:
    SharedState.objects.record(StateName.SCHEDULING, now=START)
    sync_schedules(runtime=make_runtime(two_reports.ports, PIPELINE))
    two_reports.clock.advance(hours=1, seconds=30)
    tick(runtime=make_runtime(two_reports.ports, PIPELINE), until=START)
    assert two_reports.queue.notified == []  # the queue may still fire its line
    two_reports.clock.advance(seconds=45)
    tick(runtime=make_runtime(two_reports.ports, PIPELINE), until=START)
    assert len(two_reports.queue.notified) == 2


def test_an_edit_has_only_its_own_reports_line_looked_at(two_reports: FakePorts) -> None:
    sync_schedules(runtime=make_runtime(two_reports.ports, PIPELINE))
    two_reports.queue.lines[row_name("2")] = two_reports.queue.lines["report orchestrator: tick"]
    two_reports.reports.change("1", cron="5 * * * *")
    discover(runtime=make_runtime(two_reports.ports, get_settings()))
    synced = sync_if_stale(runtime=make_runtime(two_reports.ports, PIPELINE))
    assert synced is not None
    assert (list(synced.updated), synced.created, synced.removed) == ([row_name("1")], (), ())
    assert two_reports.queue.lines[row_name("1")].cron == "5 * * * *"


def test_a_sync_that_fails_is_made_up_for_by_the_next_tick(
    two_reports: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_schedules(runtime=make_runtime(two_reports.ports, PIPELINE))
    two_reports.reports.change("1", cron="5 * * * *")
    discover(runtime=make_runtime(two_reports.ports, get_settings()))
    for attempt in (sync_if_stale, sync_schedules):
        with monkeypatch.context() as broken:
            broken.setattr(FakeQueue, "sync_schedules", deadlocked)
            with pytest.raises(OperationalError):
                attempt(runtime=make_runtime(two_reports.ports, PIPELINE))
    assert sync_if_stale(runtime=make_runtime(two_reports.ports, PIPELINE)) is not None
    assert two_reports.queue.lines[row_name("1")].cron == "5 * * * *"
    assert sync_if_stale(runtime=make_runtime(two_reports.ports, PIPELINE)) is None


def deadlocked(*_args: object, **_kwargs: object) -> NoReturn:
    raise OperationalError("deadlock detected")


def test_after_very_many_edits_all_lines_are_looked_at(two_reports: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_sync, "MANY", 1)
    sync_schedules(runtime=make_runtime(two_reports.ports, PIPELINE))
    for key in ("1", "2"):
        two_reports.reports.change(key, cron="5 * * * *")
    discover(runtime=make_runtime(two_reports.ports, get_settings()))
    synced = sync_if_stale(runtime=make_runtime(two_reports.ports, PIPELINE))
    assert synced is not None
    assert (len(synced.updated), synced.unchanged) == (2, 2)


def test_an_edit_that_comes_during_a_sync_is_not_lost(two_reports: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = FakeQueue.sync_schedules

    def overtaken(self: FakeQueue, wanted: Iterable[QueueSchedule], **only: Any) -> ScheduleSync:
        synced = sync(self, list(wanted), **only)
        two_reports.reports.change("1", cron="5 * * * *")
        discover(runtime=make_runtime(two_reports.ports, get_settings()))
        return synced

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(FakeQueue, "sync_schedules", overtaken)
        sync_schedules(runtime=make_runtime(two_reports.ports, PIPELINE))
    assert sync_if_stale(runtime=make_runtime(two_reports.ports, PIPELINE)) is not None
    assert two_reports.queue.lines[row_name("1")].cron == "5 * * * *"


@pytest.mark.parametrize("attempt", [sync_if_stale, sync_schedules])
def test_schedules_that_are_removed_during_a_sync_come_back_with_a_later_one(
    two_reports: FakePorts, monkeypatch: pytest.MonkeyPatch, attempt: Callable[..., object]
) -> None:
    runtime = make_runtime(two_reports.ports, PIPELINE)
    sync_schedules(runtime=runtime)
    request_sync([ReportSchedule.objects.get(report_key="1").pk])
    with monkeypatch.context() as meanwhile:
        for name in ("recording_failure", "wanted_schedules"):  # after the state was read, and before it is written
            meanwhile.setattr(queue_sync, name, removing(getattr(queue_sync, name), name, attempt))
        attempt(runtime=runtime)
    sync_if_stale(runtime=runtime)
    assert row_name("1") in two_reports.queue.lines


def removing(function: Callable[..., Any], name: str, attempt: object) -> Callable[..., Any]:
    """Return the function with a removal of all schedules before it, in the place where the attempt holds no lock."""
    place = "recording_failure" if attempt is sync_if_stale else "wanted_schedules"

    def removed(*args: Any, **options: Any) -> Any:
        if name == place:
            SharedState.objects.filter(name=StateName.SCHEDULES).delete()
        return function(*args, **options)

    return removed


@pytest.mark.parametrize("change", ["a sync in progress", "an edit"])
def test_a_tick_that_began_before_a_switch_does_not_undo_it(two_reports: FakePorts, change: str) -> None:
    sync_schedules(runtime=make_runtime(two_reports.ports, SENSOR))
    running = Runtime.of(two_reports.ports, SENSOR, effective_settings)
    assert running.settings.scheduling_approach == "sensor"
    sync_schedules(runtime=make_runtime(two_reports.ports, PIPELINE))
    if change == "an edit":
        two_reports.reports.change("1", cron="5 * * * *")
        discover(runtime=make_runtime(two_reports.ports, PIPELINE))
    else:
        state = SharedState.objects.get(name=StateName.SCHEDULES)
        state.detail |= {"stale": "a token"}
        state.save()
    assert sync_if_stale(runtime=running) is not None
    assert effective_settings(SENSOR).scheduling_approach == "pipeline"
    assert two_reports.queue.lines.keys() == ALWAYS | {row_name("1"), row_name("2")}
    expected = "5 * * * *" if change == "an edit" else "0 * * * *"
    assert two_reports.queue.lines[row_name("1")].cron == expected


def test_a_window_that_began_before_a_switch_of_its_cron_does_not_undo_it(
    two_reports: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    daily = SettingsFactory.make(SCHEDULING_APPROACH="schedule", SCHEDULE_CRON_EXPRESSION="0 6 * * *")
    sync_schedules(runtime=make_runtime(two_reports.ports, daily))
    running = Runtime.of(two_reports.ports, daily, effective_settings)
    monkeypatch.setattr(tasks, "get_runtime", lambda: running)
    assert running.settings.schedule_cron_expression == "0 6 * * *"
    sync_schedules(runtime=make_runtime(two_reports.ports, SCHEDULE))
    tasks.decide_window()
    assert two_reports.queue.lines["report orchestrator: schedule"].next_run_at == START + timedelta(minutes=5)


def test_of_two_clusters_that_start_at_once_the_last_one_determines_the_lines(
    two_reports: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = FakeQueue.sync_schedules

    def overtaken(self: FakeQueue, wanted: Iterable[QueueSchedule], **only: Any) -> ScheduleSync:
        monkeypatch.setattr(FakeQueue, "sync_schedules", sync)
        sync_schedules(runtime=make_runtime(two_reports.ports, PIPELINE))
        return sync(self, wanted, **only)

    monkeypatch.setattr(FakeQueue, "sync_schedules", overtaken)
    sync_schedules(runtime=make_runtime(two_reports.ports, SENSOR))
    ticking = Runtime.of(two_reports.ports, SENSOR, effective_settings)
    assert ticking.settings.scheduling_approach == "pipeline"
    assert sync_if_stale(runtime=ticking) is not None
    assert two_reports.queue.lines.keys() == ALWAYS | {row_name("1"), row_name("2")}
    assert sync_if_stale(runtime=ticking) is None


def row_name(key: str) -> str:
    schedule = ReportSchedule.objects.get(report_key=key)
    return pipeline_name(schedule.pk, key, schedule.name)


def test_each_report_has_a_row_of_its_own_however_long_its_key_is(fakes: FakePorts) -> None:
    keys = ["k" * 150 + "1", "k" * 150 + "2", "a", "a: b"]
    for key, name in zip(keys, ("Flood", "Flood", "b: c", "c"), strict=True):
        fakes.reports.add(geo_report(key, name=name))
    discover(runtime=fakes.runtime(get_settings()))
    sync_schedules(runtime=make_runtime(fakes.ports, PIPELINE))
    rows = [row for row in fakes.queue.lines.values() if row.args]
    assert len(rows) == len(keys)
    assert max(len(row.name) for row in rows) == 100
    assert not sync_schedules(runtime=make_runtime(fakes.ports, PIPELINE)).changed


def test_a_group_has_no_name_since_process_titles_show_it(two_reports: FakePorts) -> None:
    sync_schedules(runtime=make_runtime(two_reports.ports, PIPELINE))
    numbers = ReportSchedule.objects.values_list("pk", flat=True)
    assert {row.group for row in two_reports.queue.lines.values() if row.args} == {f"report #{pk}" for pk in numbers}


def test_a_change_of_approach_is_recorded_once_with_the_settings_that_changed(two_reports: FakePorts) -> None:
    for settings in (SENSOR, SENSOR, SCHEDULE, SCHEDULE, SENSOR):
        sync_schedules(runtime=make_runtime(two_reports.ports, settings))
        two_reports.clock.advance(seconds=1)
    changes = ReportChange.objects.filter(kind=ChangeKind.APPROACH).order_by("pk")
    assert [(change.schedule, change.source, change.before, change.after) for change in changes] == [
        (
            None,
            "settings",
            {"SCHEDULING_APPROACH": "sensor", "SCHEDULE_CRON_EXPRESSION": "0 * * * *"},
            {"SCHEDULING_APPROACH": "schedule", "SCHEDULE_CRON_EXPRESSION": "5 * * * *"},
        ),
        (
            None,
            "settings",
            {"SCHEDULING_APPROACH": "schedule", "SCHEDULE_CRON_EXPRESSION": "5 * * * *"},
            {"SCHEDULING_APPROACH": "sensor", "SCHEDULE_CRON_EXPRESSION": "0 * * * *"},
        ),
    ]
