"""The columns of lists, what may be sorted, and the way back from every page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from tests.support.admin_pages import NOW, address, listed, make_run, make_schedule, text_of, words_of
from tests.support.dashboard import SignIn

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

TIME, DURATION = "3", "5"  # positions of the columns


class TestRuns:
    def test_the_cause_is_said_in_words(self, viewer: Client) -> None:
        make_run(status=Status.FAILED, error_code="fireant_no_answer", error="Fireant did not answer in 30 s.")

        page = text_of(viewer.get(address(ReportRun, "changelist")))

        assert '<span title="Fireant did not answer in 30 s.">no response from Fireant</span>' in page

    @pytest.mark.parametrize("query", [{"report": ""}, {"status": "unfinished"}])
    def test_few_rows_are_sorted_by_time_and_duration(self, viewer: Client, query: dict[str, str]) -> None:
        schedule, status = make_schedule(), Status.QUEUED if "status" in query else Status.SUCCEEDED
        if "report" in query:
            query = {"report": str(schedule.pk)}
        first, second, third = (
            make_run(
                schedule,
                status=status,
                scheduled_for=NOW + timedelta(hours=hours),
                ended_at=None if status is Status.QUEUED else NOW + timedelta(seconds=seconds),
                idle=idle,
            )
            for hours, seconds, idle in ((2, 30, None), (1, 10, None), (3, 100, timedelta(seconds=80)))
        )

        assert listed(viewer, ReportRun, o=TIME, **query) == [second, first, third]
        if "report" in query:
            assert listed(viewer, ReportRun, o=DURATION, **query) == [second, third, first]

    @pytest.mark.parametrize("column", [TIME, DURATION])
    def test_many_rows_keep_their_order_whatever_the_address_says(self, viewer: Client, column: str) -> None:
        early = make_run(scheduled_for=NOW, ended_at=NOW + timedelta(seconds=1))
        late = make_run(scheduled_for=NOW + timedelta(days=1))

        assert listed(viewer, ReportRun, o=column) == [late, early]

    def test_results_are_downloaded_from_their_list(self, sign_in: SignIn) -> None:
        run = make_run(results_path="lake/7.json", result_size=5)
        query = {"result": "stored"}
        link = f'<a href="{reverse("admin:report_orchestrator_reportrun_download", args=[run.pk])}">Download</a>'

        assert link in text_of(
            sign_in("view_reportrun", "download_results").get(address(ReportRun, "changelist"), query)
        )
        assert link not in text_of(sign_in("view_reportrun").get(address(ReportRun, "changelist"), query))

    def test_dates_are_written_alike(self, viewer: Client) -> None:
        assert "Run date: 2026-07-01" in words_of(viewer.get(address(ReportRun, "change", make_run().pk)))


class TestCounts:
    def test_all_rows_are_not_called_results(self, viewer: Client) -> None:
        make_run()
        make_run(status=Status.FAILED)

        assert "Show all" not in words_of(viewer.get(address(ReportRun, "changelist")))
        assert "1 result" in words_of(viewer.get(address(ReportRun, "changelist"), {"status": "failed"}))


class TestWays:
    def test_a_confirmation_leads_back_to_its_list(self, boss: Client) -> None:
        run = make_run(status=Status.FAILED)

        page = words_of(boss.get(reverse("admin:report_orchestrator_reportrun_act", args=["retry"]), {"ids": run.pk}))

        assert "Home &rsaquo; Report orchestrator &rsaquo; Runs &rsaquo; Retry 1 run?" in page

    def test_a_report_leads_to_its_runs_and_changes(self, viewer: Client, sign_in: SignIn) -> None:
        schedule = make_schedule()
        lists = [f'href="{address(model, "changelist")}?report={schedule.pk}"' for model in (ReportRun, ReportChange)]

        page = text_of(viewer.get(address(ReportSchedule, "change", schedule.pk))).partition("</nav>\n")[2]
        others = text_of(sign_in("view_reportschedule").get(address(ReportSchedule, "change", schedule.pk)))

        assert [link in page for link in lists] == [True, True]
        assert [link in others for link in lists] == [False, False]
