"""The list of reports, and the parts of a report's page that come from its row."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils.html import escape
from pytest_django import Settings as DjangoSettings

from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState
from tests.support.admin_pages import NOW, address, listed, make_change, make_run, make_schedule, text_of, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestReports:
    def test_a_list_shows_how_each_report_last_went(self, viewer: Client) -> None:
        schedule = make_schedule(name="Windstorm")
        make_run(schedule, status=Status.SUCCEEDED, scheduled_for=NOW)
        last = make_run(schedule, status=Status.FAILED, scheduled_for=NOW + timedelta(days=1))
        make_schedule(name="Never ran")

        page = text_of(viewer.get(address(ReportSchedule, "changelist")))

        assert f'href="{address(ReportRun, "change", last.pk)}"' in page
        assert 'ro-bad"><span aria-hidden="true">✗</span>&nbsp;failed' in page
        assert "</span>&nbsp;succeeded" not in page

    def test_a_quarantined_report_says_why_and_has_no_next_run(self, viewer: Client) -> None:
        schedule = make_schedule(
            state=ScheduleState.QUARANTINED, problem_code="invalid_cron", problem="Correct the cron.\nAll of it."
        )

        page_text = words_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

        assert "State: ✗ &nbsp;quarantined invalid cron expression" in page_text
        assert "Correct the cron. All of it." in page_text
        assert "Next run: —" in page_text

    def test_the_page_of_a_paused_report_does_not_call_it_active(self, viewer: Client) -> None:
        schedule = make_schedule(paused_at=NOW, paused_by="ada", pause_reason="storm", next_run_at=None)

        page_text = words_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

        assert "State: = &nbsp;paused paused by ada: storm" in page_text

    @pytest.mark.parametrize(
        ("zone", "shown"), [("", "Asia/Tokyo (project default)"), ("Europe/Paris", "Europe/Paris")]
    )
    def test_the_zone_is_never_left_to_guess(
        self, viewer: Client, settings: DjangoSettings, zone: str, shown: str
    ) -> None:
        settings.TIME_ZONE = "Asia/Tokyo"
        make_schedule(timezone=zone)

        assert escape(shown) in text_of(viewer.get(address(ReportSchedule, "changelist")))

    @pytest.mark.parametrize("term", ["windSTORM", "42", "30 4"])
    def test_search_finds_by_name_key_and_cron(self, viewer: Client, term: str) -> None:
        wanted = make_schedule(name="Windstorm", report_key="42", cron="30 4 * * *")
        make_schedule(name="Flood", report_key="1", cron="0 6 * * *")

        assert [wanted] == listed(viewer, ReportSchedule, q=term)

    def test_states_filter(self, viewer: Client) -> None:
        make_schedule()
        removed = make_schedule(state=ScheduleState.REMOVED)

        assert [removed] == listed(viewer, ReportSchedule, state__exact="removed")

    def test_a_report_leads_to_its_runs_and_changes(self, viewer: Client) -> None:
        schedule = make_schedule()
        run, change = make_run(schedule), make_change(schedule)
        make_run(), make_change()

        page = text_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

        assert f"{address(ReportRun, 'changelist')}?report={schedule.pk}" in page
        assert f"{address(ReportChange, 'changelist')}?report={schedule.pk}" in page
        assert [run] == listed(viewer, ReportRun, report=str(schedule.pk))
        assert [change] == listed(viewer, ReportChange, report=str(schedule.pk))
