"""The host's reports become rows, and differences become changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from report_orchestrator.domain.reports import ReportSummary
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.ports import Ports
from report_orchestrator.services import edits
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.found import Discovery
from report_orchestrator.services.pausing import pause, pause_all
from report_orchestrator.services.refreshing import refresh, refresh_changed
from report_orchestrator.testing import START, FakePorts, FakeReports, geo_report

pytestmark = pytest.mark.django_db


def kinds(found: Discovery) -> list[str]:
    return [change.kind.value for change in found.changes]


def row(key: str = "1") -> ReportSchedule:
    return ReportSchedule.objects.get(report_key=key)


def known(fakes: FakePorts, count: int = 1) -> None:
    for number in range(1, count + 1):
        fakes.reports.add(geo_report(str(number)))
    discover(ports=fakes.ports)


def test_a_new_report_becomes_a_row_that_is_due(fakes: FakePorts) -> None:
    known(fakes)
    assert (row().state, row().next_run_at) == (ScheduleState.ACTIVE, START + timedelta(hours=1))
    assert ReportChange.objects.get().kind == ChangeKind.NEW


def test_a_second_discovery_changes_nothing_and_says_so(fakes: FakePorts) -> None:
    known(fakes)
    before = ReportSchedule.objects.values().get()
    fakes.clock.advance(minutes=5)
    assert discover(ports=fakes.ports).changes == []
    assert ReportSchedule.objects.values().get() == before
    assert ReportChange.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "kind", "before", "after"),
    [
        ({"name": "New"}, "renamed", {"name": "Windstorm accumulation"}, {"name": "New"}),
        ({"cron": "5 * * * *"}, "retimed", {"cron": "0 * * * *"}, {"cron": "5 * * * *"}),
        ({"timezone": "Asia/Tokyo"}, "retimed", {"timezone": ""}, {"timezone": "Asia/Tokyo"}),
        ({"priority": 20}, "reprioritised", {"priority": 0}, {"priority": 20}),
        ({"enabled": False}, "disabled", {"state": "active"}, {"state": "disabled"}),
        ({"cron": ""}, "retimed", {"cron": "0 * * * *"}, {"cron": ""}),
    ],
)
def test_a_difference_is_recorded_with_before_and_after(
    fakes: FakePorts,
    change: dict[str, object],
    kind: str,
    before: dict[str, object],
    after: dict[str, object],
) -> None:
    known(fakes)
    fakes.reports.change("1", **change)
    found = discover(ports=fakes.ports)
    assert kinds(found) == [kind]
    recorded = ReportChange.objects.order_by("pk").last()
    assert recorded is not None
    assert (recorded.kind, recorded.before, recorded.after) == (kind, before, after)


def test_several_differences_of_one_report_are_several_changes(fakes: FakePorts) -> None:
    known(fakes)
    fakes.reports.change("1", name="New", cron="5 * * * *", enabled=False)
    assert kinds(discover(ports=fakes.ports)) == ["renamed", "retimed", "disabled"]


def test_a_report_that_cannot_run_is_quarantined_with_the_reason_and_repaired_later(
    fakes: FakePorts,
) -> None:
    known(fakes)
    fakes.reports.change("1", cron="99 99 99 99 99")
    assert kinds(discover(ports=fakes.ports)) == ["retimed", "quarantined"]
    assert (row().state, row().problem_code, row().next_run_at) == ("quarantined", "invalid_cron", None)
    assert "report 1 (Windstorm accumulation)" in row().problem
    fakes.reports.change("1", cron="0 * * * *")
    assert kinds(discover(ports=fakes.ports)) == ["retimed", "repaired"]
    assert (row().state, row().problem) == ("active", "")


def test_a_zone_that_does_not_exist_quarantines(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), timezone="Mars/Olympus")
    assert kinds(discover(ports=fakes.ports)) == ["new", "quarantined"]
    assert "Mars/Olympus" in row().problem


def test_a_disabled_report_that_is_enabled_again_starts_from_now(fakes: FakePorts) -> None:
    known(fakes)
    fakes.reports.change("1", enabled=False)
    discover(ports=fakes.ports)
    assert row().next_run_at is None
    fakes.clock.advance(hours=5)
    fakes.reports.change("1", enabled=True)
    assert kinds(discover(ports=fakes.ports)) == ["enabled"]
    assert row().next_run_at == START + timedelta(hours=6)
    assert row().decided_until == START + timedelta(hours=5)


def test_a_report_that_is_gone_is_retired_and_comes_back_as_new(fakes: FakePorts) -> None:
    known(fakes, 2)
    report = fakes.reports.reports["2"]
    fakes.reports.remove("2")
    assert kinds(discover(ports=fakes.ports)) == ["removed"]
    assert (row("2").state, row("2").next_run_at) == ("removed", None)
    fakes.reports.add(report)
    assert kinds(discover(ports=fakes.ports)) == ["new"]
    assert row("2").state == "active"


def test_an_empty_table_removes_nothing_until_a_person_accepts_it(fakes: FakePorts) -> None:
    known(fakes, 10)
    for key in list(fakes.reports.reports):
        fakes.reports.remove(key)
    found = discover(ports=fakes.ports)
    assert (len(found.held_removals), found.changes) == (10, [])
    assert ReportSchedule.objects.present().count() == 10
    accepted = discover(ports=fakes.ports, accept_removals=True)
    assert kinds(accepted) == ["removed"] * 10
    assert ReportSchedule.objects.present().count() == 0


def test_a_dry_run_says_the_same_and_writes_nothing(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"))
    assert kinds(discover(ports=fakes.ports, dry_run=True)) == ["new"]
    assert not ReportSchedule.objects.exists()


def test_a_refresh_touches_only_the_reports_that_it_is_told_of(fakes: FakePorts) -> None:
    known(fakes, 3)
    fakes.reports.change("1", name="A")
    fakes.reports.change("2", name="B")
    fakes.reports.remove("3")
    assert kinds(refresh(["1", "3"], ports=fakes.ports)) == ["renamed", "removed"]
    assert (row("1").name, row("2").name, row("3").state) == ("A", "Windstorm accumulation", "removed")


def test_keys_of_any_kind_name_a_report(fakes: FakePorts) -> None:
    for key in ("6f9619ff-8b86-d011-b42d-00c04fc964ff", "north/sea é", "12"):
        fakes.reports.add(geo_report(key))
    discover(ports=fakes.ports)
    assert ReportSchedule.objects.count() == 3
    assert discover(ports=fakes.ports).changes == []


def test_an_edit_without_a_signal_is_noticed_by_its_stamp(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START)
    fakes.reports.add(geo_report("2"), updated_at=START)
    discover(ports=fakes.ports)
    fakes.reports.change("1", cron="5 * * * *", updated_at=START + timedelta(seconds=1))
    assert kinds(refresh_changed(ports=fakes.ports)) == ["retimed"]
    assert ReportChange.objects.latest("pk").source == "change_stamp"
    assert refresh_changed(ports=fakes.ports).changes == []


def test_a_stamp_that_was_committed_late_is_not_missed(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START)
    fakes.reports.add(geo_report("2"), updated_at=START + timedelta(seconds=20))
    discover(ports=fakes.ports)
    fakes.reports.change("1", name="Late", updated_at=START + timedelta(seconds=10))
    assert kinds(refresh_changed(ports=fakes.ports)) == ["renamed"]


def test_a_report_takes_its_overlap_policy_from_the_host(fakes: FakePorts) -> None:
    known(fakes)
    fakes.reports.change("1", overlap="queue")
    assert discover(ports=fakes.ports).changes == []
    assert row().overlap == "queue"


def test_a_report_that_is_born_during_a_discovery_is_not_retired_by_it(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(fakes, 2)
    monkeypatch.setattr(FakeReports, "summaries", _streaming(fakes))
    assert discover(ports=fakes.ports).changes == []
    assert row("3").state == "active"


def _streaming(fakes: FakePorts) -> Callable[..., Iterator[ReportSummary]]:
    """The host's stream, at the end of which a report is born, as by a save in another process."""
    stream = FakeReports.summaries

    def streaming(self: FakeReports, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        yield from stream(self, keys)
        if keys is None and "3" not in self.reports:
            self.add(geo_report("3"))
            refresh(["3"], ports=fakes.ports)

    return streaming


def test_times_that_had_come_before_an_edit_was_noticed_are_decided_by_the_old_definition(
    fakes: FakePorts,
) -> None:
    known(fakes)
    fakes.clock.advance(hours=1, seconds=10)
    fakes.reports.change("1", cron="30 5 * * *")
    assert kinds(refresh(["1"], ports=fakes.ports)) == ["retimed"]
    run = ReportRun.objects.get()
    assert (run.scheduled_for, run.status) == (START + timedelta(hours=1), "queued")
    assert fakes.queue.rung == [run.pk]


def test_a_discovery_that_read_a_report_before_a_newer_edit_does_not_undo_it(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(fakes)
    fakes.clock.advance(minutes=1)
    monkeypatch.setattr(FakeReports, "summaries", _overtaken_by_an_edit(fakes))
    discover(ports=fakes.ports)
    assert row().name == "Newer"


def _overtaken_by_an_edit(fakes: FakePorts) -> Callable[..., Iterator[ReportSummary]]:
    """The host's stream as it was at its start, while a save in another process is noticed at once."""
    stream = FakeReports.summaries

    def overtaken(self: FakeReports, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        found = list(stream(self, keys))
        if keys is None and self.found["1"].name != "Newer":
            fakes.clock.advance(seconds=1)
            self.change("1", name="Newer")
            refresh(["1"], ports=fakes.ports)
        yield from found

    return overtaken


def test_a_report_whose_stamp_went_back_is_still_brought_in_step(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START)
    discover(ports=fakes.ports)
    fakes.reports.change("1", name="Restored from a backup", updated_at=START - timedelta(days=1))
    assert kinds(discover(ports=fakes.ports)) == ["renamed"]
    assert row().host_updated_at == START - timedelta(days=1)


def test_an_edit_is_in_force_from_when_it_had_the_row_and_not_from_when_it_began_to_wait(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick that holds the row meanwhile decides by the old cron: those times must not count as the new one's."""
    known(fakes)
    fakes.reports.change("1", cron="30 5 * * *")
    hold = edits.hold_mutex

    def held_up(ports: Ports) -> None:
        hold(ports)
        fakes.clock.advance(seconds=7)

    monkeypatch.setattr(edits, "hold_mutex", held_up)
    discover(ports=fakes.ports)
    change = ReportChange.objects.get(kind="retimed")
    assert change.noticed_at == row().decided_until == START + timedelta(seconds=7)


def test_a_paused_report_that_is_edited_loses_none_of_the_times_of_its_pause(fakes: FakePorts) -> None:
    known(fakes)
    fakes.clock.advance(minutes=30)
    pause(["1"], actor="ann", reason="", ports=fakes.ports)
    fakes.clock.advance(hours=2)
    fakes.reports.change("1", cron="30 5 * * *")
    discover(ports=fakes.ports)
    assert list(ReportRun.objects.values_list("scheduled_for", "status", "error_code").order_by("pk")) == [
        (START + timedelta(hours=hour), "skipped", "missed") for hour in (1, 2)
    ]
    assert (row().next_run_at, row().paused_by) == (None, "ann")


def test_unchanged_reports_lock_and_write_nothing(fakes: FakePorts) -> None:
    known(fakes, 3)
    with CaptureQueriesContext(connection) as captured:
        assert discover(ports=fakes.ports).examined == 3
    of_reports = [query["sql"] for query in captured if "report_orchestrator_mark" not in query["sql"]]
    assert not [sql for sql in of_reports if sql.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert not [query for query in captured if "mutex" in query["sql"]]


def test_a_quiet_look_at_the_stamps_reads_no_report_and_writes_nothing(fakes: FakePorts) -> None:
    for key in ("1", "2"):
        fakes.reports.add(geo_report(key), updated_at=START)
    discover(ports=fakes.ports)
    refresh_changed(ports=fakes.ports)
    fakes.clock.advance(minutes=1)
    refresh_changed(ports=fakes.ports)  # so long after, nothing older can come any more
    fakes.clock.advance(minutes=1)
    with CaptureQueriesContext(connection) as captured:
        assert list(fakes.reports.changed_since(START)) == []
        assert refresh_changed(ports=fakes.ports).examined == 0
    assert len(captured) == 1  # the mark that remembers the newest stamp


def test_a_stamp_that_was_committed_late_is_not_missed_however_rare_the_looks(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START)
    fakes.reports.add(geo_report("2"), updated_at=START)
    discover(ports=fakes.ports)
    fakes.clock.advance(seconds=21)
    fakes.reports.change("2", name="Early", updated_at=START + timedelta(seconds=20))
    assert kinds(refresh_changed(ports=fakes.ports)) == ["renamed"]
    fakes.reports.change("1", name="Late", updated_at=START + timedelta(seconds=10))
    fakes.clock.advance(minutes=5)
    assert kinds(refresh_changed(ports=fakes.ports)) == ["renamed"]


def test_a_stamp_from_the_future_blinds_nobody(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START + timedelta(days=400))
    fakes.reports.add(geo_report("2"), updated_at=START)
    discover(ports=fakes.ports)
    fakes.clock.advance(minutes=1)
    fakes.reports.change("2", name="Edited", updated_at=START + timedelta(seconds=50))
    assert "renamed" in kinds(refresh_changed(ports=fakes.ports))


def test_a_cron_or_a_key_that_does_not_fit_stops_no_other(fakes: FakePorts) -> None:
    long_cron = ",".join(str(minute) for minute in range(60)) + " " + ",".join(map(str, range(24))) + " * * *"
    fakes.reports.add(geo_report("1"), cron=long_cron)
    fakes.reports.add(geo_report("k" * 201))
    fakes.reports.add(geo_report("2"))
    discover(ports=fakes.ports)
    assert (row("1").problem_code, row("2").state) == ("invalid_cron", "active")
    assert ReportSchedule.objects.count() == 2


def test_an_edit_after_a_long_outage_loses_none_of_the_old_times(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), cron="* * * * *")
    discover(ports=fakes.ports)
    fakes.clock.advance(minutes=1300)
    fakes.reports.change("1", cron="30 5 * * *")
    refresh(["1"], ports=fakes.ports)
    assert ReportRun.objects.count() == 1300
    assert ReportRun.objects.filter(status="queued").count() == 2  # those on time


def test_an_edit_while_all_is_paused_opens_nothing_and_records_what_had_come(fakes: FakePorts) -> None:
    known(fakes)
    pause_all(actor="ann", reason="maintenance", ports=fakes.ports)
    fakes.clock.advance(hours=1, seconds=10)
    fakes.reports.change("1", cron="30 5 * * *")
    refresh(["1"], ports=fakes.ports)
    assert list(ReportRun.objects.values_list("status", "error_code")) == [("skipped", "missed")]


def test_an_old_definition_that_cannot_be_read_does_not_undo_the_edit(fakes: FakePorts) -> None:
    known(fakes)
    ReportSchedule.objects.update(cron="nonsense", next_run_at=START)
    fakes.clock.advance(hours=1)
    fakes.reports.change("1", cron="30 5 * * *")
    refresh(["1"], ports=fakes.ports)
    assert (row().state, row().cron) == ("active", "30 5 * * *")


def test_a_new_name_alone_leaves_what_is_due_to_the_tick(fakes: FakePorts) -> None:
    known(fakes)
    fakes.clock.advance(hours=1, seconds=10)
    fakes.reports.change("1", name="Renamed")
    refresh(["1"], ports=fakes.ports)
    assert not ReportRun.objects.exists()
    assert row().next_run_at == START + timedelta(hours=1)
