"""The clock is set back, or leaps ahead and comes back: nothing runs twice, and every time gets its run when it comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, RunPayload, SharedState
from report_orchestrator.ports import JobState
from report_orchestrator.services.discovery.changed import refresh, refresh_changed
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.monitoring.findings import Finding, check_health
from report_orchestrator.services.running.worker import advance, run_due
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.services.scheduling.pausing import pause, pause_all, resume, resume_all
from report_orchestrator.services.scheduling.scheduling_start import schedule_from_now, start_scheduling
from report_orchestrator.services.scheduling.switch import switch_to_live, switch_to_shadow
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.services.upkeep.tick import tick
from report_orchestrator.testing import FakePorts, geo_report, make_runtime
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = SettingsFactory.make(MISSED_RUNS="all")


def occurrences() -> list[tuple[datetime, str]]:
    return list(ReportRun.objects.order_by("scheduled_for", "pk").values_list("scheduled_for", "status"))


@pytest.fixture
def hourly(fakes: FakePorts) -> FakePorts:
    """A report that is due at every full hour, known since half past nine."""
    fakes.clock.now = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
    fakes.reports.add(geo_report("1"), cron="0 * * * *")
    discover(runtime=fakes.runtime(get_settings()))
    return fakes


@pytest.mark.parametrize("missed_runs", ["all", "latest", "none"])
@pytest.mark.parametrize("days", [1, 400, 730])
def test_reports_run_at_their_times_once_the_clock_is_back(hourly: FakePorts, missed_runs: str, days: int) -> None:
    settings = SettingsFactory.make(MISSED_RUNS=missed_runs, OVERLAP="allow")

    def tick_at(now: datetime) -> int:
        hourly.clock.now = now
        return open_due_runs(runtime=make_runtime(hourly.ports, settings)).runs

    ten = datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert tick_at(ten) == 1
    tick_at(ten + timedelta(days=days))
    tick_at(ten + timedelta(days=days, hours=1))
    tick_at(ten + timedelta(minutes=1))
    assert ReportSchedule.objects.get().next_run_at == ten + timedelta(hours=1)
    assert occurrences() == [(ten, Status.QUEUED)]
    assert [tick_at(ten + timedelta(hours=hour)) for hour in range(1, 25)] == [1] * 24
    assert occurrences() == [(ten + timedelta(hours=hour), Status.QUEUED) for hour in range(25)]


def leap(fakes: FakePorts, settings: Settings = SETTINGS, **units: float) -> None:
    """One tick of a clock that is ahead."""
    before = fakes.clock.now
    fakes.clock.advance(**units)
    open_due_runs(runtime=fakes.runtime(settings))
    fakes.clock.now = before + timedelta(seconds=25)


def test_times_that_came_during_the_leap_are_decided_when_the_clock_is_back(hourly: FakePorts) -> None:
    hourly.clock.now = datetime(2026, 7, 1, 9, 59, 50, tzinfo=UTC)
    leap(hourly, days=365)
    open_due_runs(runtime=hourly.runtime(SETTINGS))
    assert occurrences() == [(datetime(2026, 7, 1, 10, tzinfo=UTC), Status.QUEUED)]


def test_a_clock_that_comes_back_to_shortly_before_its_leap_is_right_again(hourly: FakePorts) -> None:
    hourly.clock.advance(minutes=10)
    open_due_runs(runtime=hourly.runtime(SETTINGS))
    hourly.clock.advance(days=400)
    open_due_runs(runtime=hourly.runtime(SETTINGS))
    hourly.clock.advance(days=-400, minutes=-5)
    open_due_runs(runtime=hourly.runtime(SETTINGS))
    assert ReportSchedule.objects.get().next_run_at == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert occurrences() == []


def test_the_reports_own_schedules_in_the_queue_come_back_with_the_clock(hourly: FakePorts) -> None:
    pipeline = SettingsFactory.make(SCHEDULING_APPROACH="pipeline")
    sync_schedules(runtime=hourly.runtime(pipeline))
    leap(hourly, pipeline, days=400)
    sync_schedules(runtime=hourly.runtime(pipeline))
    tick(runtime=hourly.runtime(pipeline), until=hourly.clock() + timedelta(seconds=30))
    [line] = [line for line in hourly.queue.lines.values() if line.cron]
    assert line.next_run_at == datetime(2026, 7, 1, 10, tzinfo=UTC)


def test_a_run_that_started_during_the_leap_does_not_take_the_place_of_the_real_one(hourly: FakePorts) -> None:
    hourly.clock.now = datetime(2026, 7, 1, 9, 59, 50, tzinfo=UTC)
    hourly.clock.advance(days=1)
    settings = SettingsFactory.make()
    open_due_runs(runtime=hourly.runtime(settings))
    assert run_due(None, runtime=hourly.runtime(settings), until=hourly.clock.now + timedelta(seconds=1)) == 1
    hourly.clock.advance(days=-1, seconds=25)
    for _hour in range(24):
        open_due_runs(runtime=hourly.runtime(settings))
        ReportRun.objects.unfinished().update(status=Status.SUCCEEDED, wake_at=None, ended_at=hourly.clock())
        hourly.clock.advance(hours=1)
    of_the_leap = ReportRun.objects.get(trigger="manual")
    assert (of_the_leap.triggered_by, of_the_leap.status) == ("a clock that was ahead", Status.SUCCEEDED)
    assert of_the_leap.ended_at == datetime(2026, 7, 1, 10, 0, 15, tzinfo=UTC)
    real = ReportRun.objects.exclude(trigger="manual")
    assert set(real.values_list("status", flat=True)) == {Status.SUCCEEDED}
    assert real.count() == 24


def _edit(fakes: FakePorts) -> None:
    fakes.reports.change("1", cron="30 * * * *")
    refresh(["1"], runtime=fakes.runtime(SETTINGS))


def _disable_and_enable(fakes: FakePorts) -> None:
    for enabled in (False, True):
        fakes.reports.change("1", enabled=enabled, cron="30 * * * *")
        refresh(["1"], runtime=fakes.runtime(SETTINGS))


def _pause_and_resume(fakes: FakePorts) -> None:
    pause(["1"], actor="ann", reason="", runtime=fakes.runtime())
    resume(["1"], actor="ann", runtime=fakes.runtime())


def _create_again(fakes: FakePorts) -> None:
    fakes.reports.remove("1")
    refresh(["1"], runtime=fakes.runtime(SETTINGS))
    fakes.reports.add(geo_report("1"), cron="30 * * * *")
    refresh(["1"], runtime=fakes.runtime(SETTINGS))


@pytest.mark.parametrize("act", [_edit, _disable_and_enable, _pause_and_resume, _create_again])
def test_what_a_person_does_while_the_clock_is_ahead_or_just_back_leaves_real_times(
    hourly: FakePorts, act: Callable[[FakePorts], None]
) -> None:
    for is_ahead in (True, False):
        now = hourly.clock.now
        hourly.clock.advance(days=730)
        open_due_runs(runtime=hourly.runtime(SETTINGS))
        if is_ahead:
            act(hourly)
        hourly.clock.now = now + timedelta(seconds=25)
        if not is_ahead:
            act(hourly)
        open_due_runs(runtime=hourly.runtime(SETTINGS))
        schedule = ReportSchedule.objects.present().get()
        hour, minute = (10, 0) if schedule.cron == "0 * * * *" else (10, 30)
        assert schedule.next_run_at == datetime(2026, 7, 1, hour, minute, tzinfo=UTC)


def test_an_edit_after_a_leap_is_seen_by_its_stamp_and_by_discovery(hourly: FakePorts) -> None:
    now = hourly.clock.now
    hourly.reports.change("1", updated_at=now)
    discover(runtime=hourly.runtime(SETTINGS))
    hourly.clock.advance(days=730)
    hourly.reports.change("1", name="x", updated_at=hourly.clock.now)
    refresh_changed(runtime=hourly.runtime(SETTINGS))
    assert ReportSchedule.objects.get().name == "x"
    hourly.clock.now = now + timedelta(seconds=25)
    hourly.reports.change("1", cron="*/5 * * * *", updated_at=hourly.clock.now)
    refresh_changed(runtime=hourly.runtime(SETTINGS))
    assert ReportSchedule.objects.get().cron == "*/5 * * * *"
    hourly.clock.advance(hours=1)
    hourly.reports.change("1", cron="*/7 * * * *")
    discover(runtime=hourly.runtime(SETTINGS))
    assert ReportSchedule.objects.get().cron == "*/7 * * * *"


@pytest.mark.parametrize("days", [2, 730])
def test_nothing_is_deleted_by_a_clock_that_has_just_leapt(new_run: NewRun, fakes: FakePorts, days: int) -> None:
    keeping = SettingsFactory.make(KEEP_RUNS_DAYS=1, KEEP_PAYLOADS_DAYS=1)
    for _ in range(5):
        advance(new_run().pk, runtime=fakes.runtime(keeping))
    SharedState.objects.record("cluster: of yesterday", now=fakes.clock())

    def upkeep() -> tuple[int, int, int, bool]:
        tick(runtime=fakes.runtime(keeping), until=fakes.clock() + timedelta(seconds=30))
        clusters = SharedState.objects.filter(name__startswith="cluster: ")
        return ReportRun.objects.count(), RunPayload.objects.count(), ReportChange.objects.count(), clusters.exists()

    kept = upkeep()
    assert kept == (5, 5, 1, True)
    fakes.clock.advance(days=days)
    assert upkeep()[1:] == kept[1:]
    assert fakes.store.sweeps == [] or len(fakes.store.sweeps) == 1  # the first tick's
    for _ in range(24):
        fakes.clock.advance(minutes=40)
        assert upkeep()[1:] == kept[1:]
    for _ in range(20):
        fakes.clock.advance(minutes=40)
        upkeep()
    assert not RunPayload.objects.exists()
    assert not SharedState.objects.filter(name__startswith="cluster: ").exists()


def schedules_finding(fakes: FakePorts) -> Finding:
    return next(each for each in check_health(runtime=fakes.runtime(SETTINGS)) if each.name == "schedules")


def test_health_says_that_the_clock_leapt_how_many_reports_and_since_when(hourly: FakePorts) -> None:
    leap(hourly, days=400)
    finding = schedules_finding(hourly)
    assert (finding.well, finding.detail) == (False, "the clock leapt to 2027-08-05 09:30 UTC and came back")
    open_due_runs(runtime=hourly.runtime(SETTINGS))
    finding = schedules_finding(hourly)
    assert (finding.well, finding.detail) == (
        True,
        (
            "nothing overdue; the clock leapt from 2026-07-01 09:30 UTC to 2027-08-05 09:30 UTC and came back at "
            "2026-07-01 09:30 UTC: reports corrected: 1"
        ),
    )
    assert finding.hint
    hourly.clock.advance(days=8)
    assert "leapt" not in schedules_finding(hourly).detail


def test_health_says_that_a_long_gap_keeps_what_is_old(hourly: FakePorts) -> None:
    hourly.clock.advance(days=20)
    open_due_runs(runtime=hourly.runtime(SETTINGS))
    assert schedules_finding(hourly).detail == (
        "nothing overdue; no tick from 2026-07-01 09:30 UTC to 2026-07-21 09:30 UTC: nothing old is deleted until "
        "2026-07-22 09:30 UTC"
    )


def test_a_clock_set_back_without_a_leap_waits_until_it_has_caught_up_or_a_person_says_from_now(
    hourly: FakePorts,
) -> None:
    for _ in range(6):
        hourly.clock.advance(minutes=30)
        open_due_runs(runtime=hourly.runtime(SETTINGS))
    before = occurrences()
    hourly.clock.advance(hours=-2)
    open_due_runs(runtime=hourly.runtime(SETTINGS))
    finding = schedules_finding(hourly)
    assert (finding.well, finding.detail) == (
        True,
        "the clock was set back by 2:00:00: reports wait until 2026-07-01 12:30 UTC (1)",
    )
    assert occurrences() == before
    schedule_from_now(actor="ann", runtime=hourly.runtime(SETTINGS))
    assert ReportSchedule.objects.get().next_run_at == datetime(2026, 7, 1, 11, tzinfo=UTC)
    assert schedules_finding(hourly).detail == "nothing overdue"


def test_a_clock_that_jumps_far_ahead_catches_up_no_more_than_the_lookback(hourly: FakePorts) -> None:
    settings = SettingsFactory.make(MISSED_RUNS="all", MAX_LOOKBACK_SECONDS=7200, OVERLAP="allow")
    now = hourly.clock.advance(days=1)
    assert open_due_runs(runtime=make_runtime(hourly.ports, settings)).runs == 2
    first, *caught_up = occurrences()
    assert first == (datetime(2026, 7, 1, 10, tzinfo=UTC), Status.SKIPPED)  # stands for all times beyond the look-back
    assert all(at > now - timedelta(hours=2) for at, _status in caught_up)


def test_a_clock_that_jumps_ahead_costs_a_working_run_a_lease_but_no_second_submission(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease seems expired, another worker takes over, and the first drops its result."""
    run = new_run()
    record = fakes.jobs.record
    jumps = iter([True])

    def record_while_the_clock_jumps(**fields: str) -> str:
        if next(jumps, False):
            fakes.clock.advance(days=1)
            assert advance(run.pk, runtime=fakes.runtime(SETTINGS))
        return record(**fields)

    monkeypatch.setattr(type(fakes.jobs), "record", staticmethod(record_while_the_clock_jumps))
    advance(run.pk, runtime=fakes.runtime(SETTINGS))
    run.refresh_from_db()
    assert (run.status, run.crashes) == (Status.SUCCEEDED, 0)
    assert len(fakes.fireant.submitted) == 1
    assert [step for step, result in run.steps.values_list("step", "result") if result == "completed"] == list(Step)


def test_a_clock_that_jumps_ahead_polls_a_waiting_run_once_and_not_for_every_interval_that_seemed_to_pass(
    new_run: NewRun, fakes: FakePorts
) -> None:
    fakes.fireant.answer("101", JobState.RUNNING, JobState.RUNNING, JobState.FINISHED)
    run = new_run()
    advance(run.pk, runtime=fakes.runtime(SETTINGS))
    until = fakes.clock.advance(days=1) + timedelta(seconds=1)
    tick(runtime=fakes.runtime(SETTINGS), until=until)
    run.refresh_from_db()
    assert (run.status, run.polls) == (Status.DEFERRED, 2)


def test_a_clock_that_is_set_back_takes_no_run_from_its_worker_and_starts_what_is_queued(
    new_run: NewRun, fakes: FakePorts
) -> None:
    queued, working = new_run(), new_run()
    working.write(status="running", worker="somebody", wake_at=fakes.clock.now + SETTINGS.lease)
    fakes.clock.advance(hours=-1)
    until = fakes.clock.now + timedelta(seconds=1)
    assert run_due(None, runtime=fakes.runtime(SETTINGS), until=until) == 1
    statuses = [ReportRun.objects.get(pk=run.pk).status for run in (queued, working)]
    assert statuses == [Status.SUCCEEDED, Status.RUNNING]


def test_a_first_start_by_a_clock_that_is_ahead_is_undone_too(hourly: FakePorts) -> None:
    hourly.clock.advance(days=1)
    start_scheduling(runtime=hourly.runtime(SETTINGS))
    hourly.clock.advance(days=-1, seconds=25)
    open_due_runs(runtime=hourly.runtime(SETTINGS))
    assert ReportSchedule.objects.get().next_run_at == datetime(2026, 7, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("mode", ["live", "shadow"])
def test_a_switch_by_a_clock_that_is_ahead_takes_effect_when_it_is_back(hourly: FakePorts, mode: str) -> None:
    settings = SettingsFactory.make(SHADOW=mode == "live", OVERLAP="allow")
    switch = switch_to_live if mode == "live" else switch_to_shadow
    start_scheduling(runtime=hourly.runtime(settings))
    hourly.clock.advance(days=400)
    switch(None, actor="ann", runtime=hourly.runtime(settings))
    hourly.clock.advance(days=-400, seconds=25)
    open_due_runs(runtime=hourly.runtime(settings))
    hourly.clock.advance(hours=1)
    open_due_runs(runtime=hourly.runtime(settings))
    triggers = list(ReportRun.objects.values_list("scheduled_for", "trigger"))
    assert triggers == [(datetime(2026, 7, 1, 10, tzinfo=UTC), "scheduled" if mode == "live" else "shadow")]


@pytest.mark.parametrize("is_made_ahead", [True, False])
def test_a_planned_switch_keeps_its_time_although_the_clock_leaps(hourly: FakePorts, is_made_ahead: bool) -> None:
    runtime, planned = hourly.runtime(SettingsFactory.make(SHADOW=True)), datetime(2026, 7, 5, tzinfo=UTC)
    start_scheduling(runtime=runtime)
    if not is_made_ahead:
        switch_to_live(None, at=planned, actor="ann", runtime=runtime)
    hourly.clock.advance(days=2)
    open_due_runs(runtime=runtime)
    if is_made_ahead:
        switch_to_live(None, at=planned, actor="ann", runtime=runtime)
    hourly.clock.advance(days=-2, seconds=25)
    open_due_runs(runtime=runtime)
    assert ReportSchedule.objects.get().live_from == planned


@pytest.mark.parametrize("times", [1, 2])
def test_times_of_a_pause_of_all_by_a_clock_that_is_ahead_are_missed_when_it_is_back(
    hourly: FakePorts, times: int
) -> None:
    runtime = hourly.runtime(
        SettingsFactory.make(MISSED_RUNS="none", CRON_SENSOR_INTERVAL_SECONDS=7200, OVERLAP="allow")
    )
    start_scheduling(runtime=runtime)
    hourly.clock.advance(days=1)
    open_due_runs(runtime=runtime)
    for _ in range(times):
        hourly.clock.advance(seconds=1)
        pause_all(actor="ann", reason="", runtime=runtime)
    hourly.clock.advance(days=-1, seconds=25)
    open_due_runs(runtime=runtime)
    hourly.clock.advance(hours=1)
    resume_all(actor="ann", runtime=runtime)
    open_due_runs(runtime=runtime)
    assert occurrences() == [(datetime(2026, 7, 1, 10, tzinfo=UTC), Status.SKIPPED)]
