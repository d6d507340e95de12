"""An edit loses none of the times that the old definition had, and opens none of them twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.reports import ReportSummary
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery import schedule_sync
from report_orchestrator.services.discovery.changed import refresh
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling.pausing import pause, pause_all
from report_orchestrator.testing import START, FakePorts, FakeReports, geo_report
from tests.support.discovered_reports import kinds, known, row

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("started")
def test_times_that_had_come_before_an_edit_was_noticed_are_decided_by_the_old_definition(fakes: FakePorts) -> None:
    known(fakes)
    fakes.clock.advance(hours=1, seconds=10)
    fakes.reports.change("1", cron="30 5 * * *")
    assert kinds(refresh(["1"], runtime=fakes.runtime(get_settings()))) == ["retimed"]
    run = ReportRun.objects.get()
    assert (run.scheduled_for, run.status) == (START + timedelta(hours=1), "queued")
    assert fakes.queue.notified == [run.pk]


def test_a_discovery_that_read_a_report_before_a_newer_edit_does_not_undo_it(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(fakes)
    fakes.clock.advance(minutes=1)
    monkeypatch.setattr(FakeReports, "summaries", _overtaken_by_an_edit(fakes))
    discover(runtime=fakes.runtime(get_settings()))
    assert row().name == "Newer"


def _overtaken_by_an_edit(fakes: FakePorts) -> Callable[..., Iterator[ReportSummary]]:
    """The host's stream as it was at its start, while a save in another process is noticed at once."""
    stream = FakeReports.summaries

    def overtaken(self: FakeReports, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        found = list(stream(self, keys))
        if keys is None and self.found["1"].name != "Newer":
            fakes.clock.advance(seconds=1)
            self.change("1", name="Newer")
            refresh(["1"], runtime=fakes.runtime(get_settings()))
        yield from found

    return overtaken


def test_an_edit_is_in_force_from_when_it_had_the_row_and_not_from_when_it_began_to_wait(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick that holds the row decides by the old cron: those times must not count as the new one's."""
    known(fakes)
    fakes.reports.change("1", cron="30 5 * * *")
    lock = schedule_sync.lock_definitions

    def held_up(runtime: Runtime) -> None:
        lock(runtime)
        fakes.clock.advance(seconds=7)

    monkeypatch.setattr(schedule_sync, "lock_definitions", held_up)
    discover(runtime=fakes.runtime(get_settings()))
    change = ReportChange.objects.get(kind="retimed")
    assert change.noticed_at == row().decided_until == START + timedelta(seconds=7)


@pytest.mark.usefixtures("started")
def test_a_paused_report_that_is_edited_loses_none_of_the_times_of_its_pause(fakes: FakePorts) -> None:
    known(fakes)
    fakes.clock.advance(minutes=30)
    pause(["1"], actor="ann", reason="", runtime=fakes.runtime())
    fakes.clock.advance(hours=2)
    fakes.reports.change("1", cron="30 5 * * *")
    discover(runtime=fakes.runtime(get_settings()))
    assert list(ReportRun.objects.values_list("scheduled_for", "status", "error_code").order_by("pk")) == [
        (START + timedelta(hours=hour), "skipped", "missed") for hour in (1, 2)
    ]
    assert (row().next_run_at, row().paused_by) == (None, "ann")


@pytest.mark.usefixtures("started")
def test_an_edit_after_a_long_outage_loses_none_of_the_old_times(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), cron="* * * * *")
    discover(runtime=fakes.runtime(get_settings()))
    fakes.clock.advance(minutes=1300)
    fakes.reports.change("1", cron="30 5 * * *")
    refresh(["1"], runtime=fakes.runtime(get_settings()))
    assert ReportRun.objects.count() == 1300
    assert ReportRun.objects.filter(status="queued").count() == 2  # those on time


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize(
    "edit", [{"enabled": False}, {"cron": "nonsense"}, {"cron": ""}], ids=["disabled", "broken", "none"]
)
def test_the_end_of_a_schedule_in_an_outage_records_what_was_missed_and_runs_none_of_it(
    fakes: FakePorts, edit: dict[str, object]
) -> None:
    known(fakes)
    fakes.clock.advance(hours=3, minutes=10)
    fakes.reports.change("1", **edit)
    refresh(["1"], runtime=fakes.runtime(get_settings()))
    assert list(ReportRun.objects.values_list("status", "error_code")) == [("skipped", "missed")] * 3


@pytest.mark.usefixtures("started")
def test_the_end_of_a_schedule_just_after_a_time_does_not_lose_it(fakes: FakePorts) -> None:
    known(fakes)
    fakes.clock.advance(hours=1, seconds=10)
    fakes.reports.change("1", enabled=False)
    refresh(["1"], runtime=fakes.runtime(get_settings()))
    assert list(ReportRun.objects.values_list("status", flat=True)) == ["queued"]


@pytest.mark.usefixtures("started")
def test_an_edit_while_all_is_paused_opens_nothing_and_records_what_had_come(fakes: FakePorts) -> None:
    known(fakes)
    pause_all(actor="ann", reason="maintenance", runtime=fakes.runtime())
    fakes.clock.advance(hours=1, seconds=10)
    fakes.reports.change("1", cron="30 5 * * *")
    refresh(["1"], runtime=fakes.runtime(get_settings()))
    assert list(ReportRun.objects.values_list("status", "error_code")) == [("skipped", "missed")]


def test_an_old_definition_that_cannot_be_read_does_not_undo_the_edit(fakes: FakePorts) -> None:
    known(fakes)
    ReportSchedule.objects.update(cron="nonsense", next_run_at=START)
    fakes.clock.advance(hours=1)
    fakes.reports.change("1", cron="30 5 * * *")
    refresh(["1"], runtime=fakes.runtime(get_settings()))
    assert (row().state, row().cron) == ("active", "30 5 * * *")


def test_a_new_name_alone_leaves_what_is_due_to_the_tick(fakes: FakePorts) -> None:
    known(fakes)
    fakes.clock.advance(hours=1, seconds=10)
    fakes.reports.change("1", name="Renamed")
    refresh(["1"], runtime=fakes.runtime(get_settings()))
    assert not ReportRun.objects.exists()
    assert row().next_run_at == START + timedelta(hours=1)
