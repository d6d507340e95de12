"""The database's clock set back: nothing waits for the difference."""

from __future__ import annotations

from datetime import timedelta

import pytest

from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.ports import JobState
from report_orchestrator.services.running.lease import Lease
from report_orchestrator.services.running.worker import advance
from report_orchestrator.services.upkeep.tick import tick
from report_orchestrator.testing import FakePorts
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = SettingsFactory.make()


def tick_now(fakes: FakePorts) -> None:
    tick(runtime=fakes.runtime(SETTINGS), until=fakes.clock() + timedelta(seconds=1))


def claimed(run: ReportRun, fakes: FakePorts) -> ReportRun:
    """By a worker that then dies."""
    now = fakes.clock()
    run.write(status=Status.RUNNING.value, worker="dead", wake_at=now + SETTINGS.lease, started_at=now, attempt=1)
    RunStep.objects.create(run=run, step=run.step, attempt=1, started_at=now)
    return run


def test_a_lost_lease_is_missed_when_it_would_have_ended_by_the_old_clock(new_run: NewRun, fakes: FakePorts) -> None:
    run = claimed(new_run(), fakes)
    tick_now(fakes)
    fakes.clock.advance(hours=-1)
    tick_now(fakes)
    run.refresh_from_db()
    assert run.wake_at == fakes.clock() + SETTINGS.lease
    fakes.clock.advance(seconds=SETTINGS.lease.total_seconds() + 1)
    assert run.pk in ReportRun.objects.claimable(fakes.clock()).values_list("pk", flat=True)
    assert advance(run.pk, runtime=fakes.runtime(SETTINGS))
    run.refresh_from_db()
    assert (run.status, run.steps.filter(result="lost").count()) == (Status.SUCCEEDED, 1)


def test_a_running_worker_keeps_its_run(new_run: NewRun, fakes: FakePorts) -> None:
    run = claimed(new_run(), fakes)
    tick_now(fakes)
    fakes.clock.advance(hours=-1)
    tick_now(fakes)
    run.write(status=Status.QUEUED.value, worker="")  # the guarded write of the worker that claimed it


def test_a_poll_comes_an_hour_earlier_too_and_is_moved_once(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.RUNNING)
    run = new_run()
    advance(run.pk, runtime=fakes.runtime(SETTINGS))
    run.refresh_from_db()
    assert run.status == Status.DEFERRED
    tick_now(fakes)
    wait = run.wake_at - fakes.clock()  # type: ignore[operator]  # it waits
    fakes.clock.advance(hours=-1)
    tick_now(fakes)
    tick_now(fakes)
    run.refresh_from_db()
    assert run.wake_at == fakes.clock() + wait


def test_a_small_step_of_the_clock_moves_nothing(new_run: NewRun, fakes: FakePorts) -> None:
    run = claimed(new_run(), fakes)
    tick_now(fakes)
    before = run.wake_at
    fakes.clock.advance(seconds=-30)
    tick_now(fakes)
    run.refresh_from_db()
    assert run.wake_at == before


@pytest.mark.parametrize("set_back", [65, 90, 3600])
def test_a_worker_that_goes_on_for_long_renews_the_lease_that_was_moved(
    new_run: NewRun, fakes: FakePorts, set_back: int
) -> None:
    """It knows its lease by the old clock, by which it would last for the difference longer than it does."""
    run = claimed(new_run(), fakes)
    lease = Lease(run=run, attempt=run.steps.get(), settings=SETTINGS, clock=fakes.clock)
    tick_now(fakes)
    fakes.clock.advance(seconds=-set_back)
    tick_now(fakes)
    for _ in range(60):
        fakes.clock.advance(seconds=5)
        lease.renew()
        assert run.pk not in ReportRun.objects.claimable(fakes.clock()).values_list("pk", flat=True)
