"""Which lines each approach wants, and which approach is in force."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import pytest
from django.db import OperationalError

from report_orchestrator.models import ReportSchedule
from report_orchestrator.ports import QueueSchedule, ScheduleSync
from report_orchestrator.services import reconciling
from report_orchestrator.services.approaches import bells, in_force
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.maintenance import tick
from report_orchestrator.services.pausing import pause
from report_orchestrator.services.reconciling import reconcile_soon, sync_if_stale, sync_schedules
from report_orchestrator.testing import START, FakePorts, FakeQueue, geo_report
from tests.conftest import SettingsFactory

pytestmark = pytest.mark.django_db
SENSOR = SettingsFactory.make()
PIPELINE = SettingsFactory.make(SCHEDULING_APPROACH="pipeline")
SCHEDULE = SettingsFactory.make(SCHEDULING_APPROACH="schedule", SCHEDULE_CRON_EXPRESSION="5 * * * *")
ALWAYS = {"report orchestrator: discovery", "report orchestrator: tick"}


@pytest.fixture
def two_reports(fakes: FakePorts) -> FakePorts:
    for key in ("1", "2"):
        fakes.reports.add(geo_report(key))
    discover(ports=fakes.ports)
    return fakes


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        (SENSOR, {"report orchestrator: cron sensor"}),
        (SCHEDULE, {"report orchestrator: schedule"}),
        (PIPELINE, {"report 1: Windstorm accumulation", "report 2: Windstorm accumulation"}),
    ],
)
def test_a_sync_leaves_exactly_the_lines_of_the_approach(
    two_reports: FakePorts, settings: object, lines: set[str]
) -> None:
    for other in (SENSOR, SCHEDULE, PIPELINE, settings):
        sync_schedules(ports=two_reports.ports, settings=other)  # type: ignore[arg-type]  # settings, by parametrize
    assert two_reports.queue.lines.keys() == ALWAYS | lines


def test_a_switch_by_command_reaches_clusters_that_are_running_and_is_not_undone_by_their_ticks(
    two_reports: FakePorts,
) -> None:
    sync_schedules(ports=two_reports.ports, settings=SENSOR)
    sync_schedules(ports=two_reports.ports, settings=PIPELINE)
    running = in_force(SENSOR)  # what a cluster that was started as a sensor goes by now
    assert running.scheduling_approach == "pipeline"
    tick(ports=two_reports.ports, settings=running, until=START)
    assert "report 1: Windstorm accumulation" in two_reports.queue.lines
    assert [bell.name for bell in bells(running)] == ["tick"]


def test_a_window_and_its_cron_are_in_force_together(two_reports: FakePorts) -> None:
    sync_schedules(ports=two_reports.ports, settings=SCHEDULE)
    assert in_force(SENSOR).schedule_cron_expression == "5 * * * *"
    assert in_force(SENSOR).schedule_interval == SCHEDULE.schedule_interval


def test_nothing_synced_leaves_the_settings_as_they_are(fakes: FakePorts) -> None:
    assert in_force(SENSOR) == SENSOR


def test_a_tick_makes_the_lines_once_and_again_only_when_a_report_changed(two_reports: FakePorts) -> None:
    assert sync_if_stale(ports=two_reports.ports, settings=PIPELINE) is not None
    assert sync_if_stale(ports=two_reports.ports, settings=PIPELINE) is None
    two_reports.reports.change("1", name="Renamed")
    discover(ports=two_reports.ports)
    synced = sync_if_stale(ports=two_reports.ports, settings=PIPELINE)
    assert synced is not None
    assert synced.created == ("report 1: Renamed",)
    assert synced.removed == ("report 1: Windstorm accumulation",)
    assert sync_if_stale(ports=two_reports.ports, settings=PIPELINE) is None


def test_a_pause_takes_the_line_away_at_the_next_tick(two_reports: FakePorts) -> None:
    sync_schedules(ports=two_reports.ports, settings=PIPELINE)
    pause(["1"], actor="ann", reason="", ports=two_reports.ports)
    tick(ports=two_reports.ports, settings=PIPELINE, until=START)
    assert "report 1: Windstorm accumulation" not in two_reports.queue.lines


def test_asking_for_a_reconciliation_before_there_are_lines_is_harmless(fakes: FakePorts) -> None:
    reconcile_soon({1})
    assert not ReportSchedule.objects.exists()


def test_what_the_queue_left_undecided_is_opened_by_the_tick(two_reports: FakePorts) -> None:
    sync_schedules(ports=two_reports.ports, settings=PIPELINE)
    two_reports.clock.advance(hours=1, seconds=30)
    tick(ports=two_reports.ports, settings=PIPELINE, until=START)
    assert two_reports.queue.rung == []  # the queue may still fire its line
    two_reports.clock.advance(seconds=45)
    tick(ports=two_reports.ports, settings=PIPELINE, until=START)
    assert len(two_reports.queue.rung) == 2


def test_an_edit_has_only_its_own_reports_line_looked_at(two_reports: FakePorts) -> None:
    sync_schedules(ports=two_reports.ports, settings=PIPELINE)
    two_reports.queue.lines["report 2: Windstorm accumulation"] = two_reports.queue.lines[
        "report orchestrator: tick"
    ]
    two_reports.reports.change("1", cron="5 * * * *")
    discover(ports=two_reports.ports)
    synced = sync_if_stale(ports=two_reports.ports, settings=PIPELINE)
    assert synced is not None
    assert (list(synced.updated), synced.created, synced.removed) == (
        ["report 1: Windstorm accumulation"],
        (),
        (),
    )
    assert two_reports.queue.lines["report 1: Windstorm accumulation"].cron == "5 * * * *"


def test_a_sync_that_fails_is_made_up_for_by_the_next_tick(
    two_reports: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_schedules(ports=two_reports.ports, settings=PIPELINE)
    two_reports.reports.change("1", cron="5 * * * *")
    discover(ports=two_reports.ports)
    for attempt in (sync_if_stale, sync_schedules):
        with monkeypatch.context() as broken:
            broken.setattr(FakeQueue, "sync_schedules", deadlocked)
            with pytest.raises(OperationalError):
                attempt(ports=two_reports.ports, settings=PIPELINE)
    assert sync_if_stale(ports=two_reports.ports, settings=PIPELINE) is not None
    assert two_reports.queue.lines["report 1: Windstorm accumulation"].cron == "5 * * * *"
    assert sync_if_stale(ports=two_reports.ports, settings=PIPELINE) is None


def deadlocked(*_args: object, **_kwargs: object) -> NoReturn:
    raise OperationalError("deadlock detected")


def test_after_very_many_edits_all_lines_are_looked_at(
    two_reports: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "MANY", 1)
    sync_schedules(ports=two_reports.ports, settings=PIPELINE)
    for key in ("1", "2"):
        two_reports.reports.change(key, cron="5 * * * *")
    discover(ports=two_reports.ports)
    synced = sync_if_stale(ports=two_reports.ports, settings=PIPELINE)
    assert synced is not None
    assert (len(synced.updated), synced.unchanged) == (2, 2)


def test_an_edit_that_comes_during_a_sync_is_not_forgotten(
    two_reports: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = FakeQueue.sync_schedules

    def overtaken(self: FakeQueue, wanted: Iterable[QueueSchedule], **only: Any) -> ScheduleSync:
        synced = sync(self, list(wanted), **only)
        two_reports.reports.change("1", cron="5 * * * *")
        discover(ports=two_reports.ports)
        return synced

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(FakeQueue, "sync_schedules", overtaken)
        sync_schedules(ports=two_reports.ports, settings=PIPELINE)
    assert sync_if_stale(ports=two_reports.ports, settings=PIPELINE) is not None
    assert two_reports.queue.lines["report 1: Windstorm accumulation"].cron == "5 * * * *"
