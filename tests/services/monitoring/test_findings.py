"""Proof that work is being done."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from report_orchestrator import tasks
from report_orchestrator.conf import Settings
from report_orchestrator.models import ReportRun, ReportSchedule, RunStep, SharedState
from report_orchestrator.ports import JobState
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.monitoring.findings import Finding, check_health
from report_orchestrator.services.monitoring.forecast import read_forecast
from report_orchestrator.services.monitoring.snapshot import read_snapshot
from report_orchestrator.services.monitoring.status import read_status_summary
from report_orchestrator.services.reports.conditions import late
from report_orchestrator.services.running.lease import Lease
from report_orchestrator.services.scheduling.pausing import pause_all
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.services.upkeep.tick import tick
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
SETTINGS = SettingsFactory.make()


def red(fakes: FakePorts, settings: Settings = SETTINGS) -> set[str]:
    return {finding.name for finding in check_health(runtime=fakes.runtime(settings)) if not finding.well}


def longest_overdue(fakes: FakePorts, settings: Settings = SETTINGS) -> timedelta | None:
    return read_snapshot(fakes.clock(), settings, report_model=fakes.ports.reports.label).longest_overdue


def of_fireant(fakes: FakePorts) -> str:
    [found] = [one for one in check_health(runtime=fakes.runtime(SETTINGS)) if one.name == "fireant"]
    return found.detail


def ticked(fakes: FakePorts) -> None:
    now = fakes.clock.now
    SharedState.objects.claim_turn("bell: report_orchestrator.tasks.tick", now=now, until=now)
    tick(runtime=fakes.runtime(SETTINGS), until=now)


def ticked_only(fakes: FakePorts) -> None:
    """Record a tick that does nothing."""
    for name in ("tick", "bell: report_orchestrator.tasks.tick"):
        SharedState.objects.record(name, now=fakes.clock.now)


def test_a_product_that_never_ran_is_not_healthy(fakes: FakePorts) -> None:
    assert red(fakes) == {"worker"}


def test_a_product_that_ticks_is_healthy(fakes: FakePorts) -> None:
    ticked(fakes)
    assert red(fakes) == set()


class TestStopped:
    """A cluster that ended as planned is known as stopped at once."""

    @pytest.fixture(autouse=True)
    def _has_run(self, fakes: FakePorts) -> None:
        ticked(fakes)
        self.report(fakes, "one", workers=2)
        SharedState.objects.record("worker", now=fakes.clock.now)

    def report(self, fakes: FakePorts, cluster: str, **detail: object) -> None:
        SharedState.objects.record(f"cluster: {cluster}", now=fakes.clock.now, detail=detail)

    def stop(self, fakes: FakePorts) -> None:
        fakes.clock.advance(seconds=3)
        self.report(fakes, "one", workers=0, ended=True)

    def worker(self, fakes: FakePorts) -> Finding:
        return check_health(runtime=fakes.runtime(SETTINGS))[0]

    def test_it_is_not_active_and_the_remedy_is_named(self, fakes: FakePorts) -> None:
        assert self.worker(fakes).well
        self.stop(fakes)
        assert red(fakes) == {"worker", "scheduler"}
        fakes.clock.advance(seconds=2)
        worker = self.worker(fakes)
        assert (worker.detail, worker.hint) == ("stopped 2 s ago", "No qcluster is running: start manage.py qcluster.")

    def test_a_heartbeat_of_a_last_task_does_not_count(self, fakes: FakePorts) -> None:
        self.stop(fakes)
        SharedState.objects.record("worker", now=fakes.clock.advance(seconds=1))
        assert "worker" in red(fakes)

    def test_another_cluster_goes_on(self, fakes: FakePorts) -> None:
        self.report(fakes, "two", workers=2)
        self.stop(fakes)
        assert red(fakes) == set()

    def test_a_cluster_that_starts_later_is_active(self, fakes: FakePorts) -> None:
        self.stop(fakes)
        fakes.clock.advance(seconds=1)
        self.report(fakes, "two", workers=2)
        assert red(fakes) == set()

    def test_a_cluster_of_django_q_that_ticks_is_active(self, fakes: FakePorts) -> None:
        self.stop(fakes)
        fakes.clock.advance(seconds=1)
        SharedState.objects.record("tick", now=fakes.clock.now)
        assert "worker" not in red(fakes)

    def test_one_that_was_killed_long_before_hides_nothing(self, fakes: FakePorts) -> None:
        self.report(fakes, "killed", workers=2)
        fakes.clock.advance(hours=1)
        self.stop(fakes)
        assert self.worker(fakes).detail == "stopped 0 s ago"


def test_silence_turns_it_red_within_a_minute(fakes: FakePorts) -> None:
    ticked(fakes)
    fakes.clock.advance(seconds=41)
    assert red(fakes) == {"worker", "scheduler"}


def test_a_scheduler_that_ticks_while_no_worker_is_alive_is_reported_apart(fakes: FakePorts) -> None:
    ticked(fakes)
    now = fakes.clock.advance(seconds=41)
    SharedState.objects.claim_turn("bell: report_orchestrator.tasks.tick", now=now, until=now)
    assert red(fakes) == {"worker"}


def test_runs_that_no_worker_takes_are_reported(new_run: NewRun, fakes: FakePorts) -> None:
    new_run()
    fakes.clock.advance(seconds=61)
    ticked(fakes)
    assert red(fakes) == {"runs"}


@pytest.mark.parametrize("name", ["progress: runs", "progress: polls"])
def test_a_backlog_that_moves_is_healthy_and_one_that_stands_is_not(
    new_run: NewRun, fakes: FakePorts, name: str
) -> None:
    run = new_run()
    if name.endswith("polls"):
        run.write(status="deferred", step="job_completion_status", wake_at=fakes.clock.now)
    SharedState.objects.record(name, now=fakes.clock.advance(seconds=65))
    ticked_only(fakes)
    assert red(fakes) == set()
    fakes.clock.advance(seconds=61)
    ticked_only(fakes)
    assert red(fakes) == {"runs"}


def test_polls_that_go_on_do_not_hide_runs_that_nobody_takes(new_run: NewRun, fakes: FakePorts) -> None:
    new_run()
    now = fakes.clock.advance(seconds=65)
    ticked_only(fakes)
    SharedState.objects.record("progress: polls", now=now)
    assert red(fakes) == {"runs"}


def test_leases_of_lost_workers_wait_their_turn_while_runs_move(new_run: NewRun, fakes: FakePorts) -> None:
    new_run().write(status="running", worker="gone", wake_at=fakes.clock.now)
    now = fakes.clock.advance(seconds=61)
    ticked_only(fakes)
    assert red(fakes) == {"leases"}
    SharedState.objects.record("progress: runs", now=now)
    assert red(fakes) == set()


def test_due_reports_wait_their_turn_while_others_are_decided(new_run: NewRun, fakes: FakePorts) -> None:
    ReportSchedule.objects.filter(report_key="1").update(next_run_at=fakes.clock.now)
    new_run().write(status="canceled", wake_at=None, ended_at=fakes.clock.now)
    now = fakes.clock.advance(minutes=3)
    ticked_only(fakes)
    SharedState.objects.record("progress: due times", now=now)
    assert red(fakes) == set()


def test_a_worker_and_the_poller_record_their_progress(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "get_runtime", fakes.runtime)
    fakes.fireant.answer("101", JobState.RUNNING, JobState.RUNNING)
    new_run()
    tasks.work()
    assert SharedState.objects.get(name="progress: runs").marked_at == fakes.clock.now
    now = fakes.clock.advance(minutes=5)
    tick(runtime=fakes.runtime(SETTINGS), until=now + timedelta(seconds=5))
    assert SharedState.objects.get(name="progress: polls").marked_at == now


def test_a_long_download_is_a_heartbeat(new_run: NewRun, fakes: FakePorts) -> None:
    run = new_run()
    run.write(status="running", worker="me", wake_at=fakes.clock() + SETTINGS.lease)
    attempt = RunStep.objects.create(run=run, step="results_storage", attempt=1, started_at=fakes.clock())
    lease = Lease(run=run, attempt=attempt, settings=SETTINGS, clock=fakes.clock, in_worker=True)
    now = fakes.clock.advance(minutes=1)
    lease.renew()
    for name in ("worker", "progress: runs"):
        assert SharedState.objects.get(name=name).marked_at == now


def test_runs_that_wait_for_a_slot_are_not_overdue(new_run: NewRun, fakes: FakePorts) -> None:
    new_run()
    SharedState.objects.create(name="circuit: fireant", due_at=fakes.clock.now.replace(year=2099))
    ReportRun.objects.update(step="external_job_submission")
    fakes.clock.advance(seconds=61)
    ticked(fakes)
    assert red(fakes) == set()
    assert longest_overdue(fakes) is None


def test_an_expired_lease_that_no_worker_takes_over_is_reported(new_run: NewRun, fakes: FakePorts) -> None:
    new_run().write(status="running", worker="gone", wake_at=fakes.clock.now)
    fakes.clock.advance(seconds=61)
    ticked(fakes)
    assert red(fakes) == {"leases"}
    assert longest_overdue(fakes) == timedelta(seconds=61)


def test_due_reports_without_runs_are_reported(new_run: NewRun, fakes: FakePorts) -> None:
    ReportSchedule.objects.filter(report_key="1").update(next_run_at=fakes.clock.now)
    new_run().write(status="canceled", wake_at=None, ended_at=fakes.clock.now)
    now = fakes.clock.advance(minutes=3)
    for name in ("tick", "bell: report_orchestrator.tasks.tick"):
        SharedState.objects.record(name, now=now)
    assert red(fakes) == {"schedules"}
    pause_all(actor="ann", reason="maintenance", runtime=fakes.runtime())
    assert red(fakes) == set()


@pytest.mark.parametrize(("silence", "active"), [(1, True), (41, False)])
def test_health_status_and_dashboard_agree_on_the_workers(fakes: FakePorts, silence: int, active: bool) -> None:
    ticked(fakes)
    now = fakes.clock.advance(seconds=silence)
    snapshot = read_snapshot(now, SETTINGS, report_model=fakes.ports.reports.label)
    assert ("worker" not in red(fakes)) == active
    assert snapshot.workers.is_active(now) == active
    assert read_status_summary(runtime=fakes.runtime(SETTINGS)).workers.well == active


def test_health_takes_three_queries(
    new_run: NewRun, fakes: FakePorts, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ticked(fakes)
    new_run().write(wake_at=fakes.clock() + timedelta(hours=1))
    with django_assert_num_queries(3):
        red(fakes)


def test_a_clock_that_was_set_back_is_reported_and_stops_no_tick(fakes: FakePorts) -> None:
    tick_turn = "bell: report_orchestrator.tasks.tick"
    assert SharedState.objects.claim_turn(tick_turn, now=fakes.clock.now, until=fakes.clock.now + timedelta(seconds=5))
    ticked(fakes)
    now = fakes.clock.advance(hours=-1)
    assert red(fakes) == {"worker", "scheduler"}
    assert SharedState.objects.claim_turn(tick_turn, now=now, until=now + timedelta(seconds=5))
    assert not SharedState.objects.claim_turn(tick_turn, now=now, until=now + timedelta(seconds=5))
    ticked(fakes)
    assert red(fakes) == set()


def test_a_run_in_line_is_overdue_once_it_is_the_first(new_run: NewRun, fakes: FakePorts) -> None:
    first, second = new_run(), new_run()
    for minute, run in enumerate((first, second)):
        run.write(in_line=True, trigger="scheduled", scheduled_for=fakes.clock() + timedelta(minutes=minute))
    first.write(status="running", worker="busy", wake_at=fakes.clock() + timedelta(hours=1))
    fakes.clock.advance(minutes=5)
    ticked(fakes)
    assert red(fakes) == set()
    assert longest_overdue(fakes) is None
    first.write(status="succeeded", worker="", wake_at=None, ended_at=fakes.clock())
    assert red(fakes) == {"runs"}
    assert longest_overdue(fakes) == timedelta(minutes=5)


def test_runs_that_wait_although_places_are_free_are_reported(new_run: NewRun, fakes: FakePorts) -> None:
    limited = SettingsFactory.make(FIREANT_MAX_JOBS_IN_FLIGHT=1)
    submitted, waiting = new_run(), new_run()
    submitted.write(status="deferred", step="job_completion_status", wake_at=fakes.clock() + timedelta(hours=1))
    fakes.clock.advance(minutes=5)
    ticked(fakes)
    assert red(fakes, limited) == set()
    assert longest_overdue(fakes, limited) is None
    submitted.write(status="succeeded", wake_at=None, ended_at=fakes.clock())
    assert red(fakes, limited) == {"runs"}
    RunStep.objects.create(
        run=waiting, step="external_job_submission", attempt=1, started_at=fakes.clock() - timedelta(seconds=50)
    )
    assert red(fakes, limited) == set()  # they go one by one


def test_an_overdue_probe_of_fireant_is_reported(new_run: NewRun, fakes: FakePorts) -> None:
    new_run().write(step="external_job_submission")
    SharedState.objects.create(name="circuit: fireant", due_at=fakes.clock() + timedelta(minutes=5))
    fakes.clock.advance(minutes=5)
    ticked(fakes)
    assert red(fakes) == set()
    assert of_fireant(fakes).endswith("next probe with the next run that needs it")
    fakes.clock.advance(seconds=61)
    ticked(fakes)
    assert red(fakes) == {"runs"}
    SharedState.objects.update(due_at=fakes.clock() + timedelta(seconds=9))
    assert of_fireant(fakes).endswith("next probe in 9 s")


@pytest.mark.parametrize(
    ("cron", "seconds", "due", "checked", "well"),
    [
        ("0 2 * * *", 3600, (1, 12, 0), (1, 13, 30), True),
        ("0 2 * * *", 3600, (1, 12, 0), (2, 2, 0), True),
        ("0 2 * * *", 3600, (1, 12, 0), (2, 2, 2), False),
        ("0 6 * * 1-5", 86400, (4, 12, 0), (4, 12, 2), True),  # a Saturday
        ("0 6 * * 1-5", 86400, (4, 12, 0), (6, 6, 2), False),
    ],
)
def test_reports_that_wait_for_their_window_are_not_late(
    fakes: FakePorts,
    new_run: NewRun,
    cron: str,
    seconds: int,
    due: tuple[int, int, int],
    checked: tuple[int, int, int],
    well: bool,
) -> None:
    settings = SettingsFactory.make(
        SCHEDULING_APPROACH="schedule", SCHEDULE_CRON_EXPRESSION=cron, SCHEDULE_INTERVAL_SECONDS=seconds
    )
    new_run().write(status="canceled", wake_at=None, ended_at=fakes.clock.now)
    day, hour, minute = due
    ReportSchedule.objects.update(next_run_at=fakes.clock.now.replace(day=day, hour=hour, minute=minute))
    day, hour, minute = checked
    now = fakes.clock.now = fakes.clock.now.replace(day=day, hour=hour, minute=minute)
    for name in ("tick", "bell: report_orchestrator.tasks.tick"):
        SharedState.objects.record(name, now=now)
    assert red(fakes, settings) == (set() if well else {"schedules"})
    assert late(ReportSchedule.objects.all(), now, settings).exists() == (not well)
    forecast = read_forecast(now, UTC, settings, report_model=fakes.ports.reports.label)
    assert forecast.late == (0 if well else 1)


def test_reports_that_waited_for_a_window_are_not_late_at_a_switch_to_the_sensor(fakes: FakePorts) -> None:
    windows = SettingsFactory.make(SCHEDULING_APPROACH="schedule")
    fakes.reports.add(geo_report("1"), cron="5 * * * *")
    discover(runtime=fakes.runtime(windows))
    sync_schedules(runtime=fakes.runtime(windows))
    fakes.clock.advance(minutes=33)
    sync_schedules(runtime=fakes.runtime(SETTINGS))
    ticked_without_the_schedules = fakes.clock.advance(seconds=30)
    for name in ("tick", "bell: report_orchestrator.tasks.tick"):
        SharedState.objects.record(name, now=ticked_without_the_schedules)
    assert red(fakes) == set()
    fakes.clock.advance(minutes=2)
    assert "schedules" in red(fakes)
