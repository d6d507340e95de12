"""The commands of a switch from another system."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings as DjangoSettings

from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.models import ReportRun, SharedState, StateName
from report_orchestrator.sandbox.fireant import FireantSandbox
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.testing import FakeClock
from tests.host.api.models import Job, Report, ReportModifier
from tests.support.commands import cells, manage
from tests.support.onelake_settings import settings_for
from tests.support.seeded_host import WINDSTORM, change, id_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


@pytest.fixture
def shadow(settings: DjangoSettings, clock: FakeClock) -> FakeClock:
    """The seeded reports in shadow, with the times of one minute decided and twenty minutes gone."""
    ReportModifier.objects.all().delete()
    change(settings, SHADOW=True, JOB_MODEL="api.Job")
    manage("discover_reports")
    SharedState.objects.record(StateName.SCHEDULING, now=clock.now)
    clock.advance(minutes=1)
    manage("run_due_reports", "--now")
    clock.advance(minutes=20)
    return clock


FIRST_JOB = 900_070


def record_jobs(clock: FakeClock, *, minutes: float = -19.5) -> None:
    """Record a job for each shadow run, as another system does."""
    for number, run in enumerate(ReportRun.objects.filter(trigger="shadow"), FIRST_JOB):
        modifier, _new = ReportModifier.objects.get_or_create(as_at_date=run.run_date, fx_date=run.run_date)
        job = Job.objects.create(
            report=Report.objects.get(pk=run.report_key), report_modifier=modifier, fireant_jobid=number
        )
        Job.objects.filter(pk=job.pk).update(created=clock.now + timedelta(minutes=minutes))


def test_in_shadow_nothing_is_submitted_or_written_to_the_project(shadow: FakeClock, fireant: FireantSandbox) -> None:
    assert set(ReportRun.objects.values_list("status", "trigger", "error_code")) == {("skipped", "shadow", "shadow")}
    assert (fireant.jobs, Job.objects.count(), ReportModifier.objects.count()) == ((), 0, 0)
    answer = manage("run_report", id_of(WINDSTORM), "--now")
    assert answer.status == 1
    assert "is in shadow: another system runs it" in answer.out + answer.err
    assert fireant.jobs == ()


def test_the_doctor_and_the_status_name_reports_in_shadow(shadow: FakeClock) -> None:
    reports = manage("orchestrator_status", "--format", "json").json["in_shadow"]
    assert ["in shadow", str(reports)] in [cells(line) for line in manage("orchestrator_status").out.splitlines()]
    manage("switch_reports", "--reason", "tests", "live", "--all")
    shadow.advance(minutes=1)
    assert manage("orchestrator_status", "--format", "json").json["in_shadow"] == 0


def test_the_dashboard_counts_reports_in_shadow_and_leads_to_them(shadow: FakeClock, admin_client: Client) -> None:
    count = manage("orchestrator_status", "--format", "json").json["in_shadow"]
    page = admin_client.get("/admin/report_orchestrator/").content.decode()
    assert f"{count} reports are in shadow: another system runs them." in page
    assert "reportschedule/?condition=shadow" in page
    listed = admin_client.get("/admin/report_orchestrator/reportschedule/", {"condition": "shadow"})
    assert listed.context["cl"].result_count == count
    manage("switch_reports", "--reason", "tests", "live", "--all")
    shadow.advance(minutes=1)
    assert "in shadow:" not in admin_client.get("/admin/report_orchestrator/").content.decode()


def test_two_systems_that_agree_end_with_0(shadow: FakeClock) -> None:
    record_jobs(shadow)
    answer = manage("shadow_report", "--days", "1")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == (
        "2 times from 2026-07-01 12:00:00 UTC to 2026-07-01 12:06:00 UTC: 2 both (0 with differences), "
        "0 expected here only, 0 run there only, 0 run twice."
    )


def test_a_comparison_without_times_states_what_is_left_out(shadow: FakeClock) -> None:
    SharedState.objects.record(StateName.SCHEDULING, now=shadow.now)
    answer = manage("shadow_report")
    assert answer.status == 1
    assert answer.out == (
        "No times to compare: those up to 2026-07-01 12:21:00 UTC and after 2026-07-01 12:06:00 UTC are left out. "
        "Wait, or raise --days.\n"
    )
    assert manage("shadow_report", "--format", "json").json["agrees"] is False


def test_differences_are_listed_and_end_with_1(shadow: FakeClock) -> None:
    record_jobs(shadow)
    Job.objects.filter(report=id_of(WINDSTORM)).delete()
    answer = manage("shadow_report", "--days", "1")
    assert answer.status == 1
    assert "expected here only" in answer.out
    result = manage("shadow_report", "--days", "1", "--format", "json")
    assert (result.status, result.json["agrees"]) == (1, False)
    assert [(time["report"], time["match"]) for time in result.json["times"] if time["match"] != "both"] == [
        (f"report {id_of(WINDSTORM)} ({WINDSTORM})", "here_only")
    ]


def keep_files(folder: Path) -> None:
    """Keep a payload and a result of each recorded job, as another system does."""
    for number, run in enumerate(ReportRun.objects.filter(trigger="shadow"), FIRST_JOB):
        body = {**run.payload.body, "meta": {**run.payload.body["meta"], "modifier_id": 3}}
        (folder / f"{run.report_key}_job-{number}.json").write_text(json.dumps(body))
        (folder / f"result-{number}.json").write_text('{"results": []}')


def test_payloads_in_a_folder_are_compared(shadow: FakeClock, tmp_path: Path) -> None:
    record_jobs(shadow)
    keep_files(tmp_path)
    assert manage("shadow_report", "--folder", tmp_path).status == 0
    [sent] = tmp_path.glob(f"*_job-{FIRST_JOB}.json")
    sent.write_text(json.dumps({**json.loads(sent.read_text()), "dr": 2.5}))
    for file in tmp_path.glob(f"*{FIRST_JOB + 1}.json"):
        file.unlink()
    answer = manage("shadow_report", "--folder", tmp_path)
    assert answer.status == 1
    assert "dr: differs" in answer.out
    assert "no file of the job" in answer.out
    assert manage("shadow_report", "--folder", tmp_path / "missing").status == 2


def test_the_folder_may_be_in_the_lake(shadow: FakeClock, tmp_path: Path, settings: DjangoSettings) -> None:
    record_jobs(shadow)
    keep_files(tmp_path)
    with OneLakeSandbox() as sandbox:
        change(settings, **{**sandbox.settings_overrides(), "RESULT_STORE": "local"})
        store = OneLakeStore(settings_for(sandbox, FABRIC_RESULTS_PATH="old"))
        for file in tmp_path.iterdir():
            store.write(f"2026/{file.name}", [file.read_bytes()])
        store.close()
        answer = manage("shadow_report", "--folder", "onelake:Files/old")
        assert (answer.status, answer.err) == (0, "")
        missing = manage("shadow_report", "--folder", "onelake:Files/new")
        assert missing.status == 1
        assert "Files/new does not exist in OneLake" in missing.err
        assert "Give one such as onelake:Files/old" in manage("shadow_report", "--folder", "onelake:old").err


def test_a_project_without_jobs_gets_the_name_of_the_setting(shadow: FakeClock, settings: DjangoSettings) -> None:
    change(settings, JOB_MODEL="")
    answer = manage("shadow_report")
    assert (answer.status, answer.err) == (
        1,
        "JOB_MODEL is not set: the project's jobs cannot be read. Set it to the table of jobs.",
    )


def test_a_switch_runs_the_times_since_the_other_system_stopped(shadow: FakeClock, fireant: FireantSandbox) -> None:
    answer = manage(
        "switch_reports", "--reason", "tests", "live", id_of(WINDSTORM), "--at", "2026-07-01T12:00:30+00:00"
    )
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0].startswith("1 report: times after 2026-07-01 ")
    assert lines[0].endswith(" run here.")
    assert lines[1].endswith(" of passed times start now.")
    assert lines[2] == "SHADOW is still set, so new reports begin in shadow. Remove it once all reports are live."
    again = manage("switch_reports", "--reason", "tests", "live", id_of(WINDSTORM), "--at", "2026-07-01T12:00:30+00:00")
    assert again.out == "Already live. Nothing changed.\n"
    queued = ReportRun.objects.filter(status="queued", report_name=WINDSTORM)
    assert queued.earliest("scheduled_for").scheduled_for == datetime(2026, 7, 1, 12, 1, tzinfo=UTC)


def test_the_way_back_is_one_command_too(shadow: FakeClock) -> None:
    manage("switch_reports", "--reason", "tests", "live", "--all")
    answer = manage(
        "switch_reports",
        "--reason",
        "tests",
        "shadow",
        "--all",
        "--at",
        "2026-07-01T12:30:00+00:00",
        "--format",
        "json",
    )
    assert (answer.status, answer.json["mode"], answer.json["run_ids"]) == (0, "shadow", [])
    assert id_of(WINDSTORM) in map(int, answer.json["switched"])
    assert (
        manage("switch_reports", "--reason", "tests", "shadow", "--all", "--at", "2026-07-01T12:00:00+00:00").status
        == 1
    )


@pytest.mark.parametrize("arguments", [("live",), ("live", "1", "--all")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert manage("switch_reports", "--reason", "tests", *arguments).status == 2
