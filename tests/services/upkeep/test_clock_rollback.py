"""The database's clock set back: nothing waits for the difference."""

from __future__ import annotations

from datetime import timedelta

import pytest

from report_orchestrator.domain.retries import LONGEST_HONOURED_RETRY_AFTER
from report_orchestrator.domain.runs import UNFINISHED, Status
from report_orchestrator.models import ReportRun, RunStep, SharedState, StateName
from report_orchestrator.ports import JobState
from report_orchestrator.services.fireant.circuit_breaker import LONGEST_PROBE_WAIT
from report_orchestrator.services.running.lease import Lease
from report_orchestrator.services.running.worker import advance
from report_orchestrator.services.upkeep.clock_rollback import end_overlong_waits
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


def deferred(new_run: NewRun, fakes: FakePorts) -> ReportRun:
    fakes.fireant.answer("101", JobState.RUNNING)
    run = new_run()
    advance(run.pk, runtime=fakes.runtime(SETTINGS))
    run.refresh_from_db()
    assert run.status == Status.DEFERRED
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
    run = deferred(new_run, fakes)
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


def test_a_poll_that_was_due_before_the_clock_was_set_back_is_due_after_it(new_run: NewRun, fakes: FakePorts) -> None:
    run = deferred(new_run, fakes)
    tick_now(fakes)
    fakes.clock.advance(days=400)
    SharedState.objects.record(StateName.TICK, now=fakes.clock())
    run.write(wake_at=fakes.clock() - timedelta(seconds=1))
    fakes.clock.advance(days=-400)
    tick_now(fakes)
    run.refresh_from_db()
    assert run.polls == 2


@pytest.mark.parametrize("status", sorted(UNFINISHED))
def test_a_wait_that_a_worker_writes_by_the_old_clock_after_the_correction_is_corrected(
    new_run: NewRun, fakes: FakePorts, status: Status
) -> None:
    run = deferred(new_run, fakes)
    old = fakes.clock() + timedelta(days=400)
    tick_now(fakes)
    run.write(status=status.value, wake_at=old, worker="w" if status is Status.RUNNING else "")
    fakes.fireant.answer("101", JobState.RUNNING)
    assert end_overlong_waits(runtime=fakes.runtime(SETTINGS)) == 1
    run.refresh_from_db()
    assert run.wake_at == fakes.clock() + (SETTINGS.lease if status is Status.RUNNING else timedelta(0))


@pytest.mark.parametrize("wait", [SETTINGS.poll_interval * 1.1, LONGEST_PROBE_WAIT])
def test_waits_that_a_run_is_given_are_left_alone(new_run: NewRun, fakes: FakePorts, wait: timedelta) -> None:
    run = deferred(new_run, fakes)
    run.write(wake_at=fakes.clock() + wait)
    assert end_overlong_waits(runtime=fakes.runtime(SETTINGS)) == 0
    run.write(status=Status.UP_FOR_RETRY.value, wake_at=fakes.clock() + LONGEST_HONOURED_RETRY_AFTER)
    assert end_overlong_waits(runtime=fakes.runtime(SETTINGS)) == 0
