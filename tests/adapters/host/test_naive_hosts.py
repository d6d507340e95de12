"""A host without time zones: its own wall times are read without a loss, in the hour that comes twice in autumn too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django_q.models import Schedule
from pytest_django import Settings as DjangoSettings

from report_orchestrator import tasks
from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.adapters.host.timestamps import host_stamp, later_than
from report_orchestrator.adapters.queue.django_q import TASKS, DjangoQ
from report_orchestrator.adapters.queue.timestamps import queue_time
from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportSchedule
from report_orchestrator.ports import Ports, QueueSchedule
from report_orchestrator.services.discovery.changed import refresh_changed
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.testing import FakePorts, make_runtime
from tests.host.api import models as host
from tests.support.settings_factory import SettingsFactory

pytestmark = [pytest.mark.django_db(databases=["default", "reports"]), pytest.mark.usefixtures("_naive_in_new_york")]

NEW_YORK = ZoneInfo("America/New_York")
MIDNIGHT = datetime(2026, 11, 1, 4, tzinfo=UTC)
"""In New York. Two hours later the clocks go back from two to one."""
CHANGE = MIDNIGHT + timedelta(hours=2)


@pytest.fixture
def _naive_in_new_york(settings: DjangoSettings) -> None:
    settings.USE_TZ = False
    settings.TIME_ZONE = "America/New_York"


def wall(instant: datetime) -> datetime:
    """Return the wall time of such a host."""
    return instant.astimezone(NEW_YORK).replace(tzinfo=None, fold=0)


class TestStamps:
    def test_a_time_that_comes_once_is_exact(self) -> None:
        noon = datetime(2026, 7, 1, 16, tzinfo=UTC)
        assert host_stamp(wall(noon)) == noon
        assert host_stamp(noon) == noon
        assert host_stamp(None) is None
        assert later_than(noon) == wall(noon)

    def test_a_repeated_hour_counts_as_its_beginning(self) -> None:
        beginning = MIDNIGHT + timedelta(hours=1)
        for minutes in (0, 1, 59, 60, 119):
            edited_at = beginning + timedelta(minutes=minutes)
            assert host_stamp(wall(edited_at)) == beginning
            assert later_than(edited_at) == wall(beginning) - timedelta(microseconds=1)

    def test_with_time_zones_nothing_is_changed(self, settings: DjangoSettings) -> None:
        settings.USE_TZ = True
        assert later_than(CHANGE) is CHANGE
        assert queue_time(CHANGE) is CHANGE


class _HostNight:
    """Edits by SQL, which send no signal, and their detection by a tick of the sensor."""

    def __init__(self, fakes: FakePorts) -> None:
        settings = SettingsFactory.make()
        self.ports: Ports = replace(fakes.ports, reports=HostReports(settings))
        self.fakes = fakes
        self.report = host.Report.objects.create(name="created", cron="0 6 * * *")
        self._edit("first", MIDNIGHT - timedelta(days=30))
        discover(runtime=make_runtime(self.ports, get_settings()))

    def _edit(self, name: str, at: datetime) -> None:
        host.Report.objects.update(name=name, updated=wall(at))

    def edited(self, name: str, at: datetime) -> str:
        """The name that we know a moment after the edit."""
        self._edit(name, at)
        self.fakes.clock.now = at + timedelta(seconds=2)
        refresh_changed(runtime=make_runtime(self.ports, get_settings()))
        return ReportSchedule.objects.get().name


class TestChanges:
    def test_no_edit_of_the_night_is_missed(self, fakes: FakePorts) -> None:
        night = _HostNight(fakes)
        for minute in range(0, 300, 7):
            name = f"at minute {minute}"
            assert night.edited(name, MIDNIGHT + timedelta(minutes=minute)) == name

    def test_an_edit_at_the_very_change_is_not_missed(self, fakes: FakePorts) -> None:
        night = _HostNight(fakes)
        last = CHANGE - timedelta(microseconds=1)
        for name, at in {"one": CHANGE - timedelta(hours=1), "two": last, "three": CHANGE}.items():
            assert night.edited(name, at) == name

    def test_a_full_discovery_after_the_night_finds_what_ticks_did_not_see(self, fakes: FakePorts) -> None:
        night = _HostNight(fakes)
        assert night.edited("before", CHANGE - timedelta(minutes=5)) == "before"
        host.Report.objects.update(name="after", updated=wall(CHANGE + timedelta(minutes=5)))
        fakes.clock.now = CHANGE + timedelta(days=3)
        discover(runtime=make_runtime(night.ports, get_settings()))
        assert ReportSchedule.objects.get().name == "after"

    def test_a_stamp_that_went_back_is_the_hosts_word_too(self, fakes: FakePorts) -> None:
        night = _HostNight(fakes)
        assert night.edited("newer", MIDNIGHT - timedelta(hours=3)) == "newer"
        host.Report.objects.update(name="older", updated=wall(MIDNIGHT - timedelta(hours=4)))
        discover(runtime=make_runtime(night.ports, get_settings()))
        assert ReportSchedule.objects.get().name == "older"

    def test_a_stamp_that_a_switch_of_time_zones_put_ahead_hides_no_edit(self, fakes: FakePorts) -> None:
        night = _HostNight(fakes)
        noon = MIDNIGHT - timedelta(hours=12)
        # Of a save just before the switch SQLite kept the wall clock of UTC, four hours ahead of New York's.
        host.Report.objects.update(updated=noon.replace(tzinfo=None))
        fakes.clock.now = noon
        discover(runtime=make_runtime(night.ports, get_settings()))
        host.Report.objects.update(name="after the switch", updated=wall(noon + timedelta(minutes=5)))
        fakes.clock.now = noon + timedelta(minutes=6)
        discover(runtime=make_runtime(night.ports, get_settings()))
        assert ReportSchedule.objects.get().name == "after the switch"

    def test_nothing_is_read_again_where_nothing_was_edited(self, fakes: FakePorts) -> None:
        night = _HostNight(fakes)
        assert night.edited("edited", MIDNIGHT - timedelta(hours=3)) == "edited"
        fakes.clock.now = MIDNIGHT
        examined = [refresh_changed(runtime=make_runtime(night.ports, get_settings())).examined for _ in range(2)]
        assert examined == [1, 0]  # once more for another edit with the same stamp


class TestTheQueuesLines:
    def test_a_line_that_a_switch_of_time_zones_put_off_is_brought_back(self, settings: DjangoSettings) -> None:
        line = QueueSchedule(name="t", task=f"{TASKS}tick", minutes=1, next_run_at=MIDNIGHT)
        settings.USE_TZ = True
        DjangoQ().sync_schedules([line])
        kept = Schedule.objects.get().next_run
        settings.USE_TZ = False
        # What SQLite gives back of a row from before the switch: the wall clock of UTC, four hours ahead.
        Schedule.objects.update(next_run=kept.replace(tzinfo=None))
        assert DjangoQ().sync_schedules([line]).updated.keys() == {"t"}
        assert Schedule.objects.get().next_run == wall(MIDNIGHT)

    def test_the_window_line_does_not_sleep_through_the_repeated_hour(
        self, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ports = replace(fakes.ports, queue=DjangoQ())
        settings = SettingsFactory.make(SCHEDULING_APPROACH="schedule", SCHEDULE_CRON_EXPRESSION="*/5 * * * *")
        monkeypatch.setattr(tasks, "get_runtime", lambda: make_runtime(ports, settings))
        fakes.clock.now = CHANGE - timedelta(seconds=30)
        sync_schedules(runtime=make_runtime(ports, settings))
        window = Schedule.objects.filter(func=f"{TASKS}decide_window")
        tasks.decide_window()
        # Django-Q itself would count on from 01:59:30 to 02:00, which is an hour away.
        assert window.get().next_run == wall(CHANGE)
        fakes.clock.now = CHANGE + timedelta(seconds=1)
        tasks.decide_window()
        assert window.get().next_run == wall(CHANGE + timedelta(minutes=5))
