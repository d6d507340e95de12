"""Pause and resume."""

from __future__ import annotations

from datetime import timedelta

import pytest

from report_orchestrator.domain.runs import Status
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.services.approaches import wanted_schedules
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.opening import open_manual_run
from report_orchestrator.services.pausing import pause, pause_all, resume, resume_all
from report_orchestrator.services.scheduling import open_due_runs
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.conftest import SettingsFactory

pytestmark = pytest.mark.django_db
SETTINGS = SettingsFactory.make()


@pytest.fixture
def hourly(fakes: FakePorts) -> FakePorts:
    fakes.reports.add(geo_report("1"))
    discover(ports=fakes.ports)
    return fakes


def row() -> ReportSchedule:
    return ReportSchedule.objects.get()


def tick(fakes: FakePorts) -> int:
    return open_due_runs(ports=fakes.ports, settings=SETTINGS).runs


def test_a_paused_report_opens_nothing_and_says_who_and_why(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="reload", ports=hourly.ports)
    hourly.clock.advance(hours=2)
    assert tick(hourly) == 0
    assert (row().paused_by, row().pause_reason, row().paused_at) == ("ann", "reload", START)
    change = ReportChange.objects.latest("pk")
    assert (change.kind, change.after, change.source) == (
        "paused",
        {"actor": "ann", "reason": "reload"},
        "person",
    )


def test_resuming_decides_what_was_missed_by_the_policy(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="", ports=hourly.ports)
    hourly.clock.advance(hours=3, minutes=30)
    resume(["1"], actor="ben", ports=hourly.ports)
    assert tick(hourly) == 1
    assert list(ReportRun.objects.filter(status=Status.QUEUED).values_list("scheduled_for", flat=True)) == [
        START + timedelta(hours=3)
    ]
    assert ReportRun.objects.filter(status=Status.SKIPPED).count() == 2


def test_a_paused_report_stays_paused_when_its_cron_is_edited(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="", ports=hourly.ports)
    hourly.reports.change("1", cron="*/5 * * * *")
    discover(ports=hourly.ports)
    hourly.clock.advance(hours=1)
    assert (tick(hourly), row().next_run_at) == (0, None)
    resume(["1"], actor="ann", ports=hourly.ports)
    assert tick(hourly) == 1


def test_a_paused_report_can_be_run_by_hand(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="", ports=hourly.ports)
    assert open_manual_run(row(), run_date=None, asked_by="ann", ports=hourly.ports).pk


def test_pausing_twice_changes_nothing(hourly: FakePorts) -> None:
    for expected in (1, 0):
        changed = pause(["1"], actor="ann", reason="", ports=hourly.ports)
        assert len(changed) == expected


def test_a_pause_that_is_not_the_one_that_was_seen_stays(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="", ports=hourly.ports)
    for seen, resumed in ((START - timedelta(microseconds=1), 0), (START, 1)):
        assert len(resume(["1"], actor="ben", ports=hourly.ports, paused_at=seen)) == resumed


def test_a_report_that_is_not_there_changes_nothing(hourly: FakePorts) -> None:
    with pytest.raises(NotPossibleError, match="no report 99"):
        pause(["1", "99"], actor="ann", reason="", ports=hourly.ports)
    assert row().paused_at is None


def test_everything_can_be_paused_and_resumed(hourly: FakePorts) -> None:
    pause_all(actor="ann", reason="maintenance", ports=hourly.ports)
    hourly.clock.advance(hours=1)
    assert tick(hourly) == 0
    resume_all(actor="ann", ports=hourly.ports)
    assert tick(hourly) == 1


def test_a_paused_report_has_no_line_in_the_pipeline(hourly: FakePorts) -> None:
    pipeline = SettingsFactory.make(SCHEDULING_APPROACH="pipeline")
    names = {line.name for line in wanted_schedules(pipeline, START, report_model=hourly.reports.label)}
    assert "report 1: Windstorm accumulation" in names
    pause(["1"], actor="ann", reason="", ports=hourly.ports)
    assert {
        line.name for line in wanted_schedules(pipeline, START, report_model=hourly.reports.label)
    } == names - {"report 1: Windstorm accumulation"}
