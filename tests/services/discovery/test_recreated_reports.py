"""A report that is created under the key of a removed one is another report."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.services.discovery.changed import refresh
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.operator_actions import retry_run
from report_orchestrator.services.reports.conditions import failing, flaky, never_run
from report_orchestrator.services.reports.details import read_report_details
from report_orchestrator.services.reports.run_history import recent_runs_by_schedule
from report_orchestrator.services.running.worker import advance
from report_orchestrator.services.scheduling.backfill import Days, plan_backfill
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.services.scheduling.pausing import pause
from report_orchestrator.services.upkeep.pruning import prune
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


def row() -> ReportSchedule:
    return ReportSchedule.objects.get(report_key="1")


def create(fakes: FakePorts, name: str = "first") -> None:
    report = geo_report("1", name=name)
    fakes.reports.add(replace(report, fields={**report.fields, "name": name}))
    refresh(["1"], runtime=fakes.runtime(get_settings()))


def delete(fakes: FakePorts) -> None:
    fakes.reports.remove("1")
    refresh(["1"], runtime=fakes.runtime(get_settings()))


def recreate(fakes: FakePorts) -> None:
    delete(fakes)
    create(fakes, "second")


def manual_run(fakes: FakePorts) -> ReportRun:
    return open_manual_run(row(), run_date=None, requested_by="ann", runtime=fakes.runtime())


def go(run: ReportRun, fakes: FakePorts) -> ReportRun:
    advance(run.pk, runtime=fakes.runtime(SettingsFactory.make()))
    run.refresh_from_db()
    return run


def tick(fakes: FakePorts) -> None:
    open_due_runs(runtime=fakes.runtime(SettingsFactory.make()))


def test_it_is_not_paused_and_due_from_now_on(fakes: FakePorts) -> None:
    create(fakes)
    pause(["1"], actor="ann", reason="old one is broken", runtime=fakes.runtime(get_settings()))
    delete(fakes)
    fakes.clock.advance(days=30)
    create(fakes, "second")
    report = row()
    assert (report.state, report.paused_at, report.paused_by, report.pause_reason) == ("active", None, "", "")
    assert (report.discovered_at, report.next_run_at) == (fakes.clock.now, fakes.clock.now + HOUR)
    change = ReportChange.objects.latest("pk")
    assert (change.kind, change.after["name"]) == ("new", "second")


@pytest.mark.parametrize("days", [0, 30])
def test_a_queued_run_of_the_first_fails_and_says_that_it_was_deleted(fakes: FakePorts, days: int) -> None:
    create(fakes)
    run = manual_run(fakes)
    delete(fakes)
    fakes.clock.advance(days=days)
    create(fakes, "second")
    run = go(run, fakes)
    assert (run.status, run.error_code) == (Status.FAILED, "report_not_found")
    assert "of report 1 (first) cannot continue: its report was deleted from the project" in run.error
    assert fakes.fireant.submitted == []
    assert go(manual_run(fakes), fakes).status == Status.SUCCEEDED
    retry_run(run.pk, actor="ann", runtime=fakes.runtime())
    assert go(run, fakes).error_code == "report_not_found"


@pytest.mark.parametrize("pruned", [False, True])
def test_a_backfill_plans_the_times_of_its_life_and_all_of_them(fakes: FakePorts, pruned: bool) -> None:
    create(fakes)
    for _hour in range(3):
        fakes.clock.advance(hours=1)
        tick(fakes)
    recreate(fakes)
    fakes.clock.advance(hours=4)
    if pruned:
        fakes.clock.advance(days=3)
        prune(runtime=fakes.runtime(SettingsFactory.make(KEEP_RUNS_DAYS=2)), until=fakes.clock.now + HOUR)
        assert ReportChange.objects.get().kind == "removed"
    days = Days(since=START.date(), until=START.date(), now=fakes.clock.now)
    planned = plan_backfill([row()], days)
    latest = 11 if pruned else 6
    assert [one.scheduled_for for one in planned] == [START + hour * HOUR for hour in range(4, latest + 1)]


def test_a_run_of_the_first_delays_and_skips_none_of_its_times(fakes: FakePorts) -> None:
    create(fakes)
    fakes.clock.advance(hours=1)
    tick(fakes)
    recreate(fakes)
    fakes.clock.advance(hours=1)
    tick(fakes)
    first, second = ReportRun.objects.order_by("pk")
    assert (second.status, second.in_line) == (Status.QUEUED, False)
    assert (first.schedule.name, first.schedule.state) == ("first", "removed")


def test_it_is_in_shadow_or_live_by_the_setting_until_a_person_switches_it(fakes: FakePorts) -> None:
    create(fakes)
    ReportSchedule.objects.update(live_from=START - HOUR, live_until=START)
    recreate(fakes)
    assert (row().live_from, row().live_until) == (None, None)


def test_each_of_several_keeps_its_runs(fakes: FakePorts) -> None:
    create(fakes)
    keys = [manual_run(fakes).pk]
    for _again in range(2):
        recreate(fakes)
        keys.append(manual_run(fakes).pk)
    found = {schedule.report_key: [run.pk for run in schedule.runs.all()] for schedule in ReportSchedule.objects.all()}
    assert found == {f"1 (until run {keys[0]})": [keys[0]], f"1 (until run {keys[1]})": [keys[1]], "1": [keys[2]]}
    assert {run.report_key for run in ReportRun.objects.all()} == {"1"}
    assert ReportSchedule.objects.present().count() == 1


def test_a_job_of_the_first_is_not_written_as_one_of_the_second(fakes: FakePorts) -> None:
    create(fakes)
    run = manual_run(fakes)
    run.write(step="local_job_record", fireant_job_id="101")
    recreate(fakes)
    assert go(run, fakes).error_code == "report_not_found"
    assert fakes.jobs.rows == {}


def test_a_dry_run_sets_no_runs_apart(fakes: FakePorts) -> None:
    create(fakes)
    manual_run(fakes)
    delete(fakes)
    fakes.reports.add(geo_report("1"))
    assert discover(runtime=fakes.runtime(get_settings()), dry_run=True).changes != []
    assert ReportSchedule.objects.count() == 1


def test_its_history_has_no_run_of_the_first(fakes: FakePorts) -> None:
    create(fakes)
    for _hour in range(3):
        fakes.clock.advance(hours=1)
        tick(fakes)
    ReportRun.objects.update(status=Status.FAILED, wake_at=None, ended_at=fakes.clock.now)
    recreate(fakes)
    details = read_report_details(row(), fakes.clock.now)
    assert (list(details.past_runs), details.unfinished_run_id, dict(details.counts_by_day)) == ([], None, {})
    assert recent_runs_by_schedule([row().pk]) == {}
    settings, reports = SettingsFactory.make(), ReportSchedule.objects.present()
    found = [list(condition(reports, fakes.clock.now, settings)) for condition in (never_run, failing, flaky)]
    assert found == [[row()], [], []]
    fakes.clock.advance(hours=1)
    tick(fakes)
    details = read_report_details(row(), fakes.clock.now)
    assert (len(details.past_runs), len(details.counts_by_day)) == (1, 1)
