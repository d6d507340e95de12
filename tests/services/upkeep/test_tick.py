"""Upkeep never waits behind work: its message may be far back in the queue while every worker is busy."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from report_orchestrator import tasks
from report_orchestrator.models import SharedState
from report_orchestrator.services.timetable.queue_schedules import LONGEST_UPKEEP
from report_orchestrator.services.upkeep.tick import tick_if_overdue
from report_orchestrator.testing import FakePorts
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = SettingsFactory.make()


def last_tick() -> datetime | None:
    return SharedState.objects.filter(name="tick").values_list("marked_at", flat=True).first()


def test_upkeep_is_done_once_it_is_overdue_and_not_before(fakes: FakePorts, db: None) -> None:
    def look_after(seconds: float) -> datetime | None:
        now = fakes.clock.advance(seconds=seconds)
        tick_if_overdue(runtime=fakes.runtime(SETTINGS), until=now + timedelta(seconds=1))
        return last_tick()

    first = look_after(0)
    assert first == fakes.clock.now
    long = 2 * LONGEST_UPKEEP.total_seconds()
    assert look_after(long - 1) == first
    assert look_after(2) == fakes.clock.now


def test_a_worker_in_the_midst_of_work_does_overdue_upkeep(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "get_runtime", fakes.runtime)
    assert last_tick() is None
    assert tasks.work(new_run().pk) == 1
    assert last_tick() == fakes.clock.now


def test_an_idle_message_does_no_upkeep(fakes: FakePorts, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "get_runtime", fakes.runtime)
    assert tasks.work(4711) == 0
    assert last_tick() is None
