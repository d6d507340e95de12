"""Pause and resume."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, SharedState
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling import open_due_runs as engine
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.services.scheduling.pausing import pause, pause_all, pause_all_if_scheduled, resume, resume_all
from report_orchestrator.services.timetable.queue_schedules import pipeline_name, wanted_schedules
from report_orchestrator.testing import START, FakePorts, FakeQueue, geo_report, make_runtime
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
SETTINGS = SettingsFactory.make()


@pytest.fixture
def hourly(fakes: FakePorts) -> FakePorts:
    fakes.reports.add(geo_report("1"))
    discover(runtime=fakes.runtime(get_settings()))
    return fakes


def row() -> ReportSchedule:
    return ReportSchedule.objects.get()


def tick(fakes: FakePorts) -> int:
    return open_due_runs(runtime=fakes.runtime(SETTINGS)).runs


def test_a_paused_report_opens_nothing_and_says_who_and_why(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="reload", runtime=make_runtime(hourly.ports))
    hourly.clock.advance(hours=2)
    assert tick(hourly) == 0
    assert (row().paused_by, row().pause_reason, row().paused_at) == ("ann", "reload", START)
    change = ReportChange.objects.latest("pk")
    assert (change.kind, change.after, change.source) == ("paused", {"actor": "ann", "reason": "reload"}, "person")


def test_a_report_whose_zone_has_vanished_is_resumed_and_quarantined(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="reload", runtime=make_runtime(hourly.ports))
    ReportSchedule.objects.update(timezone="Atlantis/Poseidonis")
    resume(["1"], actor="ann", reason="", runtime=make_runtime(hourly.ports))
    assert row().paused_at is None
    tick(hourly)
    assert (row().state, "Atlantis/Poseidonis" in row().problem) == ("quarantined", True)


def test_resuming_decides_what_was_missed_by_the_policy(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="", runtime=make_runtime(hourly.ports))
    hourly.clock.advance(hours=3, minutes=30)
    resume(["1"], actor="ben", runtime=make_runtime(hourly.ports))
    assert tick(hourly) == 1
    assert list(ReportRun.objects.filter(status=Status.QUEUED).values_list("scheduled_for", flat=True)) == [
        START + timedelta(hours=3)
    ]
    assert ReportRun.objects.filter(status=Status.SKIPPED).count() == 2


def test_a_paused_report_stays_paused_when_its_cron_is_edited(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="", runtime=make_runtime(hourly.ports))
    hourly.reports.change("1", cron="*/5 * * * *")
    discover(runtime=make_runtime(hourly.ports, get_settings()))
    hourly.clock.advance(hours=1)
    assert (tick(hourly), row().next_run_at) == (0, None)
    resume(["1"], actor="ann", runtime=make_runtime(hourly.ports))
    assert tick(hourly) == 1


def test_times_that_an_edit_decides_in_a_pause_are_missed_even_if_the_report_is_busy(hourly: FakePorts) -> None:
    hourly.clock.advance(hours=1)
    tick(hourly)
    pause(["1"], actor="ann", reason="", runtime=make_runtime(hourly.ports))
    hourly.clock.advance(hours=1)
    hourly.reports.change("1", cron="*/5 * * * *")
    discover(runtime=make_runtime(hourly.ports, get_settings()))
    assert list(ReportRun.objects.order_by("scheduled_for").values_list("status", "error_code")) == [
        (Status.QUEUED, ""),
        (Status.SKIPPED, "missed"),
    ]


def test_a_paused_report_can_be_run_by_hand(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="", runtime=make_runtime(hourly.ports))
    assert open_manual_run(row(), run_date=None, requested_by="ann", runtime=make_runtime(hourly.ports)).pk


def test_pausing_twice_changes_nothing(hourly: FakePorts) -> None:
    for expected in (1, 0):
        changed = pause(["1"], actor="ann", reason="", runtime=make_runtime(hourly.ports))
        assert len(changed) == expected


def test_a_pause_that_is_not_the_one_that_was_seen_stays(hourly: FakePorts) -> None:
    pause(["1"], actor="ann", reason="", runtime=make_runtime(hourly.ports))
    for seen, resumed in ((START - timedelta(microseconds=1), 0), (START, 1)):
        assert len(resume(["1"], actor="ben", runtime=make_runtime(hourly.ports), paused_at=seen)) == resumed


def test_a_report_that_is_not_there_changes_nothing(hourly: FakePorts) -> None:
    with pytest.raises(NotPossibleError, match="Report 99 does not exist"):
        pause(["1", "99"], actor="ann", reason="", runtime=make_runtime(hourly.ports))
    assert row().paused_at is None


def test_everything_can_be_paused_and_resumed(hourly: FakePorts) -> None:
    runtime = make_runtime(hourly.ports)
    paused = pause_all(actor="ann", reason="maintenance", runtime=runtime)
    hourly.clock.advance(hours=1)
    assert tick(hourly) == 0
    assert resume_all(actor="ann", runtime=runtime, paused_at=START + timedelta(hours=1)) is None
    resumed = resume_all(actor="ann", runtime=runtime, paused_at=START)
    assert tick(hourly) == 1
    assert list(ReportChange.objects.filter(schedule=None).order_by("pk")) == [paused, resumed]
    assert resume_all(actor="ann", runtime=runtime) is None


def test_a_pause_of_all_stops_a_tick_under_way(hourly: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    hourly.reports.add(geo_report("2"))
    discover(runtime=hourly.runtime(get_settings()))
    monkeypatch.setattr(engine, "BATCH", 1)
    notify = FakeQueue.notify

    def pausing(self: FakeQueue, run_ids: Sequence[int], *, group: str = "") -> None:
        notify(self, run_ids, group=group)
        pause_all(actor="ann", reason="", runtime=make_runtime(hourly.ports))

    monkeypatch.setattr(FakeQueue, "notify", pausing)
    hourly.clock.advance(hours=1)
    assert tick(hourly) == 1
    resume_all(actor="ann", runtime=make_runtime(hourly.ports))
    assert tick(hourly) == 1


def test_a_pause_of_all_is_ended_by_its_second_and_by_no_other_instant(hourly: FakePorts) -> None:
    runtime = make_runtime(hourly.ports)
    hourly.clock.advance(seconds=0.25)
    pause_all(actor="ann", reason="maintenance", runtime=runtime)
    for other in (START + timedelta(seconds=1), START + timedelta(seconds=0.5), START - timedelta(seconds=1)):
        assert resume_all(actor="ann", runtime=runtime, paused_at=other) is None
    assert resume_all(actor="ann", runtime=runtime, paused_at=START) is not None


def test_a_second_pause_of_all_does_not_replace_the_reason_of_the_first(hourly: FakePorts) -> None:
    runtime = make_runtime(hourly.ports)
    first = pause_all_if_scheduled(actor="ann", reason="regulator", runtime=runtime)
    hourly.clock.advance(seconds=1)
    before = list(SharedState.objects.values_list())
    assert pause_all_if_scheduled(actor="ben", reason="lunch", runtime=runtime) is None
    assert list(SharedState.objects.values_list()) == before
    assert list(ReportChange.objects.filter(schedule=None)) == [first]


def test_a_paused_report_has_no_line_in_the_pipeline(hourly: FakePorts) -> None:
    pipeline = SettingsFactory.make(SCHEDULING_APPROACH="pipeline")
    names = {line.name for line in wanted_schedules(pipeline, START, report_model=hourly.reports.label)}
    of_report = pipeline_name(row().pk, "1", row().name)
    assert of_report in names
    pause(["1"], actor="ann", reason="", runtime=make_runtime(hourly.ports))
    assert {line.name for line in wanted_schedules(pipeline, START, report_model=hourly.reports.label)} == names - {
        of_report
    }
