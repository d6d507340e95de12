"""The list of reports and a report's page."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse
from django.utils.html import strip_tags

from report_orchestrator.admin.reports.next_run import explain_next_run
from report_orchestrator.admin.reports.report_page import axis_top, offset_in_words, report_overview
from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportSchedule, ScheduleState, SharedState, StateName
from report_orchestrator.services.reports.details import due_days, read_report_details
from report_orchestrator.services.reports.run_history import recent_runs_by_schedule, typical_duration
from tests.support.admin_pages import address, listed, make_change, make_run, make_schedule, text_of, words_of
from tests.support.dashboard import HOUR, MINUTE, NOW, SignIn, clock, work_was_done

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestTheListOfReports:
    def row(self, viewer: Client, **query: str) -> str:
        page = text_of(viewer.get(address(ReportSchedule, "changelist"), query))
        return page[page.index("<tbody>") : page.index("</tbody>")]

    def test_the_cron_is_reported_in_words_with_its_zone(self, viewer: Client) -> None:
        make_schedule(cron="30 2 * * 1", timezone="Europe/Amsterdam")

        row = self.row(viewer)

        assert "At 02:30, only on Monday" in row
        assert "Europe/Amsterdam" in row

    def test_the_cron_is_reported_in_the_readers_language(self, viewer: Client) -> None:
        make_schedule(cron="30 2 * * 1")

        with override_settings(LANGUAGE_CODE="de"):
            assert "Um 02:30, nur am Montag" in self.row(viewer)

    def test_a_late_report_says_since_when(self, viewer: Client) -> None:
        make_schedule(next_run_at=datetime.now(UTC) - 90 * MINUTE)

        assert "overdue since" in self.row(viewer)
        assert "1 h 30 min ago" in self.row(viewer)

    def test_a_paused_report_says_who_and_why(self, viewer: Client) -> None:
        make_schedule(next_run_at=None, paused_at=NOW, paused_by="maria", pause_reason="The portfolio is reloaded.")

        row = self.row(viewer)

        assert "</span>&nbsp;paused</span>" in row
        assert "paused by maria: The portfolio is reloaded." in row

    def test_the_sparkline_shows_the_last_twenty_runs_of_each_report(
        self, viewer: Client, django_assert_num_queries: Any
    ) -> None:
        busy, calm = make_schedule(), make_schedule()
        runs = [make_run(busy, scheduled_for=NOW + n * MINUTE) for n in range(65)]
        make_run(calm, status=Status.FAILED)

        with django_assert_num_queries(1):
            found = recent_runs_by_schedule([busy.pk, calm.pk])

        assert [run.pk for run in found[busy.pk]] == [run.pk for run in runs[5:]]  # enough for the typical duration
        assert len(found[calm.pk]) == 1
        assert "The last 20 runs: 20 succeeded" in self.row(viewer)
        assert "The last run: 1 failed" in self.row(viewer)

    def test_the_typical_duration_is_the_median_of_the_last_twenty_that_succeeded(self, viewer: Client) -> None:
        schedule = make_schedule()
        for minutes in (500, *[1] * 9, 2, 2, *[3] * 9):
            make_run(schedule, started_at=NOW, ended_at=NOW + minutes * MINUTE)
            make_run(schedule, status=Status.FAILED, started_at=NOW, ended_at=NOW + 9 * HOUR)

        assert typical_duration(recent_runs_by_schedule([schedule.pk])[schedule.pk]) == 2 * MINUTE
        assert "2 min 0 s" in self.row(viewer)
        page = text_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))
        assert "Typical duration: 2 min 0 s." in page
        assert "the median of the last 20 runs that succeeded, each since its last retry by a person" in page

    def test_the_time_until_a_retry_by_a_person_is_nowhere_in_a_duration(self, viewer: Client) -> None:
        run = make_run(started_at=NOW, ended_at=NOW + 9 * HOUR, idle=9 * HOUR - timedelta(seconds=23))

        assert "23.0 s" in self.row(viewer)
        page = text_of(viewer.get(address(ReportSchedule, "change", run.schedule_id)))
        assert "Typical duration: 23.0 s." in page
        assert "8 h 59 min" not in page

    def test_the_list_says_when_a_report_is_late_and_what_is_typical(self, viewer: Client, sign_in: SignIn) -> None:
        page = text_of(viewer.get(address(ReportSchedule, "changelist")))
        assert "Late: its scheduled time passed more than 2 min ago, and no run was created." in page
        assert "Typical: the median of the last 20 runs" in page
        assert "Failed in the last 24 hours: ended as failed or timed out in that time" in page
        reports_only = sign_in("view_reportschedule")
        assert "Typical:" not in text_of(reports_only.get(address(ReportSchedule, "changelist")))

    def test_a_run_that_would_dwarf_all_others_is_cut_and_marked(self, viewer: Client) -> None:
        assert [axis_top([1, 2, 3]), axis_top([1, 1, 9.0]), axis_top([0]), axis_top([0, 0, 8])] == [3, 1, 0, 8]
        schedule = make_schedule()
        for minutes in (2, 2, 2, 500):
            run = make_run(schedule, started_at=NOW, ended_at=NOW + minutes * MINUTE)
        page = text_of(viewer.get(address(ReportSchedule, "change", run.schedule_id)))
        assert ">2 min 0 s</text>" in page
        assert ">↑</text>" in page
        assert "Bars marked ↑ go on beyond the axis." in page
        assert "8 h 20 min" in page  # the mark's title and the table tell it

    def test_a_name_leads_to_the_projects_own_page_for_whoever_may_see_it(self, sign_in: SignIn) -> None:
        make_schedule(report_key="42")
        make_schedule(report_key="43", report_model="gone.Report")
        own = reverse("admin:api_report_change", args=["42"])

        assert own in self.row(sign_in(is_superuser=True))
        assert own not in self.row(sign_in("view_reportschedule"))

    def test_conditions_find_what_a_person_looks_for(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        late = make_schedule(next_run_at=now - HOUR)
        paused = make_schedule(next_run_at=None, paused_at=now)
        flaky = make_schedule(next_run_at=now + HOUR)
        for position, status in enumerate((Status.FAILED, Status.FAILED, Status.SUCCEEDED)):
            make_run(flaky, status=status, scheduled_for=now - position * MINUTE, ended_at=now)
        once = make_schedule(next_run_at=now + HOUR)
        make_run(once, status=Status.FAILED, ended_at=now)

        assert [late] == listed(viewer, ReportSchedule, condition="late")
        assert [paused] == listed(viewer, ReportSchedule, condition="paused")
        assert [flaky] == listed(viewer, ReportSchedule, condition="flaky")
        assert {flaky, once} == set(listed(viewer, ReportSchedule, condition="failing"))
        assert {late, paused} == set(listed(viewer, ReportSchedule, condition="never_run"))
        assert len(listed(viewer, ReportSchedule, condition="no such")) == 4
        broken = make_schedule(state=ScheduleState.QUARANTINED)
        assert [broken] == listed(viewer, ReportSchedule, condition="invalid")

    def test_reports_with_the_same_problem_are_found_together(self, viewer: Client) -> None:
        wanted = make_schedule(state=ScheduleState.QUARANTINED, problem_code="invalid_cron")
        make_schedule(state=ScheduleState.QUARANTINED, problem_code="no_event_group")

        assert [wanted] == listed(viewer, ReportSchedule, problem="invalid_cron")


class TestTheReportPage:
    def text_of_next_run(self, schedule: ReportSchedule, now: datetime = NOW) -> str:
        outlook = explain_next_run(read_report_details(schedule, now))
        return strip_tags(" ".join((outlook.headline, *outlook.details)))

    def test_a_report_that_will_run_says_when(self) -> None:
        work_was_done(NOW)
        due = NOW.replace(hour=18, minute=0, second=30)
        schedule = make_schedule(next_run_at=due)

        assert self.text_of_next_run(schedule) == f"Next run at {clock(due)}, in 9 h 0 min."

    def test_a_run_that_has_not_ended_is_reported_with_what_follows(self) -> None:
        work_was_done(NOW)
        schedule = make_schedule(next_run_at=NOW + HOUR, overlap="queue")
        run = make_run(schedule, status=Status.DEFERRED)
        make_run(schedule, status=Status.DEFERRED, trigger="manual")

        assert (
            f"Run {run.pk} is in progress. If it has not ended by then, the next run waits for it."
            in self.text_of_next_run(schedule)
        )

    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            ("quarantined", "its definition is invalid. As recorded: Correct the cron."),
            ("disabled", "it is disabled in the project."),
            ("unscheduled", "it has no cron."),
            ("removed", "it was removed from the project."),
        ],
    )
    def test_a_report_that_will_not_run_says_why(self, state: str, expected: str) -> None:
        assert expected in self.text_of_next_run(make_schedule(state=state, problem="Correct the cron."))

    def test_a_pause_is_reported_with_its_reason_and_what_follows_it(self) -> None:
        schedule = make_schedule(next_run_at=None, paused_at=NOW - HOUR, paused_by="maria", pause_reason="Reload.")

        assert self.text_of_next_run(schedule) == (
            "Will not run: maria paused it 1 h 0 min ago. Reason: Reload. On resume, only the latest missed time runs."
        )

    def test_a_pause_of_all_is_reported_on_each_page(self) -> None:
        SharedState.objects.record(StateName.ALL_PAUSED, now=NOW, detail={"actor": "joe", "reason": ""})

        assert self.text_of_next_run(make_schedule()).startswith("Will not run: joe paused all reports.")

    def test_a_report_in_shadow_says_what_happens_instead(self) -> None:
        work_was_done(NOW)
        due = NOW.replace(hour=18, minute=0, second=30)
        schedule = make_schedule(next_run_at=due, live_until=NOW)

        assert self.text_of_next_run(schedule) == (
            "Will not run here: it is in shadow, and another system runs it. "
            f"At {clock(due)} its payload is built and kept, and no job is submitted. "
            f"To run it here: manage.py switch_reports live {schedule.report_key}"
        )

    def test_the_list_marks_reports_in_shadow(self, viewer: Client) -> None:
        make_schedule(live_until=NOW)

        assert "shadow: submits nothing" in words_of(viewer.get(address(ReportSchedule, "changelist")))

    def test_an_overdue_report_says_since_when(self) -> None:
        work_was_done(NOW)

        reported = self.text_of_next_run(make_schedule(next_run_at=NOW - HOUR))
        assert f"Overdue since {clock(NOW - HOUR)}, 1 h 0 min ago" in reported

    def test_a_silent_scheduler_is_the_reason_why_nothing_will_run(self) -> None:
        assert "but the scheduler is not running" in self.text_of_next_run(make_schedule(next_run_at=NOW + HOUR))

    def test_the_next_ten_times_show_where_the_clock_changes(self) -> None:
        schedule = make_schedule(cron="30 2 * * *", timezone="Europe/Amsterdam")
        reader = Viewer(user=User(is_superuser=True), site_name="admin")
        overview = report_overview(read_report_details(schedule, datetime(2026, 10, 21, tzinfo=UTC)), reader)
        times: Any = overview["times"]

        assert len(times) == 10
        assert [(time["weekday"], time["local"]) for time in times if time["clock_change"]] == [
            ("Mon", "2026-10-26 02:30")
        ]
        assert (times[0]["offset"], times[-1]["offset"]) == ("CEST (UTC+02:00)", "CET (UTC+01:00)")

    def test_rules_say_where_they_come_from(self, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
        monkeypatch.setenv("MAX_RETRIES", "7")
        settings.REPORT_ORCHESTRATOR = {**settings.REPORT_ORCHESTRATOR, "MISSED_RUNS": "all"}
        SharedState.objects.record("schedules", now=NOW, detail={"in_force": {"scheduling_approach": "pipeline"}})

        rules = {rule.setting: rule for rule in read_report_details(make_schedule(overlap="queue"), NOW).rules}

        assert {name: (rules[name].value, rules[name].source) for name in list(rules)[:5]} == {
            "SCHEDULING_APPROACH": ("pipeline", "synced"),
            "OVERLAP": ("queue", "report"),
            "MISSED_RUNS": ("all", "dict"),
            "MAX_LOOKBACK_SECONDS": (timedelta(days=1), "default"),
            "MAX_RETRIES": (7, "environment"),
        }

    def test_the_year_counts_each_day_of_the_reports_own_zone(self) -> None:
        schedule = make_schedule(timezone="Pacific/Auckland")
        at, day = datetime(2026, 6, 30, 13, tzinfo=UTC), date(2026, 7, 1)
        make_run(schedule, scheduled_for=at, run_date=day)
        make_run(schedule, scheduled_for=at + HOUR, run_date=day, status=Status.FAILED)

        assert read_report_details(schedule, NOW).counts_by_day == {date(2026, 7, 1): {"succeeded": 1, "failed": 1}}

    def test_the_days_ahead_are_those_that_the_cron_names(self) -> None:
        schedule = make_schedule(cron="0 6 * * 1")

        assert due_days(schedule, NOW, date(2026, 7, 15)) == {date(2026, 7, 6), date(2026, 7, 13)}

    def test_a_day_that_goes_on_after_midnight_ends_all_the_same(self) -> None:
        """In Beirut the clock goes back at midnight: the last hour of the day comes twice."""
        schedule = make_schedule(cron="* * * * *", timezone="Asia/Beirut")
        before = datetime(2026, 10, 24, 12, tzinfo=UTC)

        assert len(due_days(schedule, before, date(2026, 10, 28))) == 5

    def test_a_report_that_runs_every_minute_is_counted_as_far_back_as_is_quick(self) -> None:
        schedule = make_schedule(cron="* * * * *")
        make_run(schedule, scheduled_for=NOW - timedelta(days=60))
        make_run(schedule, scheduled_for=NOW - timedelta(days=80))

        assert sum(sum(fates.values()) for fates in read_report_details(schedule, NOW).counts_by_day.values()) == 1

    def test_a_report_that_cannot_run_says_why_in_its_headline(self, viewer: Client) -> None:
        problem = {"problem_code": "no_event_group", "problem": "Report 5 has no event group."}
        schedule = make_schedule(state=ScheduleState.QUARANTINED, **problem)

        page_text = words_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

        assert "Cannot run: no event group. As recorded: Report 5 has no event group. Correct it in" in page_text

    def test_its_state_is_that_of_the_list(self, viewer: Client) -> None:
        schedule = make_schedule(state=ScheduleState.ACTIVE)

        page = words_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

        assert "State: ✓ &nbsp;active" in page

    def test_a_rule_is_told_in_words(self, viewer: Client) -> None:
        page_text = words_of(viewer.get(address(ReportSchedule, "change", make_schedule().pk)))

        assert "Missed times to run MISSED_RUNS latest: only the latest one default" in page_text
        assert "OVERLAP skip: the next time is skipped default" in page_text

    def test_the_page_has_all_its_parts(self, viewer: Client) -> None:
        schedule = make_schedule(cron="0 6 * * *")
        make_run(schedule, scheduled_for=datetime.now(UTC) - HOUR)
        make_change(schedule)

        page_text = words_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

        due = read_report_details(schedule, datetime.now(UTC)).next_times[0]
        for reported in (
            "Next 10 scheduled times",
            "Recent runs",
            "Calendar",
            "Settings",
            "rescheduled",
            f"{due:%Z} ({offset_in_words(due)})",
        ):
            assert reported in page_text
