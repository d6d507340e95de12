"""A report that is due while its last run has not ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import JobState
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.operator_actions import retry_run
from report_orchestrator.services.reports.run_history import unfinished_scheduled_run
from report_orchestrator.services.running.worker import advance, run_due
from report_orchestrator.services.scheduling.backfill import Occurrence, find_schedules, open_backfill
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db


def due_twice(fakes: FakePorts, *, setting: str = "skip", own: str = "") -> None:
    """The first run still waits for Fireant when the second time comes."""
    settings = SettingsFactory.make(OVERLAP=setting, MAX_POLL_ATTEMPTS=1000)
    fakes.fireant.answer("101", *[JobState.RUNNING] * 3)
    fakes.reports.add(geo_report("1"), cron="*/10 * * * *", overlap=own)
    discover(runtime=fakes.runtime(get_settings()))
    for _ in range(2):
        fakes.clock.advance(minutes=10)
        open_due_runs(runtime=fakes.runtime(settings))
        run_due(None, runtime=fakes.runtime(settings), until=fakes.clock.now + timedelta(seconds=1))


def statuses() -> list[tuple[datetime, str]]:
    return list(ReportRun.objects.order_by("scheduled_for").values_list("scheduled_for", "status"))


FIRST, SECOND = START + timedelta(minutes=10), START + timedelta(minutes=20)


@pytest.mark.parametrize(("setting", "own"), [("skip", ""), ("allow", "skip")])
def test_skip_records_the_time_and_why(fakes: FakePorts, setting: str, own: str) -> None:
    due_twice(fakes, setting=setting, own=own)
    assert statuses() == [(FIRST, Status.DEFERRED), (SECOND, Status.SKIPPED)]
    skipped = ReportRun.objects.get(status=Status.SKIPPED)
    assert (skipped.error_code, "OVERLAP" in skipped.error) == ("overlap", True)


@pytest.mark.parametrize(("setting", "own"), [("allow", ""), ("skip", "allow")])
def test_allow_runs_both(fakes: FakePorts, setting: str, own: str) -> None:
    due_twice(fakes, setting=setting, own=own)
    assert statuses() == [(FIRST, Status.DEFERRED), (SECOND, Status.SUCCEEDED)]


@pytest.mark.parametrize(("setting", "own"), [("queue", ""), ("skip", "queue")])
def test_queue_starts_the_second_when_the_first_has_ended(fakes: FakePorts, setting: str, own: str) -> None:
    due_twice(fakes, setting=setting, own=own)
    assert statuses() == [(FIRST, Status.DEFERRED), (SECOND, Status.QUEUED)]
    second = ReportRun.objects.get(scheduled_for=SECOND)
    settings = SettingsFactory.make()
    assert not advance(second.pk, runtime=fakes.runtime(settings))
    ReportRun.objects.get(scheduled_for=FIRST).write(status="canceled", wake_at=None, ended_at=fakes.clock.now)
    run_due(None, runtime=fakes.runtime(settings), until=fakes.clock.now + timedelta(seconds=1))
    assert statuses()[1] == (SECOND, Status.SUCCEEDED)


def test_times_that_are_decided_together_run_one_after_another(fakes: FakePorts) -> None:
    settings = SettingsFactory.make(SCHEDULING_APPROACH="schedule")
    fakes.fireant.answer("101", JobState.RUNNING)
    fakes.reports.add(geo_report("1"), cron="*/20 * * * *")
    discover(runtime=fakes.runtime(get_settings()))
    fakes.clock.advance(hours=1)
    assert open_due_runs(runtime=fakes.runtime(settings)).runs == 3
    run_due(None, runtime=fakes.runtime(settings), until=fakes.clock.now + timedelta(seconds=1))
    assert [status for _time, status in statuses()] == [Status.DEFERRED, Status.QUEUED, Status.QUEUED]


def open_backfilled_run(fakes: FakePorts) -> None:
    [schedule] = find_schedules(["1"], fakes.runtime(get_settings()))
    yesterday = Occurrence(schedule=schedule, scheduled_for=START - timedelta(days=1))
    open_backfill([yesterday], actor="ann", runtime=fakes.runtime(get_settings()))


def open_retried_run(fakes: FakePorts) -> None:
    """A scheduled run of yesterday failed, and is retried."""
    open_backfilled_run(fakes)
    run = ReportRun.objects.get()
    now = fakes.clock.now
    run.write(trigger="scheduled", status="failed", error_code="job_failed", started_at=now, wake_at=None, ended_at=now)
    retry_run(run.pk, actor="ann", runtime=fakes.runtime(get_settings()))


def open_manual(fakes: FakePorts) -> None:
    [schedule] = find_schedules(["1"], fakes.runtime(get_settings()))
    open_manual_run(schedule, run_date=None, requested_by="ann", runtime=fakes.runtime(get_settings()))


@pytest.mark.parametrize("overlap", ["skip", "queue"])
@pytest.mark.parametrize("work_by_hand", [open_backfilled_run, open_retried_run, open_manual])
def test_work_by_hand_delays_no_scheduled_time(
    fakes: FakePorts, overlap: str, work_by_hand: Callable[[FakePorts], None]
) -> None:
    settings = SettingsFactory.make(OVERLAP=overlap)
    fakes.reports.add(geo_report("1"), cron="*/10 * * * *")
    discover(runtime=fakes.runtime(get_settings()))
    work_by_hand(fakes)
    fakes.clock.advance(minutes=10)
    open_due_runs(runtime=fakes.runtime(settings))
    run = ReportRun.objects.get(scheduled_for=FIRST)
    assert run.status == Status.QUEUED
    assert not ReportRun.objects.all().waits_in_line(run)
    assert unfinished_scheduled_run(run.schedule_id) == run.pk
    assert advance(run.pk, runtime=fakes.runtime(settings))


def test_times_in_line_do_not_wait_for_work_by_hand(fakes: FakePorts) -> None:
    """They wait for each other, and not for a backfill that was opened before them."""
    settings = SettingsFactory.make(SCHEDULING_APPROACH="schedule")
    fakes.reports.add(geo_report("1"), cron="*/20 * * * *")
    discover(runtime=fakes.runtime(get_settings()))
    open_backfilled_run(fakes)
    fakes.clock.advance(hours=1)
    assert open_due_runs(runtime=fakes.runtime(settings)).runs == 3
    waits = [
        ReportRun.objects.all().waits_in_line(run) for run in ReportRun.objects.filter(in_line=True).order_by("pk")
    ]
    assert waits == [False, True, True]
