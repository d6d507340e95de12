"""A failed task of upkeep is a finding of health until it succeeds, and is tried again soon."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NoReturn

import pytest
from django.db import DataError, ProgrammingError

from report_orchestrator import tasks
from report_orchestrator.exceptions import TransientError
from report_orchestrator.models import SharedState
from report_orchestrator.services.discovery import full_scan
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.discovery.schedule_sync import sync_chunk
from report_orchestrator.services.monitoring.findings import Finding, check_health, check_liveness
from report_orchestrator.services.monitoring.snapshot import read_snapshot
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.services.upkeep import pruning
from report_orchestrator.services.upkeep import tick as upkeep
from report_orchestrator.services.upkeep.pruning import prune_if_due
from report_orchestrator.services.upkeep.temp_files import sweep_if_due
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.planted_secrets import KEY
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = SettingsFactory.make()
TURN = "bell: report_orchestrator.tasks.rediscover"
DAY = timedelta(days=1)


def fail(*_args: object, **_kwargs: object) -> NoReturn:
    raise ProgrammingError("cursor does not exist")


def die(*_args: object, **_kwargs: object) -> NoReturn:
    raise SystemExit


def finding(fakes: FakePorts) -> Finding:
    [found] = [one for one in check_health(runtime=fakes.runtime(SETTINGS)) if one.name == "upkeep"]
    return found


def tick(fakes: FakePorts) -> None:
    upkeep.tick(runtime=fakes.runtime(SETTINGS), until=fakes.clock.now + timedelta(seconds=1))


class TestDiscovery:
    @pytest.fixture(autouse=True)
    def _runtime(self, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, db: None) -> None:
        monkeypatch.setattr(tasks, "get_runtime", fakes.runtime)
        sync_schedules(runtime=fakes.runtime(SETTINGS))

    def fails(self, fakes: FakePorts) -> None:
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(type(fakes.reports), "summaries", fail)
            with pytest.raises(ProgrammingError):
                tasks.run_discovery()

    def turn(self) -> datetime | None:
        return SharedState.objects.get(name=TURN).due_at

    def test_a_second_failure_is_red_until_one_succeeds(self, fakes: FakePorts) -> None:
        began = fakes.clock.now
        self.fails(fakes)
        once = finding(fakes)
        assert (once.well, once.detail) == (
            True,
            f"discovery: 1 failure since {began:%Y-%m-%d %H:%M} UTC (ProgrammingError)",
        )
        assert once.hint
        fakes.clock.advance(minutes=1)
        self.fails(fakes)
        assert finding(fakes).detail == f"discovery: 2 failures since {began:%Y-%m-%d %H:%M} UTC (ProgrammingError)"
        assert not finding(fakes).well
        assert "upkeep" not in {one.name for one in check_liveness(runtime=fakes.runtime(SETTINGS))}
        tasks.run_discovery()
        assert (finding(fakes).well, finding(fakes).hint) == (True, "")

    def test_one_by_command_counts_as_success_and_a_dry_run_does_not(self, fakes: FakePorts) -> None:
        for _ in range(2):
            self.fails(fakes)
        discover(runtime=fakes.runtime(SETTINGS), dry_run=True)
        assert not finding(fakes).well
        discover(runtime=fakes.runtime(SETTINGS))
        assert finding(fakes).well

    def test_its_next_turn_comes_within_minutes_and_less_often_if_it_goes_on(self, fakes: FakePorts) -> None:
        now = fakes.clock.now
        SharedState.objects.claim_turn(TURN, now=now, until=now + DAY)
        pauses = []
        for _ in range(9):
            self.fails(fakes)
            pauses.append(((self.turn() or now) - now) / timedelta(minutes=1))
            SharedState.objects.filter(name=TURN).update(due_at=now + DAY)
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    def test_an_earlier_turn_stays(self, fakes: FakePorts) -> None:
        soon = fakes.clock.now + timedelta(seconds=9)
        SharedState.objects.claim_turn(TURN, now=fakes.clock.now, until=soon)
        self.fails(fakes)
        assert self.turn() == soon

    def test_whose_worker_is_lost_is_a_failure_and_is_tried_again(
        self, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        began = fakes.clock.now
        SharedState.objects.claim_turn(TURN, now=began, until=began + DAY)
        with monkeypatch.context() as killed:
            killed.setattr(type(fakes.reports), "summaries", die)
            with pytest.raises(SystemExit):
                tasks.run_discovery()
        tasks.tick()
        assert finding(fakes).detail == "no failures"  # it may be at work
        fakes.clock.advance(seconds=SETTINGS.lease.total_seconds())
        for _ in range(2):
            tasks.tick()
        assert finding(fakes).detail == f"discovery: 1 failure since {fakes.clock.now:%Y-%m-%d %H:%M} UTC (worker_lost)"
        assert self.turn() == fakes.clock.now + timedelta(minutes=1)
        tasks.run_discovery()
        assert finding(fakes).detail == "no failures"

    def test_whose_worker_is_lost_is_made_good_by_a_command(
        self, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as killed:
            killed.setattr(type(fakes.reports), "summaries", die)
            with pytest.raises(SystemExit):
                tasks.run_discovery()
        discover(runtime=fakes.runtime(SETTINGS))
        fakes.clock.advance(days=1)
        tasks.tick()
        assert finding(fakes).detail == "no failures"

    def test_that_takes_longer_than_a_lease_keeps_it(self, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
        for key in "123":
            fakes.reports.add(geo_report(key))
        seconds = SETTINGS.lease.total_seconds() * 0.9

        def slow(*args: Any, **kwargs: Any) -> None:
            fakes.clock.advance(seconds=seconds)
            tasks.tick()
            assert finding(fakes).detail == "no failures"
            sync_chunk(*args, **kwargs)

        monkeypatch.setattr(full_scan, "CHUNK", 1)
        monkeypatch.setattr(full_scan, "sync_chunk", slow)
        tasks.run_discovery()
        assert finding(fakes).detail == "no failures"
        fakes.clock.advance(days=1)
        tasks.tick()
        assert finding(fakes).detail == "no failures"

    def test_where_only_the_queue_schedules_its_line_is_moved(self, fakes: FakePorts) -> None:
        self.fails(fakes)
        line = fakes.queue.lines["report orchestrator: discovery"]
        assert line.next_run_at == fakes.clock.now + timedelta(minutes=1)


def broken_pruning(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "_delete", fail)


def broken_store(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.store.failures.append(TransientError("the lake is at capacity", code="onelake_at_capacity"))


def broken_custom_store(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.store.failures.append(ValueError("no such bucket"))


def prunes(fakes: FakePorts) -> None:
    prune_if_due(runtime=fakes.runtime(SETTINGS), until=fakes.clock.now + timedelta(seconds=5))


def sweeps(fakes: FakePorts) -> None:
    sweep_if_due(runtime=fakes.runtime(SETTINGS))


@pytest.mark.parametrize(
    ("task", "break_it", "name", "cause"),
    [
        (prunes, broken_pruning, "pruning", "ProgrammingError"),
        (sweeps, broken_store, "removal of temporary files", "onelake_at_capacity"),
        (sweeps, broken_custom_store, "removal of temporary files", "ValueError"),
    ],
)
def test_a_failed_cleanup_is_named_and_tried_again_in_minutes(
    fakes: FakePorts,
    monkeypatch: pytest.MonkeyPatch,
    db: None,
    task: Callable[[FakePorts], None],
    break_it: Callable[[FakePorts, pytest.MonkeyPatch], None],
    name: str,
    cause: str,
) -> None:
    with monkeypatch.context() as broken:
        break_it(fakes, broken)
        try:
            task(fakes)
        except ValueError:
            assert cause == "ValueError"
        assert finding(fakes).detail.startswith(f"{name}: 1 failure since")
        assert finding(fakes).detail.endswith(f"({cause})")
        task(fakes)
    assert "1 failure" in finding(fakes).detail  # not its turn yet: neither a failure nor a success
    fakes.clock.advance(minutes=10)
    task(fakes)
    assert finding(fakes).detail == "no failures"


@pytest.mark.parametrize(
    ("part", "name"), [("notify_startable", "tick"), ("poll_exclusively", "tick"), ("follow_clock", "tick")]
)
def test_a_failing_part_of_the_tick_is_named_until_a_tick_succeeds(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, db: None, part: str, name: str
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(upkeep, part, fail)
        for _ in range(2):
            with pytest.raises(ProgrammingError):
                tick(fakes)
    assert not finding(fakes).well
    assert finding(fakes).detail.startswith(f"{name}: 2 failures since")
    tick(fakes)
    assert finding(fakes).detail == "no failures"


def test_a_failing_sync_of_the_queue_is_named_and_delays_no_other_task(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(type(fakes.queue), "sync_schedules", fail)
        with pytest.raises(ProgrammingError):
            tick(fakes)
    assert finding(fakes).detail.startswith("sync of the queue's schedules: 1 failure since")
    assert fakes.store.sweeps
    tick(fakes)
    assert finding(fakes).detail == "no failures"


@pytest.mark.parametrize("task", ["cron_sensor", "decide_window", "tick"])
def test_a_failing_search_for_edits_is_named(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, db: None, task: str
) -> None:
    approach = {"cron_sensor": "sensor", "decide_window": "schedule", "tick": "pipeline"}[task]
    settings = SettingsFactory.make(SCHEDULING_APPROACH=approach)
    monkeypatch.setattr(tasks, "get_runtime", lambda: fakes.runtime(settings))
    discover(runtime=fakes.runtime(settings))
    SharedState.objects.record(
        "change stamps",
        now=fakes.clock.now,
        detail={"newest": fakes.clock.now.isoformat(), "seen_at": fakes.clock.now.isoformat(), "is_settled": False},
    )
    with monkeypatch.context() as broken:
        broken.setattr(type(fakes.reports), "changed_since", fail)
        with pytest.raises(ProgrammingError):
            getattr(tasks, task)()
    assert finding(fakes).detail.startswith("search for edited reports: 1 failure since")
    fakes.clock.advance(minutes=2)
    getattr(tasks, task)()
    assert finding(fakes).detail == "no failures"


def test_the_message_is_kept_for_people_without_secrets_and_health_shows_none(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, settings: Any, db: None
) -> None:
    settings.REPORT_ORCHESTRATOR = {**settings.REPORT_ORCHESTRATOR, "FIREANT_API_KEY": KEY}
    monkeypatch.setattr(
        upkeep, "notify_startable", lambda **_: fail_with(f"denied {KEY} of report 7\x00\udcff" + 600 * "x")
    )
    with pytest.raises(DataError):
        tick(fakes)
    snapshot = read_snapshot(fakes.clock(), SETTINGS, report_model=fakes.reports.label)
    [failed] = snapshot.failed_upkeep
    assert failed.message.startswith("DataError: denied ***")
    assert len(failed.message) == 500
    stored = str(list(SharedState.objects.values_list("name", "detail")))
    assert KEY not in stored
    assert "denied" not in finding(fakes).detail


def fail_with(text: str) -> NoReturn:
    raise DataError(text)
