"""Each check for due reports is recorded, also one that found nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from report_orchestrator import tasks
from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.models import ReportSchedule, SharedState, StateName
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling.evaluations import SPANS_KEPT, EvaluatedSpan, spans_of
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
SENSOR = SettingsFactory.make()
SCHEDULE = SettingsFactory.make(SCHEDULING_APPROACH="schedule")
PIPELINE = SettingsFactory.make(SCHEDULING_APPROACH="pipeline")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def check_due(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, settings: Settings = SENSOR) -> None:
    """Run the task of the approach that checks for due reports."""
    monkeypatch.setattr(tasks, "get_runtime", lambda: fakes.runtime(settings))
    {"sensor": tasks.cron_sensor, "schedule": tasks.decide_window, "pipeline": tasks.tick}[
        settings.scheduling_approach
    ]()


def spans() -> list[EvaluatedSpan]:
    return spans_of(SharedState.objects.filter(name=StateName.EVALUATIONS).first())


def test_checks_without_a_gap_are_one_span(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    for _minute in range(4):
        check_due(fakes, monkeypatch)
        fakes.clock.advance(minutes=1)
    assert spans() == [EvaluatedSpan(since=START, until=START + 3 * MINUTE, count=4)]


def test_a_gap_begins_a_new_span(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    check_due(fakes, monkeypatch)
    fakes.clock.advance(minutes=3)
    check_due(fakes, monkeypatch)
    assert spans() == [
        EvaluatedSpan(since=START, until=START),
        EvaluatedSpan(since=START + 3 * MINUTE, until=START + 3 * MINUTE),
    ]


def test_windows_that_follow_each_other_leave_no_gap(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_schedules(runtime=fakes.runtime(SCHEDULE))
    for hours in (0, 1, 3):
        fakes.clock.now = START + hours * HOUR
        check_due(fakes, monkeypatch, SCHEDULE)
    assert [(span.since - START, span.count) for span in spans()] == [(0 * HOUR, 2), (3 * HOUR, 1)]


def test_the_ticks_of_the_pipeline_approach_are_recorded_now_and_then(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _tick in range(25):
        check_due(fakes, monkeypatch, PIPELINE)
        fakes.clock.advance(seconds=3)
    assert spans() == [EvaluatedSpan(since=START, until=START + timedelta(seconds=66), count=3)]


def test_old_spans_are_dropped(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    for _hour in range(SPANS_KEPT + 3):
        check_due(fakes, monkeypatch)
        fakes.clock.advance(hours=1)
    assert len(spans()) == SPANS_KEPT
    assert spans()[-1].since == fakes.clock.now - HOUR


@pytest.mark.parametrize("settings", [SENSOR, SCHEDULE, PIPELINE], ids=["sensor", "schedule", "pipeline"])
def test_an_edit_that_only_sets_the_stamp_is_noticed_in_every_approach(
    settings: Settings, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START)
    discover(runtime=fakes.runtime(get_settings()))
    sync_schedules(runtime=fakes.runtime(settings))
    check_due(fakes, monkeypatch, settings)
    fakes.clock.advance(minutes=2)
    fakes.reports.change("1", cron="7 * * * *", updated_at=fakes.clock.now)
    check_due(fakes, monkeypatch, settings)
    assert ReportSchedule.objects.get().cron == "7 * * * *"


def test_between_two_windows_too_a_tick_looks_for_edits(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START)
    discover(runtime=fakes.runtime(get_settings()))
    monkeypatch.setattr(tasks, "get_runtime", lambda: fakes.runtime(SCHEDULE))
    tasks.tick()
    fakes.clock.advance(seconds=30)
    fakes.reports.change("1", cron="7 * * * *", updated_at=fakes.clock.now)
    tasks.tick()
    assert ReportSchedule.objects.get().cron == "0 * * * *", "it checks no more often than the sensor would"
    fakes.clock.advance(seconds=31)
    tasks.tick()
    assert ReportSchedule.objects.get().cron == "7 * * * *"


def test_a_clock_that_leapt_and_came_back_has_checked_no_future_time(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_due(fakes, monkeypatch)
    fakes.clock.advance(days=400)
    check_due(fakes, monkeypatch)
    fakes.clock.now = START + MINUTE
    check_due(fakes, monkeypatch)
    assert spans() == [EvaluatedSpan(since=START, until=START + MINUTE, count=2)]
