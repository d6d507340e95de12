"""Stored next times follow the rules of today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings as DjangoSettings

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.discovery.next_times import correct_next_times
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.services.scheduling.pausing import pause
from report_orchestrator.services.timetable.queue_sync import sync_if_stale, sync_schedules
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 7, day, hour, minute, tzinfo=UTC)


def discovered(fakes: FakePorts, now: datetime, **summary: object) -> None:
    fakes.clock.now = now
    fakes.reports.add(geo_report("1"), **{"cron": "0 6 * * *", **summary})
    discover(runtime=fakes.runtime(get_settings()))


def tick(fakes: FakePorts, now: datetime, missed_runs: str = "latest") -> None:
    fakes.clock.now = now
    open_due_runs(runtime=fakes.runtime(SettingsFactory.make(MISSED_RUNS=missed_runs, OVERLAP="allow")))


def row() -> ReportSchedule:
    return ReportSchedule.objects.get()


def run_times() -> list[datetime]:
    return list(ReportRun.objects.order_by("scheduled_for").values_list("scheduled_for", flat=True))


@pytest.mark.parametrize("missed_runs", ["latest", "all", "none"])
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_new_time_zone_of_the_project_moves_next_times_and_fires_none_of_the_past(
    fakes: FakePorts, settings: DjangoSettings, zone: str, missed_runs: str
) -> None:
    discovered(fakes, at(1, 5))
    tick(fakes, at(1, 6, 1), missed_runs)
    settings.TIME_ZONE = zone
    fakes.clock.now = at(1, 12)
    [change] = correct_next_times(runtime=fakes.runtime())
    following = {"America/New_York": at(2, 10), "Asia/Tokyo": at(1, 21)}[zone]
    assert (row().next_run_at, row().decided_until) == (following, at(1, 12))
    assert (change.kind, change.before) == ("retimed", {"next_run_at": at(2, 6).isoformat()})
    assert change.after["next_run_at"] == following.isoformat()
    assert "TIME_ZONE" in str(ReportChange.objects.latest("pk").after["reason"])
    tick(fakes, at(1, 12, 5), missed_runs)
    assert run_times() == [at(1, 6)]
    tick(fakes, following + timedelta(minutes=1), missed_runs)
    assert run_times() == [at(1, 6), following]


@pytest.mark.parametrize("missed_runs", ["latest", "all", "none"])
@pytest.mark.parametrize("hours", [-1, 1])
def test_a_next_time_by_other_zone_rules_is_corrected_by_discovery(
    fakes: FakePorts, hours: int, missed_runs: str
) -> None:
    discovered(fakes, at(1, 0), timezone="Asia/Beirut")
    ReportSchedule.objects.update(next_run_at=at(1, 3) + timedelta(hours=hours))
    assert len(discover(runtime=fakes.runtime(get_settings())).changes) == 1
    assert row().next_run_at == at(1, 3)
    tick(fakes, at(1, 3, 1), missed_runs)
    tick(fakes, at(1, 4, 30), missed_runs)
    assert [(run.scheduled_for, run.status) for run in ReportRun.objects.all()] == [(at(1, 3), Status.QUEUED)]


def test_a_time_that_was_due_by_the_old_rules_is_recorded_and_does_not_run(fakes: FakePorts) -> None:
    discovered(fakes, at(1, 5))
    tick(fakes, at(1, 6, 1))
    ReportSchedule.objects.update(next_run_at=at(2, 2))
    fakes.clock.now = at(2, 12)
    correct_next_times(runtime=fakes.runtime())
    assert row().next_run_at == at(3, 6)
    skipped = ReportRun.objects.get(status=Status.SKIPPED)
    assert (skipped.scheduled_for, skipped.error_code) == (at(2, 2), "missed")


def test_a_time_that_another_system_served_is_not_recorded_as_missed(fakes: FakePorts) -> None:
    discovered(fakes, at(1, 5))
    tick(fakes, at(1, 6, 1))
    ReportSchedule.objects.update(next_run_at=at(2, 2), live_until=at(1, 12))
    fakes.clock.now = at(2, 12)
    assert len(correct_next_times(runtime=fakes.runtime())) == 1
    assert run_times() == [at(1, 6)]


def test_a_missing_next_time_is_computed(fakes: FakePorts) -> None:
    discovered(fakes, at(1, 5))
    ReportSchedule.objects.update(next_run_at=None)
    discover(runtime=fakes.runtime(get_settings()))
    assert row().next_run_at == at(1, 6)


def test_where_all_is_as_computed_nothing_is_written(fakes: FakePorts) -> None:
    discovered(fakes, at(1, 5))
    fakes.reports.add(geo_report("2"), cron="99 * * * *")
    fakes.reports.add(geo_report("3"))
    discover(runtime=fakes.runtime(get_settings()))
    pause(["3"], actor="ann", reason="", runtime=fakes.runtime(get_settings()))
    before = list(ReportSchedule.objects.values())
    fakes.clock.now = at(1, 7)  # one is due
    assert correct_next_times(runtime=fakes.runtime()) == []
    assert list(ReportSchedule.objects.values()) == before


def test_a_report_whose_cron_the_rules_no_longer_accept_does_not_stop_the_others(fakes: FakePorts) -> None:
    discovered(fakes, at(1, 5))
    fakes.reports.add(geo_report("2"), cron="0 6 * * *")
    discover(runtime=fakes.runtime(get_settings()))
    ReportSchedule.objects.filter(report_key="1").update(cron="0 6 * * 8")
    ReportSchedule.objects.filter(report_key="2").update(next_run_at=at(1, 9))
    assert [change.report for change in correct_next_times(runtime=fakes.runtime())] == [
        "report 2 (Windstorm accumulation)"
    ]
    assert ReportSchedule.objects.filter(state=ScheduleState.ACTIVE).count() == 2


def test_the_pipelines_lines_follow(fakes: FakePorts, settings: DjangoSettings) -> None:
    discovered(fakes, at(1, 5))
    runtime = fakes.runtime(SettingsFactory.make(SCHEDULING_APPROACH="pipeline"))
    sync_schedules(runtime=runtime)
    settings.TIME_ZONE = "America/New_York"
    correct_next_times(runtime=runtime)
    sync_if_stale(runtime=runtime)
    [line] = [line for line in fakes.queue.lines.values() if line.args]
    assert line.next_run_at == at(1, 10)
