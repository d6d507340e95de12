"""The clock is set back an hour, or jumps a day ahead and back: nothing runs twice, and what is caught up is bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import JobState
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.execution import advance, work
from report_orchestrator.services.maintenance import tick
from report_orchestrator.services.scheduling import open_due_runs
from report_orchestrator.testing import FakePorts, geo_report
from tests.conftest import SettingsFactory
from tests.integration.conftest import NewRun

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = SettingsFactory.make(MISSED_RUNS="all")


def occurrences() -> list[tuple[datetime, str]]:
    return list(ReportRun.objects.order_by("scheduled_for", "pk").values_list("scheduled_for", "status"))


@pytest.fixture
def hourly(fakes: FakePorts) -> FakePorts:
    """A report that is due at every full hour, known since half past nine."""
    fakes.clock.now = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
    fakes.reports.add(geo_report("1"), cron="0 * * * *")
    discover(ports=fakes.ports)
    return fakes


@pytest.mark.parametrize("missed_runs", ["all", "latest", "none"])
def test_a_clock_that_jumps_a_day_ahead_and_back_runs_nothing_twice_and_leaves_nothing_out(
    hourly: FakePorts, missed_runs: str
) -> None:
    settings = SettingsFactory.make(MISSED_RUNS=missed_runs, OVERLAP="allow")

    def tick_at(now: datetime) -> int:
        hourly.clock.now = now
        return open_due_runs(ports=hourly.ports, settings=settings).runs

    ten = datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert tick_at(ten) == 1
    tick_at(ten + timedelta(days=1))
    after_the_jump = occurrences()
    # The clock is right again: everything up to the wrong time is decided, and stays so.
    assert sum(tick_at(ten + timedelta(hours=hour)) for hour in range(1, 25)) == 0
    assert occurrences() == after_the_jump
    assert [at for at, _status in after_the_jump] == [ten + timedelta(hours=hour) for hour in range(25)]
    assert tick_at(ten + timedelta(hours=25)) == 1


def test_a_clock_that_jumps_far_ahead_catches_up_no_more_than_the_lookback(
    hourly: FakePorts,
) -> None:
    settings = SettingsFactory.make(MISSED_RUNS="all", MAX_LOOKBACK_SECONDS=7200, OVERLAP="allow")
    now = hourly.clock.advance(days=1)
    assert open_due_runs(ports=hourly.ports, settings=settings).runs == 2
    first, *caught_up = occurrences()
    assert first == (
        datetime(2026, 7, 1, 10, tzinfo=UTC),
        Status.SKIPPED,
    )  # stands for all times beyond the look-back
    assert all(at > now - timedelta(hours=2) for at, _status in caught_up)


def test_a_clock_that_jumps_ahead_costs_a_working_run_a_lease_but_no_second_submission(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease seems to have run out, another worker takes over, and the first drops what it learned."""
    run = new_run()
    record = fakes.jobs.record
    jumps = iter([True])

    def record_while_the_clock_jumps(**told: str) -> str:
        if next(jumps, False):
            fakes.clock.advance(days=1)
            assert advance(run.pk, ports=fakes.ports, settings=SETTINGS)
        return record(**told)

    monkeypatch.setattr(type(fakes.jobs), "record", staticmethod(record_while_the_clock_jumps))
    advance(run.pk, ports=fakes.ports, settings=SETTINGS)
    run.refresh_from_db()
    assert (run.status, run.crashes) == (Status.SUCCEEDED, 0)
    assert len(fakes.fireant.submitted) == 1
    assert [
        step for step, result in run.steps.values_list("step", "result") if result == "completed"
    ] == list(Step)


def test_a_clock_that_jumps_ahead_polls_a_waiting_run_once_and_not_for_every_interval_that_seemed_to_pass(
    new_run: NewRun, fakes: FakePorts
) -> None:
    fakes.fireant.answer("101", JobState.RUNNING, JobState.RUNNING, JobState.FINISHED)
    run = new_run()
    advance(run.pk, ports=fakes.ports, settings=SETTINGS)
    until = fakes.clock.advance(days=1) + timedelta(seconds=1)
    tick(ports=fakes.ports, settings=SETTINGS, until=until)
    run.refresh_from_db()
    assert (run.status, run.polls) == (Status.DEFERRED, 2)


def test_a_clock_that_is_set_back_takes_no_run_from_its_worker_and_starts_what_is_queued(
    new_run: NewRun, fakes: FakePorts
) -> None:
    queued, working = new_run(), new_run()
    working.write(status="running", worker="somebody", wake_at=fakes.clock.now + SETTINGS.lease)
    fakes.clock.advance(hours=-1)
    until = fakes.clock.now + timedelta(seconds=1)
    assert work(None, ports=fakes.ports, settings=SETTINGS, until=until) == 1
    statuses = [ReportRun.objects.get(pk=run.pk).status for run in (queued, working)]
    assert statuses == [Status.SUCCEEDED, Status.RUNNING]
