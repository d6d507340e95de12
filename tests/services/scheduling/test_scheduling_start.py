"""Scheduling begins at a cluster's first tick, or when a person says so: earlier times belong to another system."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

import pytest
from django.db import connection, transaction

from report_orchestrator import tasks
from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling.pausing import pause, pause_all, resume, resume_all
from report_orchestrator.services.scheduling.scheduling_start import schedule_from_now
from report_orchestrator.services.scheduling.switch import Switched, switch_to_live, switch_to_shadow
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
APPROACHES = ("sensor", "schedule", "pipeline")
LONG_AGO = timedelta(hours=20)


@pytest.fixture
def fakes(fakes: FakePorts) -> FakePorts:
    """Two reports, hourly and daily, that were discovered at noon."""
    fakes.reports.add(geo_report("1"), cron="0 * * * *")
    fakes.reports.add(geo_report("2"), cron="30 18 * * *")
    discover(runtime=fakes.runtime(get_settings()))
    return fakes


def cluster_ticks(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, approach: str = "sensor") -> None:
    """Run the tasks that a cluster of this approach runs first, in their worst order."""
    runtime = fakes.runtime(SettingsFactory.make(SCHEDULING_APPROACH=approach))
    monkeypatch.setattr(tasks, "get_runtime", lambda: runtime)
    sync_schedules(runtime=runtime)
    match approach:
        case "sensor":
            tasks.cron_sensor()
        case "schedule":
            tasks.decide_window()
        case _:
            for pk in ReportSchedule.objects.values_list("pk", flat=True):
                tasks.run_report(pk)
    tasks.tick()


def scheduled_times() -> list[timedelta]:
    return [at - START for at in ReportRun.objects.order_by("scheduled_for").values_list("scheduled_for", flat=True)]


@pytest.mark.parametrize("approach", APPROACHES)
def test_the_first_start_leaves_the_times_before_it_alone(
    approach: str, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.clock.advance(hours=20, minutes=10)
    cluster_ticks(fakes, monkeypatch, approach)
    assert scheduled_times() == []
    assert SharedState.objects.get(name=StateName.SCHEDULING).marked_at == fakes.clock.now
    fakes.clock.advance(minutes=50)
    cluster_ticks(fakes, monkeypatch, approach)
    assert scheduled_times() == [timedelta(hours=21)]


def test_a_cluster_that_is_not_the_first_decides_the_times_since_the_last_one(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster_ticks(fakes, monkeypatch)
    fakes.clock.advance(hours=2, minutes=10)
    cluster_ticks(fakes, monkeypatch)
    assert scheduled_times() == [timedelta(hours=1), timedelta(hours=2)]


def test_an_installation_that_ticked_before_starts_were_recorded_goes_on(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    SharedState.objects.record(StateName.TICK, now=START)
    fakes.clock.advance(hours=1, seconds=30)
    cluster_ticks(fakes, monkeypatch)
    assert scheduled_times() == [timedelta(hours=1)]


def test_an_edit_before_the_first_start_opens_nothing(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.clock.advance(hours=20, minutes=10)
    fakes.reports.change("1", cron="5 * * * *")
    discover(runtime=fakes.runtime(get_settings()))
    cluster_ticks(fakes, monkeypatch)
    assert scheduled_times() == []


@pytest.mark.parametrize("switch", [switch_to_live, switch_to_shadow])
def test_a_switch_before_the_first_start_opens_nothing(
    switch: Callable[..., Switched], fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_live = switch is switch_to_shadow
    fakes.clock.advance(hours=20, minutes=10)
    switched = switch(["1"], actor="ann", runtime=fakes.runtime(SettingsFactory.make(SHADOW=not is_live)))
    assert [row.report_key for row in switched.reports] == ["1"]
    assert scheduled_times() == []
    cluster_ticks(fakes, monkeypatch)
    assert scheduled_times() == []


def test_a_person_starts_scheduling_from_now(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster_ticks(fakes, monkeypatch)
    fakes.clock.advance(hours=20, minutes=10)
    assert schedule_from_now(actor="ann", runtime=fakes.runtime()) == START + timedelta(hours=20, minutes=10)
    cluster_ticks(fakes, monkeypatch)
    assert scheduled_times() == []


def test_a_pause_of_all_can_end_from_now_on(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    pause(["2"], actor="ann", reason="", runtime=fakes.runtime())
    pause_all(actor="ann", reason="", runtime=fakes.runtime())
    cluster_ticks(fakes, monkeypatch)
    fakes.clock.advance(hours=20, minutes=10)
    resume_all(actor="ann", runtime=fakes.runtime(), from_now=True)
    cluster_ticks(fakes, monkeypatch)
    assert scheduled_times() == []
    resume(["2"], actor="ann", runtime=fakes.runtime())
    cluster_ticks(fakes, monkeypatch)
    assert scheduled_times() == [timedelta(hours=6, minutes=30)]  # paused by itself: its times were kept


def test_a_pause_of_one_report_can_end_from_now_on(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster_ticks(fakes, monkeypatch)
    pause(["1", "2"], actor="ann", reason="", runtime=fakes.runtime())
    fakes.clock.advance(hours=20, minutes=10)
    resume(["1", "2"], actor="ann", runtime=fakes.runtime(), from_now=True)
    cluster_ticks(fakes, monkeypatch)
    assert scheduled_times() == []
    fakes.clock.advance(minutes=50)
    cluster_ticks(fakes, monkeypatch)
    assert scheduled_times() == [timedelta(hours=21)]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer, and MariaDB shows no waits")
@pytest.mark.django_db(transaction=True)
def test_a_start_locks_reports_in_the_order_of_other_writers(fakes: FakePorts) -> None:
    """Otherwise it and a pause, which holds the first report and waits for the next one, wait for each other."""
    fakes.clock.advance(hours=20)
    first, last = ReportSchedule.objects.order_by("pk")
    ReportSchedule.objects.filter(pk=last.pk).update(next_run_at=START)
    starter = threading.Thread(target=start_in_thread, args=(fakes,))
    with transaction.atomic():
        ReportSchedule.objects.select_for_update().get(pk=first.pk)
        starter.start()
        wait_until_blocked()
        assert ReportSchedule.objects.select_for_update(nowait=True).get(pk=last.pk).next_run_at == START
    starter.join(10)
    assert not ReportSchedule.objects.exclude(decided_until=fakes.clock.now).exists()


def start_in_thread(fakes: FakePorts) -> None:
    schedule_from_now(actor="ann", runtime=fakes.runtime(get_settings()))
    connection.close()


def wait_until_blocked() -> None:
    """Return once another connection to this database waits for a row."""
    deadline = monotonic() + 10
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(query)
            if cursor.fetchone()[0]:
                return
            assert monotonic() < deadline, "no connection waits"
