"""Commands that run reports."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from django_q.models import Schedule
from pytest_django import Settings as DjangoSettings

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.services.upkeep import tick as upkeep
from report_orchestrator.testing import FakeClock, make_runtime
from report_orchestrator.wiring import get_ports
from tests.host.api.models import EventGroup, Job, Report, ReportModifier
from tests.host.api.seed import REPORTS
from tests.support.commands import cells, manage
from tests.support.seeded_host import SAYS, WINDSTORM, a_worker_works, change, id_of, sleep_is

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

EVERY_MINUTE = [WINDSTORM, "Terrorism live watch Manhattan"]


class TestRunReport:
    def test_a_queued_run_is_left_to_the_cluster(self) -> None:
        answer = manage("run_report", id_of(WINDSTORM))
        run = ReportRun.objects.get()
        assert answer.status == 0
        assert (run.status, run.report_key) == (Status.QUEUED, str(id_of(WINDSTORM)))
        assert run.triggered_by.endswith("(command line)")
        assert f"run {run.pk}  report {run.report_key} ({WINDSTORM}): queued at report_data" in answer.err
        header, reported = map(cells, answer.out.splitlines())
        assert header[:5] == ["run", "report", "status", "step", "seconds"]
        assert reported[:5] == [str(run.pk), run.report, "queued", "report_data", "-"]

    def test_now_takes_it_to_its_end_here(self, fireant: FireantSandbox, tmp_path: Path) -> None:
        answer = manage("run_report", id_of(WINDSTORM), "--now")
        run = ReportRun.objects.get()
        assert (answer.status, run.status) == (0, Status.SUCCEEDED)
        assert run.results_path in answer.out
        assert Path(run.results_path).is_relative_to(tmp_path / "lake")
        assert json.loads(Path(run.results_path).read_text())
        assert f"run {run.pk}  {run.report}: succeeded at results_storage" in answer.err
        [job] = fireant.jobs
        assert (job.kind, job.report_name) == ("geo", WINDSTORM)
        assert Job.objects.get().fireant_jobid == int(job.id)

    def test_json_has_exactly_these_keys_for_a_run(self) -> None:
        answer = manage("run_report", id_of(WINDSTORM), "--now", "--format", "json")
        run = ReportRun.objects.get()
        assert (answer.status, answer.err) == (0, "")
        assert answer.json == [
            {
                "run_id": run.pk,
                "report_id": id_of(WINDSTORM),
                "scheduled_for": run.scheduled_for.isoformat(),
                "status": "succeeded",
                "step": "results_storage",
                "fireant_job_id": run.fireant_job_id,
                "results_path": run.results_path,
                "error": None,
            }
        ]
        assert list(answer.json[0]) == [
            "run_id",
            "report_id",
            "scheduled_for",
            "status",
            "step",
            "fireant_job_id",
            "results_path",
            "error",
        ]
        assert datetime.fromisoformat(answer.json[0]["scheduled_for"]).utcoffset() == timedelta(0)

    def test_what_has_not_happened_yet_is_null(self) -> None:
        [reported] = manage("run_report", id_of(WINDSTORM), "--format", "json").json
        assert (reported["status"], reported["step"]) == ("queued", "report_data")
        assert (reported["fireant_job_id"], reported["results_path"], reported["error"]) == (None, None, None)

    @pytest.mark.parametrize("problem", sorted(SAYS))
    def test_a_broken_report_gets_a_run_that_says_what_to_do(self, problem: str, fireant: FireantSandbox) -> None:
        [name] = [seed.name for seed in REPORTS if seed.problem == problem]
        answer = manage("run_report", id_of(name), "--now", "--format", "json")
        assert answer.status == 1
        [reported] = answer.json
        assert (reported["status"], reported["step"]) == ("failed", "report_data")
        assert reported["error"] == f"report {id_of(name)} ({name}) {SAYS[problem]}"
        assert ReportRun.objects.get().error_code == problem
        assert fireant.jobs == ()

    @pytest.mark.parametrize("name", [seed.name for seed in REPORTS if seed.problem == "invalid_cron"])
    def test_a_report_whose_cron_is_broken_can_run_by_hand(self, name: str) -> None:
        assert manage("run_report", id_of(name), "--now").status == 0

    def test_a_report_whose_zone_is_broken_can_run_by_hand(self, settings: DjangoSettings) -> None:
        change(settings, REPORT_FIELDS={"timezone": "cob"})  # "Property" is no time zone
        manage("discover_reports")
        assert ReportSchedule.objects.get(name=WINDSTORM).problem_code == "invalid_timezone"
        for arguments in ((), ("--date", "2026-07-01")):
            answer = manage("run_report", id_of(WINDSTORM), "--now", "--format", "json", *arguments)
            assert [reported["status"] for reported in answer.json] == ["succeeded"]

    def test_a_job_that_fails_ends_with_1_and_fireants_reason(self) -> None:
        name = "Winter storm Central Europe"
        answer = manage("run_report", id_of(name), "--now")
        assert answer.status == 1
        assert f"of report {id_of(name)} ({name}) failed: The sandbox is set to fail this job" in answer.out
        assert "then retry the run" in answer.out

    def test_a_fireant_that_is_away_ends_with_1(self, fireant: FireantSandbox) -> None:
        fireant.stop()
        answer = manage("run_report", id_of(WINDSTORM), "--now", "--format", "json")
        assert answer.status == 1
        [reported] = answer.json
        assert reported["status"] == "failed"
        assert reported["error"].startswith("Fireant cannot be reached at FIREANT_API_URL")

    def test_each_failed_attempt_is_shown_with_its_reason_the_next_one_and_the_circuit(
        self, fireant: FireantSandbox, settings: DjangoSettings, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change(settings, MAX_RETRIES=2, FIREANT_CIRCUIT_FAILURES=2)
        naps: list[float] = []

        def nap(seconds: float) -> None:
            clock.advance(seconds=60)
            naps.append(seconds)
            if len(naps) == 2:
                raise KeyboardInterrupt

        sleep_is(nap, monkeypatch)
        fireant.stop()
        lines = manage("run_report", id_of(WINDSTORM), "--now").err.splitlines()
        reason = "Fireant cannot be reached at FIREANT_API_URL"
        first, second = (line for line in lines if reason in line)
        assert f"at external_job_submission; attempt 1 failed: {reason}" in first
        assert re.search(r"Next attempt at 12:00:\d\d UTC \(1 of 2 retries used\)\.", first)
        assert first.endswith("Fireant's circuit is closed after 1 failure.")
        assert f"; attempt 2 failed: {reason}" in second
        assert re.search(r"Next attempt at 12:01:\d\d UTC \(1 of 2 retries used\)\.", second)
        assert second.endswith("Fireant's circuit is open after 2 failures.")

    def test_several_reports_are_several_runs_and_a_doubled_id_is_one(self) -> None:
        one, two = id_of(WINDSTORM), id_of("Tsunami ports Japan")
        answer = manage("run_report", one, two, one, "--now", "--format", "json")
        assert [reported["report_id"] for reported in answer.json] == [one, two]
        assert {reported["status"] for reported in answer.json} == {"succeeded"}

    @pytest.mark.parametrize("key", ["4711", "abc", "1.5", "-1", str(10**30)])
    def test_an_unknown_id_is_refused_in_the_list(self, key: str) -> None:
        answer = manage("run_report", "--now", "--format", "json", "--", id_of(WINDSTORM), key)
        assert answer.status == 1
        done, refused = answer.json
        assert done["status"] == "succeeded"
        assert str(refused["report_id"]) == key
        assert refused == {
            "run_id": None,
            "report_id": refused["report_id"],
            "scheduled_for": None,
            "status": "refused",
            "step": None,
            "fireant_job_id": None,
            "results_path": None,
            "error": f"Report {key} does not exist in api.Report. Check the ID.",
        }
        assert list(refused) == list(done)

    def test_a_disabled_report_is_refused_with_what_to_do(self) -> None:
        name = "Windstorm retired treaty"
        answer = manage("run_report", id_of(name))
        assert answer.status == 1
        assert (
            f"report {id_of(name)} ({name}) is disabled in the project. Enable it on its page there, then run it."
            in answer.out
        )
        assert "refused" in answer.out
        assert not ReportRun.objects.exists()

    def test_a_deleted_report_is_refused(self) -> None:
        manage("discover_reports")
        key = id_of(WINDSTORM)
        Report.objects.filter(pk=key).delete()
        answer = manage("run_report", key, "--format", "json")
        assert answer.status == 1
        [reported] = answer.json
        assert reported["error"] == f"report {key} ({WINDSTORM}) is no longer in the project. Check the ID."

    def test_the_report_is_seen_as_it_is_now(self, fireant: FireantSandbox) -> None:
        manage("discover_reports")
        group = EventGroup.objects.get(name="New Zealand")
        Report.objects.filter(name="Flood draft without area").update(event_group=group, name="Flood final")
        assert manage("run_report", id_of("Flood final"), "--now").status == 0
        assert [job.report_name for job in fireant.jobs] == ["Flood final"]
        assert ReportSchedule.objects.get(name="Flood final").state == ScheduleState.ACTIVE

    def test_what_it_notices_reaches_the_pipelines_line_at_the_next_tick(self, settings: DjangoSettings) -> None:
        change(settings, SCHEDULING_APPROACH="pipeline")
        manage("discover_reports")
        Report.objects.filter(name=WINDSTORM).update(cron="5 * * * *")
        manage("run_report", id_of(WINDSTORM))
        ports = get_ports()
        upkeep.tick(runtime=make_runtime(ports, get_settings()), until=ports.clock())
        assert Schedule.objects.get(name__startswith=f"report {id_of(WINDSTORM)}: {WINDSTORM} #").cron == "5 * * * *"

    def test_a_date_has_its_modifier_made(self, fireant: FireantSandbox) -> None:
        assert manage("run_report", id_of(WINDSTORM), "--now", "--date", "2026-03-02").status == 0
        made = ReportModifier.objects.get(as_at_date=date(2026, 3, 2))
        assert made.fx_date == date(2026, 3, 2)
        assert [report.name for report in made.reports.all()] == [WINDSTORM]
        [job] = fireant.jobs
        assert (job.payload["as_at_date"], job.payload["fx_date"]) == ("2026-03-02", "2026-03-02")
        assert job.payload["meta"]["modifier_id"] == made.pk
        run = ReportRun.objects.get()
        midnight = datetime(2026, 3, 2, tzinfo=timezone.get_default_timezone())
        assert (run.run_date, run.scheduled_for) == (date(2026, 3, 2), midnight)
        assert "/2026-03-02/" in run.results_path
        assert Job.objects.get().report_modifier == made

    def test_a_date_picks_the_modifier_that_a_person_made(self, fireant: FireantSandbox) -> None:
        before = ReportModifier.objects.count()
        assert manage("run_report", id_of(WINDSTORM), "--now", "--date", "2026-07-05").status == 0
        assert fireant.jobs[0].payload["fx_date"] == "2026-07-03"
        assert ReportModifier.objects.count() == before

    def test_asking_twice_for_one_date_gives_two_runs_and_one_modifier(self) -> None:
        for _ in range(2):
            assert manage("run_report", id_of(WINDSTORM), "--now", "--date", "2026-03-02").status == 0
        assert ReportRun.objects.filter(status=Status.SUCCEEDED).count() == 2
        assert ReportModifier.objects.filter(as_at_date=date(2026, 3, 2)).count() == 1

    def test_wait_follows_what_a_worker_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sleep_is(a_worker_works(), monkeypatch)
        answer = manage("run_report", id_of(WINDSTORM), "--wait")
        assert answer.status == 0
        lines = answer.err.splitlines()
        assert lines[0] == "No worker is active. Start a cluster with: python manage.py qcluster"
        assert [line.split("): ")[1] for line in lines[1:]] == ["queued at report_data", "succeeded at results_storage"]
        assert "succeeded" in answer.out

    def test_wait_ends_with_1_where_the_run_failed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sleep_is(a_worker_works(), monkeypatch)
        answer = manage("run_report", id_of("Earthquake Istanbul"), "--wait", "--format", "json")
        assert answer.status == 1
        assert [reported["status"] for reported in answer.json] == ["failed"]

    def test_a_job_that_takes_its_time_is_waited_for(
        self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
    ) -> None:
        naps: list[float] = []

        def nap(seconds: float) -> None:
            naps.append(seconds)
            clock.advance(seconds=seconds)

        with FireantSandbox(SandboxOptions(seconds_running=3600)) as slow:
            change(settings, FIREANT_API_URL=slow.url, MAX_POLL_ATTEMPTS=3)
            sleep_is(nap, monkeypatch)
            answer = manage("run_report", id_of(WINDSTORM), "--now")
        assert answer.status == 1
        assert "Fireant had not finished after 3 polls" in answer.out
        assert "waiting for Fireant at job_completion_status, Fireant status Running" in answer.err
        assert len(naps) == 2
        assert all(0 <= nap <= 1 for nap in naps)


class TestRunDueReports:
    def test_nothing_due_is_no_failure(self) -> None:
        answer = manage("run_due_reports")
        assert (answer.status, answer.out, answer.err) == (0, "0 runs created, 0 times skipped.\n", "")
        answer = manage("run_due_reports", "--format", "json")
        assert (answer.status, answer.json, answer.err) == (0, [], "")

    def test_what_is_due_is_opened_once_and_left_to_the_cluster(self, clock: FakeClock) -> None:
        manage("discover_reports")
        clock.advance(minutes=1)
        first, second = manage("run_due_reports"), manage("run_due_reports")
        runs = {run.report_name: run for run in ReportRun.objects.all()}
        assert runs.keys() == set(EVERY_MINUTE)
        for run in runs.values():
            assert (run.scheduled_for, run.status) == (clock.now, Status.QUEUED)
            assert run.report in first.out
        assert first.status == second.status == 0
        assert first.out.startswith("2 runs created, 0 times skipped.\n")
        assert second.out == "0 runs created, 0 times skipped.\n"

    def test_now_does_all_of_it_here(self, fireant: FireantSandbox, clock: FakeClock) -> None:
        manage("discover_reports")
        clock.advance(minutes=1, seconds=20)
        answer = manage("run_due_reports", "--now", "--format", "json")
        assert (answer.status, answer.err) == (0, "")
        assert {reported["report_id"]: reported["status"] for reported in answer.json} == {
            id_of(name): "succeeded" for name in EVERY_MINUTE
        }
        assert {reported["scheduled_for"] for reported in answer.json} == {"2026-07-01T12:01:00+00:00"}
        assert sorted(job.report_name for job in fireant.jobs) == sorted(EVERY_MINUTE)

    def test_a_run_that_fails_ends_with_1(self, clock: FakeClock) -> None:
        manage("discover_reports")
        clock.advance(minutes=1)
        group = EventGroup.objects.get(name="Istanbul, imported twice")
        Report.objects.filter(name=WINDSTORM).update(event_group=group)
        answer = manage("run_due_reports", "--now")
        assert answer.status == 1
        assert answer.out.startswith("2 runs created, 0 times skipped.\n")
        assert SAYS["mixed_event_types"] in answer.out

    def test_missed_times_are_reported(self, clock: FakeClock) -> None:
        manage("discover_reports")
        clock.advance(minutes=30)
        answer = manage("run_due_reports")
        opened = ReportRun.objects.exclude(status=Status.SKIPPED)
        skipped = ReportRun.objects.filter(status=Status.SKIPPED)
        assert answer.status == 0
        assert answer.out.startswith(f"{opened.count()} runs created, {skipped.count()} times skipped.\n")
        assert ReportRun.objects.filter(report_name=WINDSTORM).count() == 30
        assert skipped.filter(report_name=WINDSTORM).count() >= 28
