"""The main button of a failed run is what its advice says, and a retry that would fail again says so before."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun, ReportSchedule, RunPayload, ScheduleState
from tests.support.admin_pages import address, make_run, make_schedule, text_of, words_of
from tests.support.dashboard import SignIn, dashboard_address

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

PROJECT_PAGE = "/admin/api/report/42/change/"


def buttons_of(client: Client, row: ReportRun | ReportSchedule) -> list[tuple[str, str, bool]]:
    """Return label, address and whether it is the main one, of each button of a row's page."""
    page = text_of(client.get(address(type(row), "change", row.pk)))
    found = re.findall(r'<a class="ro-button([^"]*)" href="([^"]*)">([^<]*)</a>', page)
    return [(label, link, "ro-main" in classes) for classes, link, label in found]


def failed_run(code: str, *, step: Step = Step.REPORT_DATA, **of_schedule: Any) -> ReportRun:
    of_schedule.setdefault("report_model", "api.Report")
    schedule = make_schedule(report_key="42", **of_schedule)
    return make_run(schedule, status=Status.FAILED, step=step.value, error_code=code, error="It failed.")


class TestTheMainButton:
    def test_a_report_at_fault_is_corrected_in_the_project_first(self, boss: Client) -> None:
        first, retry, *others = buttons_of(boss, failed_run("no_event_group"))

        assert first == ("Correct it in the project ↗", PROJECT_PAGE, True)
        assert (retry[0], retry[2]) == ("Retry from “report data”", False)
        assert [label for label, _link, _main in others] == []

    def test_a_run_that_no_retry_helps_is_started_anew_and_leads_back(self, boss: Client, settings: Any) -> None:
        run = failed_run("payload_missing", step=Step.EXTERNAL_JOB_SUBMISSION)

        (label, link, is_main), *others = buttons_of(boss, run)

        act = reverse("admin:report_orchestrator_reportschedule_act", args=["run"])
        back = address(ReportRun, "change", run.pk).replace("/", "%2F")
        assert (label, is_main) == ("Run the report now", True)
        assert link == f"{act}?ids={run.schedule_id}&amp;next={back}"
        assert not any(is_main for _label, _link, is_main in others)
        assert "Run 1 report now?" in words_of(boss.get(link.replace("&amp;", "&")))

    def test_otherwise_it_is_the_retry(self, boss: Client) -> None:
        shown = buttons_of(boss, failed_run("fireant_503", step=Step.EXTERNAL_JOB_SUBMISSION))

        assert [(label, is_main) for label, _link, is_main in shown] == [
            ("Retry from “external job submission”", True),
            ("Open in the project ↗", False),
        ]

    def test_a_skipped_time_is_run_now(self, boss: Client) -> None:
        run = failed_run("overlap")
        ReportRun.objects.filter(pk=run.pk).update(status=Status.SKIPPED.value)

        assert [(label, is_main) for label, _link, is_main in buttons_of(boss, run)] == [
            ("Run the report now", True),
            ("Open in the project ↗", False),
        ]

    def test_nobody_sees_a_button_that_is_not_theirs(self, sign_in: SignIn) -> None:
        faulty, lost = failed_run("no_event_group"), make_run(status=Status.FAILED, error_code="payload_missing")

        assert buttons_of(sign_in("view_reportrun"), faulty) == []
        assert buttons_of(sign_in("view_reportrun", "run_reports"), lost) == []
        assert buttons_of(sign_in("view_reportrun", "view_reportschedule"), lost) == []

    def test_a_run_under_way_has_no_main_button(self, boss: Client) -> None:
        assert not any(is_main for _label, _link, is_main in buttons_of(boss, make_run(status=Status.QUEUED)))


class TestTheWayToTheProject:
    def test_a_report_that_cannot_run_leads_there_first_and_every_other_one_after_its_actions(
        self, boss: Client
    ) -> None:
        broken = make_schedule(report_model="api.Report", report_key="42", state=ScheduleState.QUARANTINED)
        sound = make_schedule(report_model="api.Report", report_key="43")
        gone = make_schedule(report_model="api.Report", report_key="44", state=ScheduleState.REMOVED)

        assert buttons_of(boss, broken)[0] == ("Correct it in the project ↗", PROJECT_PAGE, True)
        labels = [label for label, _link, _main in buttons_of(boss, sound)]
        assert labels[-4:] == ["Check cron", "Open in the project ↗", "All runs", "All changes"]
        assert ("Open in the project ↗", "/admin/api/report/43/change/", False) in buttons_of(boss, sound)
        assert not any("/admin/api/" in link for _label, link, _main in buttons_of(boss, gone))


class TestTheDashboard:
    def problem(self, client: Client) -> list[tuple[str, str, bool]]:
        page = text_of(client.get(dashboard_address()))
        found = re.findall(
            r'<a class="ro-button([^"]*)" href="([^"]*)">([^<]*)<span class="ro-hidden">: 1 run failed', page
        )
        return [(label, link, "ro-main" in classes) for classes, link, label in found]

    def failed_now(self, code: str) -> ReportRun:
        run = failed_run(code)
        ReportRun.objects.filter(pk=run.pk).update(ended_at=datetime.now(UTC))
        return run

    def test_a_report_at_fault_is_corrected_in_the_project_first(self, boss: Client) -> None:
        self.failed_now("no_event_group")

        first, retry, _view = self.problem(boss)

        assert first == ("Correct it in the project ↗", PROJECT_PAGE, True)
        assert (retry[0], retry[2]) == ("Retry", False)

    def test_a_report_whose_retry_cannot_help_is_run_anew(self, boss: Client) -> None:
        run = self.failed_now("payload_missing")

        act = reverse("admin:report_orchestrator_reportschedule_act", args=["run"])
        assert self.problem(boss)[0] == ("Run the report now", f"{act}?ids={run.schedule_id}", True)

    def test_without_the_permission_there_is_no_such_button(self, sign_in: SignIn) -> None:
        self.failed_now("no_event_group")

        viewer = sign_in("view_reportrun", "view_reportschedule")
        assert [label for label, _link, _main in self.problem(viewer)] == ["View run"]


class TestARetryThatFailsAgain:
    def question(self, boss: Client, *runs: ReportRun) -> str:
        ids = ",".join(str(run.pk) for run in runs)
        return words_of(boss.get(reverse("admin:report_orchestrator_reportrun_act", args=["retry"]) + f"?ids={ids}"))

    def broken(self, **given: Any) -> ReportRun:
        quarantine = {"state": ScheduleState.QUARANTINED, "problem_code": "no_event_group"}
        return failed_run("no_event_group", **quarantine | given)

    def test_says_so_before(self, boss: Client) -> None:
        question = self.question(boss, self.broken())

        assert "This will fail again. The cause remains: no event group. Correct the report in the project" in question
        assert "continues at the step “report data”; will fail again: no event group" in question

    def test_is_silent_once_the_report_was_corrected(self, boss: Client) -> None:
        run = self.broken()
        ReportSchedule.objects.update(state=ScheduleState.ACTIVE, problem_code="")

        assert "fail again" not in self.question(boss, run)

    def test_is_counted_among_others(self, boss: Client, django_assert_max_num_queries: Any) -> None:
        sound = [make_run(status=Status.FAILED, step=Step.RESULTS_STORAGE.value, error_code="storage") for _ in "12"]
        broken = self.broken()

        with django_assert_max_num_queries(12):
            question = self.question(boss, *sound, broken)

        assert "1 of these runs will fail again, as its cause remains." in question
        assert question.count("will fail again: no event group") == 1

    def test_knows_a_lost_payload_and_a_removed_report_and_needs_no_cron(self, boss: Client) -> None:
        lost = failed_run("payload_missing", step=Step.EXTERNAL_JOB_SUBMISSION)
        kept = make_run(status=Status.FAILED, step=Step.EXTERNAL_JOB_SUBMISSION.value, error_code="fireant_503")
        RunPayload.objects.create(run=kept, body={})
        gone = make_run(make_schedule(state=ScheduleState.REMOVED), status=Status.FAILED, error_code="no_event_group")
        gone.write(step=Step.REPORT_DATA.value)
        timeless = make_schedule(state=ScheduleState.QUARANTINED, problem_code="invalid_cron")
        by_hand = make_run(timeless, status=Status.FAILED, error_code="fireant_job_failed")

        assert "The cause remains: the payload is missing. Start a new run" in self.question(boss, lost)
        assert "fail again" not in self.question(boss, kept)
        assert "The cause remains: the report no longer exists." in self.question(boss, gone)
        assert "fail again" not in self.question(boss, by_hand)

    def test_tells_how_often_each_step_may_be_tried(self, boss: Client) -> None:
        assert "Each step may again be tried 4 times." in self.question(boss, self.broken())
