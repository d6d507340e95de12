"""The dashboard shows the state, the day and the problems to people with permission."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from report_orchestrator.admin.dashboard.count_rows import unfinished_rows
from report_orchestrator.admin.dashboard.problems import Problem, find_problems
from report_orchestrator.admin.dashboard.verdict import verdict_text
from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState, SharedState, StateName
from report_orchestrator.services.monitoring.failure_groups import failures_since
from report_orchestrator.services.monitoring.hourly_outcomes import read_hours, start_of_day, sum_hours
from report_orchestrator.services.monitoring.overdue import HEARTBEAT_TIMEOUT
from report_orchestrator.services.upkeep_failures import UpkeepTask, record_failure
from tests.support.admin_pages import address, make_change, make_run, make_schedule, text_of, words_of
from tests.support.dashboard import (
    HOUR,
    MINUTE,
    NOW,
    QUERIES_AT_MOST,
    SignIn,
    clock,
    dashboard_address,
    due_run,
    failed_run,
    picture,
    work_was_done,
)

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


def problems(now: datetime) -> list[Problem]:
    return find_problems(picture(now), Viewer(user=User(is_superuser=True), site_name="admin"))


class TestWhoMaySee:
    def test_a_stranger_is_sent_to_the_login(self, client: Client) -> None:
        response = client.get(dashboard_address())

        assert response.status_code == HTTPStatus.FOUND
        assert response.headers["Location"].startswith(reverse("admin:login"))

    @pytest.mark.parametrize("codenames", [(), ("add_reportrun", "change_reportrun", "delete_reportschedule")])
    def test_staff_without_the_view_permission_get_nowhere(self, sign_in: SignIn, codenames: tuple[str, ...]) -> None:
        failed_run(HOUR, "fireant_503", Step.EXTERNAL_JOB_SUBMISSION)

        assert sign_in(*codenames).get(dashboard_address()).status_code == HTTPStatus.NOT_FOUND

    @pytest.mark.parametrize("codename", ["view_reportschedule", "view_reportrun", "view_reportchange"])
    def test_whoever_may_see_only_one_kind_sees_its_link_and_no_dashboard(self, sign_in: SignIn, codename: str) -> None:
        page = text_of(sign_in(codename).get(dashboard_address()))

        assert "ro-board" not in page
        assert page.count('class="viewlink"') == 1

    def test_viewers_and_superusers_see_it(self, sign_in: SignIn) -> None:
        assert "ro-board" in text_of(sign_in("view_reportschedule", "view_reportrun").get(dashboard_address()))
        assert "ro-board" in text_of(sign_in(is_superuser=True).get(dashboard_address()))

    def test_no_link_leads_where_the_reader_is_refused(self, sign_in: SignIn) -> None:
        SharedState.objects.record("discovery", now=NOW, detail={"held_removals": 7})

        page = text_of(sign_in("view_reportschedule", "view_reportrun").get(dashboard_address()))

        assert "7 reports are missing from the project" in page
        assert reverse("admin:report_orchestrator_reportchange_changelist") not in page

    def test_who_may_see_reports_alone_learns_nothing_of_their_runs_and_changes(self, sign_in: SignIn) -> None:
        now = datetime.now(UTC)
        work_was_done(now)
        schedule = make_schedule(next_run_at=now + HOUR)
        make_run(schedule, status=Status.FAILED, ended_at=now)
        live = make_run(schedule, status=Status.RUNNING)
        make_change(schedule)
        reports, page = (address(ReportSchedule, "changelist"), address(ReportSchedule, "change", schedule.pk))
        telling = ("Recent runs", "Calendar as a table", "Recent runs as a table", "rescheduled")

        alone = sign_in("view_reportschedule")
        listed_alone, told_alone = text_of(alone.get(reports)), text_of(alone.get(page))
        refused = [
            alone.get(reports, {"condition": condition}).status_code for condition in ("failing", "flaky", "never_run")
        ]
        all_of_it = sign_in("view_reportschedule", "view_reportrun", "view_reportchange")
        listed_whole, told_whole = text_of(all_of_it.get(reports)), text_of(all_of_it.get(page))

        assert [words for words in telling if words not in told_whole] == []
        assert [words for words in telling if words in told_alone] == []
        assert f"Run {live.pk} is in progress" in told_whole
        assert f"Run {live.pk} is in progress" not in told_alone
        assert address(ReportRun, "change", live.pk) in listed_whole
        assert address(ReportRun, "changelist") not in listed_alone
        assert "ro-spark" in listed_whole
        assert "ro-spark" not in listed_alone
        assert "column-spark" not in listed_alone
        assert "condition=failing" not in listed_alone
        assert refused == [HTTPStatus.FORBIDDEN] * 3

    def test_a_reader_who_may_not_retry_is_offered_no_retry(self) -> None:
        user = User.objects.create_user("reader", is_staff=True)

        assert Viewer(user=user, site_name="admin").retry_address(step="x") is None


class TestSpeed:
    @pytest.mark.parametrize("rows", [1, 60])
    @pytest.mark.parametrize("page", ["dashboard", "reports", "late", "failing", "flaky", "never_run"])
    def test_pages_take_few_queries_whatever_there_is(
        self, viewer: Client, django_assert_max_num_queries: Any, rows: int, page: str
    ) -> None:
        now = datetime.now(UTC)
        work_was_done(now)
        for _ in range(rows):
            schedule = make_schedule(next_run_at=now - HOUR)
            for ended in (now, now - MINUTE):
                make_run(schedule, status=Status.FAILED, ended_at=ended)
        addresses = {"dashboard": dashboard_address(), "reports": address(ReportSchedule, "changelist")}
        filtered = f"{addresses['reports']}?condition={page}"

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            text_of(viewer.get(addresses.get(page, filtered)))

    def test_limits_add_no_query_to_the_dashboard(
        self, viewer: Client, settings: Any, django_assert_max_num_queries: Any
    ) -> None:
        settings.REPORT_ORCHESTRATOR = {
            **settings.REPORT_ORCHESTRATOR,
            "FIREANT_MAX_JOBS_IN_FLIGHT": 5,
            "FIREANT_MAX_SUBMITS_PER_MINUTE": 9,
        }
        make_run()

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            page_text = words_of(viewer.get(dashboard_address()))

        assert "Submissions in the last minute 0 of 9" in page_text

    @pytest.mark.parametrize("rows", [0, 1, 70])
    def test_a_report_page_takes_few_queries_however_long_its_history(
        self, viewer: Client, django_assert_max_num_queries: Any, rows: int
    ) -> None:
        schedule = make_schedule()
        for _ in range(rows):
            make_run(schedule)
            make_change(schedule)

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            text_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))


class TestTheSentence:
    def test_all_that_matters_is_reported_at_once(self) -> None:
        work_was_done(NOW - timedelta(seconds=12))
        for _ in range(4):
            due_run(HOUR)
        for _ in range(3):
            failed_run(2 * HOUR, "fireant_503", Step.EXTERNAL_JOB_SUBMISSION)
        make_schedule(next_run_at=NOW - 10 * MINUTE)

        assert (
            verdict_text(picture()) == "1 report is late. 3 runs failed in the last 24 hours. "
            "4 of 8 runs due today succeeded, 3 failed. Workers active (12 s ago)."
        )

    def test_runs_that_were_skipped_or_have_not_ended_are_reported(self) -> None:
        work_was_done(NOW)
        for status in (Status.SUCCEEDED, Status.SKIPPED, Status.CANCELED, Status.RUNNING):
            due_run(HOUR, status)

        assert "1 of 4 runs due today succeeded, 2 skipped, 1 in progress." in verdict_text(picture())

    def test_a_quiet_morning_reads_as_one(self) -> None:
        work_was_done(NOW)

        assert verdict_text(picture()) == "No runs due today so far. Workers active (0 s ago)."

    def test_silent_workers_are_not_active(self) -> None:
        work_was_done(NOW - HEARTBEAT_TIMEOUT - MINUTE)

        silent_since = clock(NOW - HEARTBEAT_TIMEOUT - MINUTE)
        assert verdict_text(picture()).startswith(f"No worker since {silent_since}: nothing runs.")

    def test_a_place_where_nothing_ever_ran_says_so(self) -> None:
        assert verdict_text(picture()).startswith("No worker has ever been active: nothing runs.")

    def test_yesterdays_runs_are_not_todays(self) -> None:
        due_run(10 * HOUR)
        due_run(HOUR)

        assert "1 of 1 runs due today succeeded." in verdict_text(picture())


class TestRunsInProgress:
    @pytest.mark.parametrize(
        ("status", "ago", "expected"),
        [
            (Status.QUEUED, MINUTE, "first ready 1 min ago"),
            (Status.RUNNING, -MINUTE, f"the first must report by {clock(NOW + MINUTE)}"),
            (Status.RUNNING, MINUTE, "the first should have reported 1 min ago"),
            (Status.DEFERRED, -MINUTE, "next poll in 1 min"),
            (Status.DEFERRED, timedelta(seconds=1), "next poll now"),
            (Status.DEFERRED, 2 * MINUTE, "next poll was due 2 min ago"),
            (Status.UP_FOR_RETRY, timedelta(seconds=1), "next retry now"),
        ],
    )
    def test_the_next_event_is_said_as_it_is(self, status: Status, ago: timedelta, expected: str) -> None:
        make_run(status=status, wake_at=NOW - ago)

        rows = unfinished_rows(picture(), Viewer(user=User(is_superuser=True), site_name="admin"))

        assert [row.note for row in rows] == [expected]


class TestTheDay:
    def test_each_hour_counts_what_became_of_its_times(self) -> None:
        due_run(timedelta(minutes=90))
        due_run(timedelta(minutes=95), Status.SKIPPED)
        due_run(timedelta(minutes=96), Status.TIMED_OUT)
        due_run(timedelta(minutes=97), Status.DEFERRED)

        hour = read_hours(NOW, ZoneInfo("UTC"))[-3]

        assert hour.start == datetime(2026, 7, 1, 7, tzinfo=UTC)
        assert (hour.succeeded, hour.skipped, hour.failed, hour.under_way, hour.expected) == (1, 1, 1, 1, 4)

    def test_what_a_person_requested_manually_was_not_due(self) -> None:
        due_run(HOUR, trigger="manual")

        assert sum(hour.expected for hour in read_hours(NOW, ZoneInfo("UTC"))) == 0

    def test_a_time_without_a_run_is_missing_from_what_was_expected(self) -> None:
        make_schedule(next_run_at=NOW - 2 * HOUR)

        hour = picture().hours[-3]

        assert (hour.without_run, hour.expected, hour.succeeded) == (1, 1, 0)

    def test_each_late_report_is_missing_from_the_hour_of_its_own_time(self) -> None:
        for ago in (timedelta(days=40), 2 * HOUR, 2 * HOUR, HOUR):
            make_schedule(cron="0 * * * *", next_run_at=NOW - ago)

        found = picture()

        assert [hour.without_run for hour in found.hours[-4:]] == [0, 2, 1, 0]
        assert (found.today.without_run, found.forecast.late) == (3, 4)
        assert found.forecast.late_since == NOW - timedelta(days=40)

    @pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "Europe/Amsterdam"])
    def test_hours_and_midnight_are_those_of_the_readers_clock(self, zone: str) -> None:
        here = ZoneInfo(zone)
        midnight = datetime(2026, 7, 1, tzinfo=here)
        now = midnight + timedelta(hours=9, minutes=10)
        make_run(scheduled_for=midnight)
        make_run(scheduled_for=midnight - MINUTE)

        hours = read_hours(now, here)

        assert [hour.expected for hour in hours if hour.start == midnight] == [1]
        assert sum_hours(hours, start_of_day(now, here)).expected == 1

    def test_a_day_of_25_hours_is_whole(self) -> None:
        here = ZoneInfo("Europe/Amsterdam")
        late = datetime(2026, 10, 25, 23, 30, tzinfo=here)
        make_run(scheduled_for=datetime(2026, 10, 25, 0, 30, tzinfo=here))

        hours = read_hours(late, here)

        assert len(hours) == 25
        assert sum_hours(hours, start_of_day(late, here)).expected == 1


class TestWhatNeedsAttention:
    def test_the_same_cause_stands_once_with_its_count(self) -> None:
        for _ in range(5):
            failed_run(HOUR, "fireant_503", Step.EXTERNAL_JOB_SUBMISSION, "Fireant responded with 503.")
        failed_run(HOUR, "fireant_503", Step.JOB_COMPLETION_STATUS)

        first, second = failures_since(NOW - timedelta(days=1)).groups

        assert (first.code, first.step, first.count) == ("fireant_503", Step.EXTERNAL_JOB_SUBMISSION, 5)
        assert first.error == "Fireant responded with 503."
        assert (second.step, second.count) == (Step.JOB_COMPLETION_STATUS, 1)

    def test_what_was_retried_or_is_long_past_is_no_concern(self) -> None:
        failed_run(timedelta(days=2), "fireant_503", Step.EXTERNAL_JOB_SUBMISSION)
        due_run(HOUR, Status.QUEUED)

        assert failures_since(NOW - timedelta(days=1)).groups == ()

    def test_a_cause_leads_to_its_runs_and_to_no_others(self, viewer: Client) -> None:
        at = datetime.now(UTC) - HOUR
        wanted = make_run(status=Status.FAILED, step="external_job_submission", error_code="fireant_503", ended_at=at)
        make_run(status=Status.FAILED, step="external_job_submission", error_code="unexpected", ended_at=at)
        page = text_of(viewer.get(dashboard_address()))

        link = re.search(r'href="([^"]*cause=fireant_503[^"]*)"', page)

        assert link is not None
        response = viewer.get(link[1].replace("&amp;", "&"))
        assert response.context is not None
        assert list(response.context["cl"].result_list) == [wanted]

    def test_everything_that_is_wrong_is_reported(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        late = make_schedule(next_run_at=now - HOUR)
        make_run(late, status=Status.FAILED, step="external_job_submission", error_code="fireant_503", ended_at=now)
        make_schedule(state=ScheduleState.QUARANTINED, problem_code="invalid_cron", name="Hailstorm")
        SharedState.objects.record("discovery", now=now, detail={"held_removals": 6})
        SharedState.objects.record(
            StateName.ALL_PAUSED, now=now, detail={"actor": "maria", "reason": "The lake moves."}
        )

        page_text = words_of(viewer.get(dashboard_address()))

        for reported in (
            "1 run failed at “external job submission”: Fireant 503",
            "1 report is held back by the pause",
            "Hailstorm has an invalid definition: invalid cron expression",
            "6 reports are missing from the project; their removal is on hold",
            "All reports are paused by maria: no new runs are created The lake moves.",
        ):
            assert reported in page_text

    def test_an_invalid_report_and_its_failed_runs_are_one_problem_that_names_it(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        ill = make_schedule(state=ScheduleState.QUARANTINED, problem_code="no_event_group", name="Flood draft")
        given: dict[str, Any] = {"status": Status.FAILED, "error_code": "no_event_group", "ended_at": now - 2 * MINUTE}
        make_run(ill, step=Step.REPORT_DATA, error="It has no event group.", **given)
        make_run(make_schedule(next_run_at=None), step=Step.RESULTS_STORAGE, **given)

        titles = [problem.title for problem in problems(now)]
        page_text = words_of(viewer.get(dashboard_address()))

        assert titles[:2] == [
            "1 run failed at “results storage”: no event group",
            "Flood draft has an invalid definition: no event group",
        ]
        assert "1 run failed, 2 min ago. It has no event group." in page_text
        assert page_text.count("View report ") == 1

    def test_several_invalid_reports_are_counted(self) -> None:
        for _ in range(2):
            make_schedule(state=ScheduleState.QUARANTINED, problem_code="no_event_group")

        assert [problem.title for problem in problems(NOW)] == ["2 reports have an invalid definition: no event group"]

    def test_the_worst_comes_first_behind_the_pause(self) -> None:
        SharedState.objects.record(StateName.DISCOVERY, now=NOW, detail={"held_removals": 6})
        for _ in range(2):
            record_failure(UpkeepTask.PRUNING, ValueError("full"), clock=lambda: NOW)
        assert [problem.sign.tone for problem in problems(NOW)] == ["bad", "warn"]

        SharedState.objects.record(StateName.ALL_PAUSED, now=NOW, detail={"actor": "maria"})
        assert [problem.sign.tone for problem in problems(NOW)] == ["warn", "bad", "warn"]

    def test_the_report_that_is_late_longest_is_named(self) -> None:
        work_was_done(NOW)
        make_schedule(name="Windstorm", next_run_at=NOW - 2 * HOUR)
        assert problems(NOW)[0].detail == "Windstorm was due 2 h 0 min ago."
        make_schedule(name="Avalanche", next_run_at=NOW - HOUR)
        make_schedule(name="Zonal flood", next_run_at=NOW - 3 * HOUR, cron="0 7 * * *")
        assert problems(NOW)[0].detail == "Zonal flood was due first, 3 h 0 min ago."

    @pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING])
    def test_runs_without_an_active_worker_are_one_problem_with_the_advice_of_its_cause(self, status: Status) -> None:
        make_run(status=status, wake_at=NOW - HOUR)
        make_run(status=Status.QUEUED, wake_at=NOW - 2 * HOUR)
        (problem,) = problems(NOW)
        assert problem.title == "Runs wait, and no worker is active"
        assert problem.detail == f"The first has waited since {clock(NOW - 2 * HOUR)}. Start qcluster."

        work_was_done(NOW)
        assert "no worker is active" not in " ".join(problem.title for problem in problems(NOW))

    def test_where_nothing_is_wrong_the_page_says_so(self, viewer: Client) -> None:
        work_was_done(datetime.now(UTC))

        page = text_of(viewer.get(dashboard_address()))

        assert "Nothing. No runs failed in the last 24 hours, and no reports are late or paused." in page
        assert "ro-verdict-good" in page
