"""Discovery creates, changes, quarantines and retires the rows of reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.reports import Report, ReportSummary
from report_orchestrator.models import ReportChange, ReportSchedule, ScheduleState, SharedState, StateName
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.services.discovery.changed import refresh
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.discovery.result import Acceptance
from report_orchestrator.testing import START, FakePorts, FakeReports, geo_report
from tests.support.discovered_reports import kinds, known, row

pytestmark = pytest.mark.django_db


def test_a_new_report_becomes_a_row_that_is_due(fakes: FakePorts) -> None:
    known(fakes)
    assert (row().state, row().next_run_at) == (ScheduleState.ACTIVE, START + timedelta(hours=1))
    assert ReportChange.objects.get().kind == ChangeKind.NEW


@pytest.mark.parametrize("letter", ["\0", "\ud800"])
@pytest.mark.parametrize("field", ["name", "cron", "timezone"])
def test_a_text_that_the_database_cannot_hold_concerns_its_report_alone(
    fakes: FakePorts, field: str, letter: str
) -> None:
    fakes.reports.add(geo_report("1"), **{field: f"x{letter}y"})
    fakes.reports.add(geo_report("2"))
    for has_changes in (True, False):
        assert bool(discover(runtime=fakes.runtime(get_settings())).changes) is has_changes
    odd, other = ReportSchedule.objects.order_by("report_key")
    assert other.state == ScheduleState.ACTIVE
    assert odd.state == (ScheduleState.ACTIVE if field == "name" else ScheduleState.QUARANTINED)
    for text in (odd.name, odd.cron, odd.timezone, odd.problem):
        assert "\0" not in text
        text.encode()


def test_a_second_discovery_changes_nothing_and_says_so(fakes: FakePorts) -> None:
    known(fakes)
    before = ReportSchedule.objects.values().get()
    fakes.clock.advance(minutes=5)
    assert discover(runtime=fakes.runtime(get_settings())).changes == []
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
    fakes: FakePorts, change: dict[str, object], kind: str, before: dict[str, object], after: dict[str, object]
) -> None:
    known(fakes)
    fakes.reports.change("1", **change)
    discovery = discover(runtime=fakes.runtime(get_settings()))
    assert kinds(discovery) == [kind]
    recorded = ReportChange.objects.order_by("pk").last()
    assert recorded is not None
    assert (recorded.kind, recorded.before, recorded.after) == (kind, before, after)


def test_several_differences_of_one_report_are_several_changes(fakes: FakePorts) -> None:
    known(fakes)
    fakes.reports.change("1", name="New", cron="5 * * * *", enabled=False)
    assert kinds(discover(runtime=fakes.runtime(get_settings()))) == ["renamed", "retimed", "disabled"]


def test_a_report_that_cannot_run_is_quarantined_with_the_reason_and_repaired_later(fakes: FakePorts) -> None:
    known(fakes)
    fakes.reports.change("1", cron="99 99 99 99 99")
    assert kinds(discover(runtime=fakes.runtime(get_settings()))) == ["retimed", "quarantined"]
    assert (row().state, row().problem_code, row().next_run_at) == ("quarantined", "invalid_cron", None)
    assert "report 1 (Windstorm accumulation)" in row().problem
    fakes.reports.change("1", cron="0 * * * *")
    assert kinds(discover(runtime=fakes.runtime(get_settings()))) == ["retimed", "repaired"]
    assert (row().state, row().problem) == ("active", "")


def test_a_zone_that_does_not_exist_quarantines(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), timezone="Mars/Olympus")
    assert kinds(discover(runtime=fakes.runtime(get_settings()))) == ["new", "quarantined"]
    assert "Mars/Olympus" in row().problem


def test_a_disabled_report_that_is_enabled_again_starts_from_now(fakes: FakePorts) -> None:
    known(fakes)
    fakes.reports.change("1", enabled=False)
    discover(runtime=fakes.runtime(get_settings()))
    assert row().next_run_at is None
    fakes.clock.advance(hours=5)
    fakes.reports.change("1", enabled=True)
    assert kinds(discover(runtime=fakes.runtime(get_settings()))) == ["enabled"]
    assert row().next_run_at == START + timedelta(hours=6)
    assert row().decided_until == START + timedelta(hours=5)


def test_a_report_that_is_gone_is_retired_and_comes_back_as_new(fakes: FakePorts) -> None:
    known(fakes, 2)
    report = fakes.reports.reports["2"]
    fakes.reports.remove("2")
    assert kinds(discover(runtime=fakes.runtime(get_settings()))) == ["removed"]
    assert (row("2").state, row("2").next_run_at) == ("removed", None)
    fakes.reports.add(report)
    assert kinds(discover(runtime=fakes.runtime(get_settings()))) == ["new"]
    assert row("2").state == "active"


def test_an_empty_table_removes_nothing_until_a_person_accepts_it(fakes: FakePorts) -> None:
    known(fakes, 10)
    for key in list(fakes.reports.reports):
        fakes.reports.remove(key)
    discovery = discover(runtime=fakes.runtime(get_settings()))
    assert (len(discovery.held_removals), discovery.changes) == (10, [])
    assert ReportSchedule.objects.present().count() == 10
    accepted = discover(runtime=fakes.runtime(get_settings()), accepted=Acceptance(actor="ann"))
    assert kinds(accepted) == ["removed"] * 10
    assert ReportSchedule.objects.present().count() == 0


def test_a_dry_run_says_the_same_and_writes_nothing(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"))
    assert kinds(discover(runtime=fakes.runtime(get_settings()), dry_run=True)) == ["new"]
    assert not ReportSchedule.objects.exists()


def test_a_dry_run_leaves_the_lease_of_a_lost_discovery(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"))
    SharedState.objects.create(name=StateName.DISCOVERY_LEASE, due_at=START)
    discover(runtime=fakes.runtime(get_settings()), dry_run=True)
    assert SharedState.objects.get(name=StateName.DISCOVERY_LEASE).due_at == START


def test_a_refresh_touches_only_the_named_reports(fakes: FakePorts) -> None:
    known(fakes, 3)
    fakes.reports.change("1", name="A")
    fakes.reports.change("2", name="B")
    fakes.reports.remove("3")
    assert kinds(refresh(["1", "3"], runtime=fakes.runtime(get_settings()))) == ["renamed", "removed"]
    assert (row("1").name, row("2").name, row("3").state) == ("A", "Windstorm accumulation", "removed")


def test_keys_of_any_kind_name_a_report(fakes: FakePorts) -> None:
    for key in ("6f9619ff-8b86-d011-b42d-00c04fc964ff", "north/sea é", "12"):
        fakes.reports.add(geo_report(key))
    discover(runtime=fakes.runtime(get_settings()))
    assert ReportSchedule.objects.count() == 3
    assert discover(runtime=fakes.runtime(get_settings())).changes == []


def test_a_report_takes_its_overlap_policy_from_the_host(fakes: FakePorts) -> None:
    known(fakes)
    fakes.reports.change("1", overlap="queue")
    assert discover(runtime=fakes.runtime(get_settings())).changes == []
    assert row().overlap == "queue"


def test_a_report_that_is_born_during_a_discovery_is_not_retired_by_it(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(fakes, 2)
    monkeypatch.setattr(FakeReports, "summaries", _streaming(fakes))
    assert discover(runtime=fakes.runtime(get_settings())).changes == []
    assert row("3").state == "active"


def _streaming(fakes: FakePorts) -> Callable[..., Iterator[ReportSummary]]:
    """The host's stream, at the end of which a report is born, as by a save in another process."""
    stream = FakeReports.summaries

    def streaming(self: FakeReports, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        yield from stream(self, keys)
        if keys is None and "3" not in self.reports:
            self.add(geo_report("3"))
            refresh(["3"], runtime=fakes.runtime(get_settings()))

    return streaming


def test_an_overlap_that_is_edited_during_a_discovery_is_not_undone_by_it(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(fakes)
    fakes.clock.advance(minutes=1)
    stream = FakeReports.summaries

    def edited(self: FakeReports, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        read = list(stream(self, keys))
        if keys is None:
            self.change("1", overlap="queue")
            fakes.clock.advance(seconds=1)
            refresh(["1"], runtime=fakes.runtime(get_settings()))
        yield from read

    monkeypatch.setattr(FakeReports, "summaries", edited)
    discover(runtime=fakes.runtime(get_settings()))
    assert row().overlap == "queue"


def test_a_report_that_comes_back_during_a_discovery_is_not_retired_by_it(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(fakes, 3)
    report = fakes.reports.reports["2"]
    for key in ("2", "3"):
        fakes.reports.remove(key)
    monkeypatch.setattr(FakeReports, "summaries", _restoring(fakes, report))
    assert kinds(discover(runtime=fakes.runtime(get_settings()))) == ["removed"]
    assert (row("2").state, row("3").state) == ("active", "removed")


def _restoring(fakes: FakePorts, report: Report) -> Callable[..., Iterator[ReportSummary]]:
    """The host's reports. A deleted one is restored in another process once discovery has missed it twice."""
    stream = FakeReports.summaries

    def restoring(self: FakeReports, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        yield from stream(self, keys)
        if keys == ["2", "3"] and report.key not in self.reports:
            self.add(report)
            refresh([report.key], runtime=fakes.runtime(get_settings()))

    return restoring


def test_a_cron_or_a_key_that_does_not_fit_stops_no_other(fakes: FakePorts) -> None:
    long_cron = ",".join(str(minute) for minute in range(60)) + " " + ",".join(map(str, range(24))) + " * * *"
    fakes.reports.add(geo_report("1"), cron=long_cron)
    fakes.reports.add(geo_report("k" * 201))
    fakes.reports.add(geo_report("2"))
    discover(runtime=fakes.runtime(get_settings()))
    assert (row("1").problem_code, row("2").state) == ("invalid_cron", "active")
    assert ReportSchedule.objects.count() == 2
