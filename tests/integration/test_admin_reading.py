"""Whoever opens the admin in the morning sees whether all is well, what is not, why, and what to press."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from report_orchestrator.admin.addresses import Reader
from report_orchestrator.admin.answers import answer
from report_orchestrator.admin.dashboard import board_of, sentence
from report_orchestrator.admin.report_page import offset_in_words, page_of
from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import Mark, ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.services.gate import CIRCUIT
from report_orchestrator.services.health import SILENCE, examine
from report_orchestrator.services.pausing import ALL
from report_orchestrator.services.reading.causes import stopped_since
from report_orchestrator.services.reading.dashboard import Dashboard, read_dashboard
from report_orchestrator.services.reading.day import hours_until, midnight_of, total
from report_orchestrator.services.reading.flight import in_flight, latest_work
from report_orchestrator.services.reading.forecast import forecast
from report_orchestrator.services.reading.histories import last_runs_of, typical_duration
from report_orchestrator.services.reading.report import days_due, read_report
from report_orchestrator.testing import FakePorts
from tests.demo.history import fill_history
from tests.integration.test_admin import (
    HOSTILE,
    address,
    listed,
    make_change,
    make_run,
    make_schedule,
    make_step,
    text_of,
    words_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

NOW = datetime(2026, 7, 1, 9, 0, 30, tzinfo=UTC)
QUERIES_AT_MOST = 11
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SignIn = Callable[..., Client]


@pytest.fixture
def sign_in(client: Client) -> SignIn:
    def as_staff(*codenames: str, **given: Any) -> Client:
        user = User.objects.create_user(f"person {User.objects.count()}", is_staff=True, **given)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return as_staff


@pytest.fixture
def viewer(sign_in: SignIn) -> Client:
    return sign_in("view_reportschedule", "view_reportrun", "view_reportchange")


def dashboard_address() -> str:
    return reverse("admin:app_list", args=["report_orchestrator"])


def clock(at: datetime) -> str:
    """A time of day in the host's zone."""
    return f"{at.astimezone(timezone.get_default_timezone()):%H:%M}"


def picture(now: datetime = NOW, settings: Settings | None = None) -> Dashboard:
    return read_dashboard(now, ZoneInfo("UTC"), settings or get_settings(), report_model="api.Report")


def work_was_done(now: datetime) -> None:
    for name in ("tick", "bell: report_orchestrator.tasks.tick"):
        Mark.objects.note(name, now=now)


def due_run(ago: timedelta, status: Status = Status.SUCCEEDED, **given: Any) -> ReportRun:
    at = NOW - ago
    return make_run(status=status, scheduled_for=at, created_at=at, started_at=at, **given)


def failed_run(ago: timedelta, code: str, step: Step, error: str = "") -> ReportRun:
    return due_run(
        ago, Status.FAILED, step=step.value, error_code=code, error=error, ended_at=NOW - ago + MINUTE
    )


class TestWhoMaySee:
    def test_a_stranger_is_sent_to_the_login(self, client: Client) -> None:
        response = client.get(dashboard_address())

        assert response.status_code == HTTPStatus.FOUND
        assert response.headers["Location"].startswith(reverse("admin:login"))

    @pytest.mark.parametrize(
        "codenames", [(), ("add_reportrun", "change_reportrun", "delete_reportschedule")]
    )
    def test_staff_without_the_view_permission_get_nowhere(
        self, sign_in: SignIn, codenames: tuple[str, ...]
    ) -> None:
        failed_run(HOUR, "fireant_503", Step.EXTERNAL_JOB_SUBMISSION)

        assert sign_in(*codenames).get(dashboard_address()).status_code == HTTPStatus.NOT_FOUND

    @pytest.mark.parametrize("codename", ["view_reportschedule", "view_reportrun", "view_reportchange"])
    def test_whoever_may_see_only_one_kind_sees_its_link_and_no_dashboard(
        self, sign_in: SignIn, codename: str
    ) -> None:
        page = text_of(sign_in(codename).get(dashboard_address()))

        assert "ro-board" not in page
        assert page.count('class="viewlink"') == 1

    def test_viewers_and_superusers_see_it(self, sign_in: SignIn) -> None:
        assert "ro-board" in text_of(
            sign_in("view_reportschedule", "view_reportrun").get(dashboard_address())
        )
        assert "ro-board" in text_of(sign_in(is_superuser=True).get(dashboard_address()))

    def test_no_link_leads_where_the_reader_is_refused(self, sign_in: SignIn) -> None:
        Mark.objects.note("discovery", now=NOW, detail={"held_removals": 7})

        page = text_of(sign_in("view_reportschedule", "view_reportrun").get(dashboard_address()))

        assert "7 reports are gone from the project" in page
        assert reverse("admin:report_orchestrator_reportchange_changelist") not in page

    def test_who_may_see_reports_alone_learns_nothing_of_their_runs_and_changes(
        self, sign_in: SignIn
    ) -> None:
        now = datetime.now(UTC)
        work_was_done(now)
        schedule = make_schedule(next_run_at=now + HOUR)
        make_run(schedule, status=Status.FAILED, ended_at=now)
        live = make_run(schedule, status=Status.RUNNING)
        make_change(schedule)
        reports, page = (
            address(ReportSchedule, "changelist"),
            address(ReportSchedule, "change", schedule.pk),
        )
        telling = ("Durations and outcomes", "A year, day by day", "These runs as a table", "re-timed")

        alone = sign_in("view_reportschedule")
        listed_alone, told_alone = text_of(alone.get(reports)), text_of(alone.get(page))
        refused = [
            alone.get(reports, {"condition": condition}).status_code
            for condition in ("failing", "flaky", "never_run")
        ]
        all_of_it = sign_in("view_reportschedule", "view_reportrun", "view_reportchange")
        listed_whole, told_whole = text_of(all_of_it.get(reports)), text_of(all_of_it.get(page))

        assert [words for words in telling if words not in told_whole] == []
        assert [words for words in telling if words in told_alone] == []
        assert f"Run {live.pk} has not ended" in told_whole
        assert f"Run {live.pk} has not ended" not in told_alone
        assert address(ReportRun, "change", live.pk) in listed_whole
        assert address(ReportRun, "changelist") not in listed_alone
        assert "ro-spark" in listed_whole
        assert "ro-spark" not in listed_alone
        assert "column-spark" not in listed_alone
        assert "condition=failing" not in listed_alone
        assert refused == [HTTPStatus.FORBIDDEN] * 3

    def test_a_reader_who_may_not_retry_is_offered_no_retry(self) -> None:
        user = User.objects.create_user("reader", is_staff=True)

        assert Reader(user=user, site_name="admin").retry_address(step="x") is None


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
            said = words_of(viewer.get(dashboard_address()))

        assert "Submissions in the last minute 0 of 9" in said

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
    def test_all_that_matters_is_told_at_once(self) -> None:
        work_was_done(NOW - timedelta(seconds=12))
        for _ in range(4):
            due_run(HOUR)
        for _ in range(3):
            failed_run(2 * HOUR, "fireant_503", Step.EXTERNAL_JOB_SUBMISSION)
        make_schedule(next_run_at=NOW - 10 * MINUTE)

        assert (
            sentence(picture())
            == "3 failed in the last 24 hours, 1 late, 4 of 8 due since midnight delivered; workers proven alive 12 s ago."
        )

    def test_a_quiet_morning_reads_as_one(self) -> None:
        work_was_done(NOW)

        assert sentence(picture()) == "nothing has been due since midnight; workers proven alive 0 s ago."

    def test_silent_workers_are_not_called_alive(self) -> None:
        work_was_done(NOW - SILENCE - MINUTE)

        silent_since = clock(NOW - SILENCE - MINUTE)
        assert sentence(picture()).endswith(f"no sign of a worker since {silent_since}.")

    def test_a_place_where_nothing_ever_ran_says_so(self) -> None:
        assert sentence(picture()).endswith("no worker has ever been heard of.")

    def test_yesterdays_runs_are_not_todays(self) -> None:
        due_run(10 * HOUR)
        due_run(HOUR)

        assert "1 of 1 due since midnight delivered" in sentence(picture())


class TestTheDay:
    def test_each_hour_counts_what_became_of_its_times(self) -> None:
        due_run(timedelta(minutes=90))
        due_run(timedelta(minutes=95), Status.SKIPPED)
        due_run(timedelta(minutes=96), Status.TIMED_OUT)
        due_run(timedelta(minutes=97), Status.DEFERRED)

        hour = hours_until(NOW, ZoneInfo("UTC"))[-3]

        assert hour.start == datetime(2026, 7, 1, 7, tzinfo=UTC)
        assert (hour.succeeded, hour.skipped, hour.failed, hour.under_way, hour.expected) == (1, 1, 1, 1, 4)

    def test_what_a_person_asked_for_by_hand_was_not_due(self) -> None:
        due_run(HOUR, trigger="manual")

        assert sum(hour.expected for hour in hours_until(NOW, ZoneInfo("UTC"))) == 0

    def test_a_time_without_a_run_is_missing_from_what_was_expected(self) -> None:
        make_schedule(next_run_at=NOW - 2 * HOUR)

        hour = picture().hours[-3]

        assert (hour.unopened, hour.expected, hour.succeeded) == (1, 1, 0)

    def test_each_late_report_is_missing_from_the_hour_of_its_own_time(self) -> None:
        for ago in (timedelta(days=40), 2 * HOUR, 2 * HOUR, HOUR):
            make_schedule(cron="0 * * * *", next_run_at=NOW - ago)

        found = picture()

        assert [hour.unopened for hour in found.hours[-4:]] == [0, 2, 1, 0]
        assert (found.today.unopened, found.ahead.late) == (3, 4)
        assert found.ahead.late_since == NOW - timedelta(days=40)

    @pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "Europe/Amsterdam"])
    def test_hours_and_midnight_are_those_of_the_readers_clock(self, zone: str) -> None:
        here = ZoneInfo(zone)
        midnight = datetime(2026, 7, 1, tzinfo=here)
        now = midnight + timedelta(hours=9, minutes=10)
        make_run(scheduled_for=midnight)
        make_run(scheduled_for=midnight - MINUTE)

        hours = hours_until(now, here)

        assert [hour.expected for hour in hours if hour.start == midnight] == [1]
        assert total(hours, midnight_of(now, here)).expected == 1

    def test_a_day_of_25_hours_is_whole(self) -> None:
        here = ZoneInfo("Europe/Amsterdam")
        late = datetime(2026, 10, 25, 23, 30, tzinfo=here)
        make_run(scheduled_for=datetime(2026, 10, 25, 0, 30, tzinfo=here))

        hours = hours_until(late, here)

        assert len(hours) == 25
        assert total(hours, midnight_of(late, here)).expected == 1


class TestWhatNeedsAttention:
    def test_the_same_cause_stands_once_with_its_count(self) -> None:
        for _ in range(5):
            failed_run(HOUR, "fireant_503", Step.EXTERNAL_JOB_SUBMISSION, "Fireant answered 503.")
        failed_run(HOUR, "fireant_503", Step.JOB_COMPLETION_STATUS)

        first, second = stopped_since(NOW - timedelta(days=1)).causes

        assert (first.code, first.step, first.count) == ("fireant_503", Step.EXTERNAL_JOB_SUBMISSION, 5)
        assert first.error == "Fireant answered 503."
        assert (second.step, second.count) == (Step.JOB_COMPLETION_STATUS, 1)

    def test_what_was_retried_or_is_long_past_is_no_concern(self) -> None:
        failed_run(timedelta(days=2), "fireant_503", Step.EXTERNAL_JOB_SUBMISSION)
        due_run(HOUR, Status.QUEUED)

        assert stopped_since(NOW - timedelta(days=1)).causes == ()

    def test_a_cause_leads_to_its_runs_and_to_no_others(self, viewer: Client) -> None:
        at = datetime.now(UTC) - HOUR
        wanted = make_run(
            status=Status.FAILED, step="external_job_submission", error_code="fireant_503", ended_at=at
        )
        make_run(status=Status.FAILED, step="external_job_submission", error_code="unexpected", ended_at=at)
        page = text_of(viewer.get(dashboard_address()))

        link = re.search(r'href="([^"]*cause=fireant_503[^"]*)"', page)

        assert link is not None
        response = viewer.get(link[1].replace("&amp;", "&"))
        assert response.context is not None
        assert list(response.context["cl"].result_list) == [wanted]

    def test_everything_that_is_wrong_is_told(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        late = make_schedule(next_run_at=now - HOUR)
        make_run(
            late, status=Status.FAILED, step="external_job_submission", error_code="fireant_503", ended_at=now
        )
        make_schedule(state=ScheduleState.QUARANTINED, problem_code="invalid_cron")
        Mark.objects.note("discovery", now=now, detail={"held_removals": 6})
        Mark.objects.note(ALL, now=now, detail={"actor": "maria", "reason": "The lake moves."})

        said = words_of(viewer.get(dashboard_address()))

        for told in (
            "1 × Fireant 503 in external job submission",  # noqa: RUF001
            "1 report is held back by the pause: its time came",
            "1 report cannot run as it is defined: a cron that cannot be read",
            "6 reports are gone from the project, and their removal is held",
            "All reports are paused by maria: nothing new is opened The lake moves.",
        ):
            assert told in said

    def test_where_nothing_is_wrong_the_page_says_so(self, viewer: Client) -> None:
        work_was_done(datetime.now(UTC))

        page = text_of(viewer.get(dashboard_address()))

        assert "Nothing. No run failed in the last 24 hours, no report is late, and none is paused." in page
        assert "ro-verdict-good" in page


class TestHealthAndDashboardAgree:
    """The dashboard is never green while the product's own health, which a probe asks, is not well."""

    def verdict(self, fakes: FakePorts) -> tuple[set[str], str]:
        settings = get_settings()
        ill = {one.name for one in examine(ports=fakes.ports, settings=settings) if not one.well}
        reader = Reader(user=User(is_superuser=True), site_name="admin")
        found = read_dashboard(fakes.clock.now, ZoneInfo("UTC"), settings, report_model=fakes.reports.label)
        shown = board_of(found, reader)
        return ill, shown.verdict.tone

    @pytest.fixture
    def now(self, fakes: FakePorts) -> datetime:
        now: datetime = fakes.clock.now
        work_was_done(now)
        return now

    def test_where_all_is_well_both_say_so(self, fakes: FakePorts, now: datetime) -> None:
        make_run(status=Status.QUEUED, wake_at=now - MINUTE / 2)
        make_run(status=Status.RUNNING, wake_at=now + MINUTE)

        assert self.verdict(fakes) == (set(), "good")

    def test_runs_that_no_worker_takes(self, fakes: FakePorts, now: datetime) -> None:
        for _ in range(3):
            make_run(status=Status.QUEUED, wake_at=now - 5 * HOUR)

        assert self.verdict(fakes) == ({"runs"}, "bad")
        assert picture(now).overdue_since == now - 5 * HOUR

    def test_leases_that_ended_long_ago(self, fakes: FakePorts, now: datetime) -> None:
        make_run(status=Status.RUNNING, wake_at=now - 4 * HOUR)

        assert self.verdict(fakes) == ({"leases"}, "bad")
        assert picture(now).lost_since == now - 4 * HOUR

    def test_a_run_that_waits_behind_another_is_no_concern(self, fakes: FakePorts, now: datetime) -> None:
        schedule = make_schedule(next_run_at=now + HOUR)
        make_run(schedule, status=Status.DEFERRED, step="job_completion_status", wake_at=now + MINUTE)
        make_run(schedule, status=Status.QUEUED, wake_at=now - HOUR, in_line=True, started_at=None)

        assert self.verdict(fakes) == (set(), "good")

    def test_runs_that_wait_for_fireant_are_told_as_fireants(self, fakes: FakePorts, now: datetime) -> None:
        Mark.objects.create(name=CIRCUIT, due_at=now + MINUTE, marked_at=now, detail={"failures": 4})
        make_run(status=Status.QUEUED, step="external_job_submission", wake_at=now - HOUR)

        assert self.verdict(fakes)[0] == set()
        assert picture(now).overdue_since is None

    def test_reports_that_nobody_opens(self, fakes: FakePorts, now: datetime) -> None:
        make_schedule(next_run_at=now - HOUR, report_model=fakes.reports.label)

        assert self.verdict(fakes) == ({"schedules"}, "bad")

    @pytest.mark.parametrize("silent", ["tick", "bell: report_orchestrator.tasks.tick"])
    def test_silence_is_red_while_all_are_paused_too(
        self, fakes: FakePorts, now: datetime, silent: str
    ) -> None:
        Mark.objects.note(ALL, now=now, detail={"actor": "maria"})
        Mark.objects.note(silent, now=now - HOUR)

        ill, tone = self.verdict(fakes)

        assert len(ill) == 1
        assert tone == "bad"

    def test_what_a_pause_of_all_holds_back_is_a_warning(
        self, fakes: FakePorts, viewer: Client, now: datetime
    ) -> None:
        Mark.objects.note(ALL, now=now, detail={"actor": "maria"})
        for label in (fakes.reports.label, "api.Report"):
            make_schedule(next_run_at=now - HOUR, report_model=label)

        assert self.verdict(fakes) == (set(), "warn")
        assert sentence(picture(now)).startswith("1 held back, ")
        said = words_of(viewer.get(dashboard_address()))
        assert "1 report is held back by the pause: its time came" in said
        assert "1 report is late" not in said
        assert "held back since" in words_of(viewer.get(address(ReportSchedule, "changelist")))

    def test_a_pause_of_all_keeps_the_schedulers_pulse(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        work_was_done(now)
        Mark.objects.note(ALL, now=now, detail={"actor": "maria"})

        said = words_of(viewer.get(dashboard_address()))

        assert "Scheduler ! paused by a person, for all reports; last heard of" in said


class TestHealth:
    def test_a_cluster_that_never_ran_is_told_how_to_start(self, viewer: Client) -> None:
        said = words_of(viewer.get(dashboard_address()))

        assert "Workers ✗ never heard of no sign of it yet Start it with: python manage.py qcluster" in said

    def test_a_fireant_that_was_never_asked_is_not_said_to_answer(self, viewer: Client) -> None:
        never = words_of(viewer.get(dashboard_address()))
        make_run(status=Status.DEFERRED, step="job_completion_status")
        asked = words_of(viewer.get(dashboard_address()))

        assert "Fireant ? not known not asked yet" in never
        assert "Fireant ✓ answers as far as is known" in asked

    def test_a_page_that_is_not_green_does_not_say_nothing(self, viewer: Client) -> None:
        said = words_of(viewer.get(dashboard_address()))

        assert (
            "No run failed in the last 24 hours, and no report is late. What is not well stands above."
            in said
        )
        assert "Nothing. No run failed" not in said

    def test_reports_that_are_paused_one_by_one_are_counted(self, viewer: Client) -> None:
        work_was_done(datetime.now(UTC))
        make_schedule(paused_at=NOW, paused_by="ada", next_run_at=None)

        page = text_of(viewer.get(dashboard_address()))

        assert "1 report is paused by a person." in page
        assert "condition=paused" in page
        assert "ro-verdict-good" in page
        assert "none is paused" not in page

    def test_an_open_circuit_tells_when_fireant_is_tried_again(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        Mark.objects.create(
            name=CIRCUIT, due_at=now + 9.5 * MINUTE, marked_at=now, detail={"failures": 4, "probes": 1}
        )

        assert "taken to be down 4 failures in a row; tried again in 9 min" in words_of(
            viewer.get(dashboard_address())
        )

    def test_a_lake_that_refuses_is_told_until_it_takes_a_result_again(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        make_run(status=Status.FAILED, step="results_storage", error_code="onelake_403", ended_at=now - HOUR)
        refused = words_of(viewer.get(dashboard_address()))
        make_run(ended_at=now - MINUTE)
        taken = words_of(viewer.get(dashboard_address()))

        assert "Lake ✗ refuses results 1 could not be stored; no result stored yet" in refused
        assert "Lake ✓ takes results last result stored 1 min ago" in taken

    def test_settings_that_cannot_be_used_are_told_instead_of_an_error(
        self, viewer: Client, settings: Any
    ) -> None:
        settings.REPORT_ORCHESTRATOR = {**settings.REPORT_ORCHESTRATOR, "MAX_RETRIES": "many"}

        said = words_of(viewer.get(dashboard_address()))

        assert "MAX_RETRIES cannot be read: it must be a number." in said


class TestUnderWay:
    def test_runs_are_counted_where_they_stand(self) -> None:
        make_run(status=Status.DEFERRED, step="job_completion_status", wake_at=NOW)
        make_run(status=Status.RUNNING, step="external_job_submission")
        make_run(status=Status.QUEUED, wake_at=NOW - HOUR)
        make_run(status=Status.UP_FOR_RETRY, step="results_storage")
        make_run()

        flight = in_flight()

        assert sum(place.count for place in flight.places) == 4
        assert flight.jobs_in_fireant == 2
        assert flight.queued_since == NOW - HOUR
        assert flight.storing_again == 1

    def test_submissions_of_the_last_minute_are_counted_where_they_are_limited(
        self, settings_of: Any
    ) -> None:
        step = Step.EXTERNAL_JOB_SUBMISSION.value
        for ago in (10, 50, 70):
            make_step(make_run(step=step), started_at=NOW - timedelta(seconds=ago))

        limited = latest_work(NOW, settings_of.make(FIREANT_MAX_SUBMITS_PER_MINUTE=5))

        assert limited.submitted == 2
        assert latest_work(NOW, settings_of.make()).submitted is None


class TestTheHoursAhead:
    def ahead(self) -> Any:
        return forecast(NOW, ZoneInfo("UTC"), get_settings(), report_model="api.Report")

    def test_every_time_of_a_frequent_report_is_counted(self) -> None:
        make_schedule(cron="*/30 * * * *", next_run_at=NOW.replace(minute=30, second=0))

        counts = [count for _start, count in self.ahead().hours]

        assert counts == [1] + 11 * [2]

    def test_reports_pile_up_where_they_share_a_time(self) -> None:
        six = datetime(2026, 7, 1, 18, tzinfo=UTC)
        for _ in range(3):
            make_schedule(cron="0 18 * * *", next_run_at=six)
        make_schedule(cron="30 10 * * *", next_run_at=NOW.replace(hour=10, minute=30, second=0))

        assert self.ahead().peaks[0] == (six, 3)

    def test_a_report_whose_time_came_just_now_is_due_and_not_late(self) -> None:
        make_schedule(cron="0 9 * * *", next_run_at=NOW - timedelta(seconds=30))

        assert (self.ahead().late, self.ahead().hours[0][1]) == (0, 1)

    def test_late_reports_of_one_cron_stand_each_in_its_own_hour(self) -> None:
        make_schedule(cron="0 * * * *", next_run_at=NOW - 30 * HOUR)
        for _ in range(2):
            make_schedule(cron="0 * * * *", next_run_at=NOW - 2 * HOUR)

        ahead = self.ahead()

        hour = NOW.replace(minute=0, second=0, microsecond=0)
        assert ahead.overdue_hours == {hour - 30 * HOUR: 1, hour - 2 * HOUR: 2}
        assert (ahead.late, ahead.late_since) == (3, NOW - 30 * HOUR)

    def test_rows_of_a_model_that_is_no_longer_named_are_not_late(self) -> None:
        make_schedule(report_model="old.Report", next_run_at=NOW - HOUR)

        assert self.ahead().late == 0

    def test_a_cron_that_cannot_be_read_costs_the_others_nothing(self) -> None:
        make_schedule(cron="rubbish", next_run_at=NOW + HOUR)
        make_schedule(cron="0 12 * * *", timezone="UTC", next_run_at=NOW.replace(hour=12, minute=0, second=0))

        assert self.ahead().total == 2


class TestTheListOfReports:
    def row(self, viewer: Client, **query: str) -> str:
        page = text_of(viewer.get(address(ReportSchedule, "changelist"), query))
        return page[page.index("<tbody>") : page.index("</tbody>")]

    def test_the_cron_is_told_in_words_with_its_zone(self, viewer: Client) -> None:
        make_schedule(cron="30 2 * * 1", timezone="Europe/Amsterdam")

        row = self.row(viewer)

        assert "At 02:30, only on Monday" in row
        assert "Europe/Amsterdam" in row

    def test_the_cron_is_told_in_the_readers_language(self, viewer: Client) -> None:
        make_schedule(cron="30 2 * * 1")

        with override_settings(LANGUAGE_CODE="de"):
            assert "Um 02:30, nur am Montag" in self.row(viewer)

    def test_a_late_report_says_since_when(self, viewer: Client) -> None:
        make_schedule(next_run_at=datetime.now(UTC) - 90 * MINUTE)

        assert "overdue since" in self.row(viewer)
        assert "1 h 30 min ago" in self.row(viewer)

    def test_a_paused_report_says_who_and_why(self, viewer: Client) -> None:
        make_schedule(
            next_run_at=None, paused_at=NOW, paused_by="maria", pause_reason="The portfolio is reloaded."
        )

        row = self.row(viewer)

        assert "</span>&nbsp;paused</span>" in row
        assert "paused by maria: The portfolio is reloaded." in row

    def test_the_sparkline_shows_the_last_twenty_runs_of_each_report(
        self, viewer: Client, django_assert_num_queries: Any
    ) -> None:
        busy, calm = make_schedule(), make_schedule()
        runs = [make_run(busy, scheduled_for=NOW + n * MINUTE) for n in range(25)]
        make_run(calm, status=Status.FAILED)

        with django_assert_num_queries(1):
            found = last_runs_of([busy.pk, calm.pk])

        assert [run.pk for run in found[busy.pk]] == [run.pk for run in runs[5:]]
        assert len(found[calm.pk]) == 1
        assert "The last 20 runs: 20 succeeded" in self.row(viewer)
        assert "The last run: 1 failed" in self.row(viewer)

    def test_the_typical_duration_is_the_median_of_what_succeeded(self) -> None:
        schedule = make_schedule()
        for seconds in (60, 120, 600):
            make_run(schedule, started_at=NOW, ended_at=NOW + timedelta(seconds=seconds))
        make_run(schedule, status=Status.FAILED, started_at=NOW, ended_at=NOW + 9 * HOUR)

        assert typical_duration(last_runs_of([schedule.pk])[schedule.pk]) == timedelta(minutes=2)

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
    def told(self, schedule: ReportSchedule, now: datetime = NOW) -> str:
        found = answer(read_report(schedule, now))
        return " ".join((found.first, *found.more))

    def test_a_report_that_will_run_says_when(self) -> None:
        work_was_done(NOW)
        due = NOW.replace(hour=18, minute=0, second=30)
        schedule = make_schedule(next_run_at=due)

        assert self.told(schedule) == f"It runs next at {clock(due)}, in 9 h 0 min."

    def test_a_run_that_has_not_ended_is_told_with_what_follows(self) -> None:
        work_was_done(NOW)
        schedule = make_schedule(next_run_at=NOW + HOUR, overlap="queue")
        run = make_run(schedule, status=Status.DEFERRED)
        make_run(schedule, status=Status.DEFERRED, trigger="manual")

        assert (
            f"Run {run.pk} has not ended. If it has not by then, the next one waits behind it."
            in self.told(schedule)
        )

    @pytest.mark.parametrize(
        ("state", "told"),
        [
            ("quarantined", "as it is defined, it cannot. As recorded: Correct the cron."),
            ("disabled", "it is disabled in the project."),
            ("unscheduled", "it has no cron."),
            ("removed", "the project no longer has it."),
        ],
    )
    def test_a_report_that_will_not_run_says_why(self, state: str, told: str) -> None:
        assert told in self.told(make_schedule(state=state, problem="Correct the cron."))

    def test_a_pause_is_told_with_its_reason_and_what_follows_it(self) -> None:
        schedule = make_schedule(
            next_run_at=None, paused_at=NOW - HOUR, paused_by="maria", pause_reason="Reload."
        )

        assert self.told(schedule) == (
            "It will not run: maria paused it 1 h 0 min ago. The reason given: Reload. "
            "When it is resumed, the latest of the times that were missed runs."
        )

    def test_a_pause_of_all_is_told_on_each_page(self) -> None:
        Mark.objects.note(ALL, now=NOW, detail={"actor": "joe", "reason": ""})

        assert self.told(make_schedule()).startswith("It will not run: joe paused all reports.")

    def test_an_overdue_report_says_since_when(self) -> None:
        work_was_done(NOW)

        told = self.told(make_schedule(next_run_at=NOW - HOUR))
        assert f"It is overdue since {clock(NOW - HOUR)}, 1 h 0 min ago" in told

    def test_a_silent_scheduler_is_the_reason_why_nothing_will_run(self) -> None:
        assert "but no scheduler is at work" in self.told(make_schedule(next_run_at=NOW + HOUR))

    def test_the_next_ten_times_show_where_the_clock_changes(self) -> None:
        schedule = make_schedule(cron="30 2 * * *", timezone="Europe/Amsterdam")
        reader = Reader(user=User(is_superuser=True), site_name="admin")
        page = page_of(read_report(schedule, datetime(2026, 10, 21, tzinfo=UTC)), reader)

        assert len(page.times) == 10
        assert [time.local for time in page.times if time.shift] == ["Mon 2026-10-26 02:30"]
        assert (page.times[0].offset, page.times[-1].offset) == ("CEST (UTC+02:00)", "CET (UTC+01:00)")

    def test_rules_say_where_they_come_from(self, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
        monkeypatch.setenv("MAX_RETRIES", "7")
        settings.REPORT_ORCHESTRATOR = {**settings.REPORT_ORCHESTRATOR, "MISSED_RUNS": "all"}
        Mark.objects.note("schedules", now=NOW, detail={"in_force": {"scheduling_approach": "pipeline"}})

        rules = {rule.setting: rule for rule in read_report(make_schedule(overlap="queue"), NOW).rules}

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

        assert read_report(schedule, NOW).days == {date(2026, 7, 1): {"succeeded": 1, "failed": 1}}

    def test_the_days_ahead_are_those_that_the_cron_names(self) -> None:
        schedule = make_schedule(cron="0 6 * * 1")

        assert days_due(schedule, NOW, date(2026, 7, 15)) == {date(2026, 7, 6), date(2026, 7, 13)}

    def test_a_day_that_goes_on_after_midnight_ends_all_the_same(self) -> None:
        """In Beirut the clock goes back at midnight: the last hour of the day comes twice."""
        schedule = make_schedule(cron="* * * * *", timezone="Asia/Beirut")
        before = datetime(2026, 10, 24, 12, tzinfo=UTC)

        assert len(days_due(schedule, before, date(2026, 10, 28))) == 5

    def test_a_report_that_runs_every_minute_is_counted_as_far_back_as_is_quick(self) -> None:
        schedule = make_schedule(cron="* * * * *")
        make_run(schedule, scheduled_for=NOW - timedelta(days=60))
        make_run(schedule, scheduled_for=NOW - timedelta(days=80))

        assert sum(sum(fates.values()) for fates in read_report(schedule, NOW).days.values()) == 1

    def test_the_page_tells_its_story(self, viewer: Client) -> None:
        schedule = make_schedule(cron="0 6 * * *")
        make_run(schedule, scheduled_for=datetime.now(UTC) - HOUR)
        make_change(schedule)

        said = words_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

        due = read_report(schedule, datetime.now(UTC)).next_times[0]
        for told in (
            "The next ten times",
            "Durations and outcomes",
            "A year, day by day",
            "The rules it runs by",
            "re-timed",
            f"{due:%Z} ({offset_in_words(due)})",
        ):
            assert told in said


class TestAnywhere:
    @pytest.fixture
    def everything(self) -> ReportSchedule:
        now = datetime.now(UTC)
        work_was_done(now)
        schedule = make_schedule(name=HOSTILE, cron="*/7 * * * *", next_run_at=now - HOUR, paused_by=HOSTILE)
        make_run(
            schedule, status=Status.FAILED, error=HOSTILE, error_code=HOSTILE[:30], ended_at=now - MINUTE
        )
        make_run(schedule, scheduled_for=now - HOUR)
        make_change(schedule, before={"name": HOSTILE})
        return schedule

    def test_pages_obey_a_strict_content_security_policy_and_escape(
        self, viewer: Client, everything: ReportSchedule
    ) -> None:
        for place in (
            dashboard_address(),
            address(ReportSchedule, "changelist"),
            address(ReportSchedule, "change", everything.pk),
        ):
            page = text_of(viewer.get(place))
            assert re.findall(r"<[^>]*\sstyle\s*=", page) == []
            assert re.findall(r"<[^>]*\son[a-z]+\s*=", page) == []
            assert re.findall(r"<style|<script(?![^>]*\ssrc=)[^>]*>", page) == []
            assert "<script>alert" not in page
            assert 'href="/static/report_orchestrator/dashboard.css"' in page

    def test_ids_are_there_once(self, viewer: Client, everything: ReportSchedule) -> None:
        for place in (dashboard_address(), address(ReportSchedule, "change", everything.pk)):
            ids = re.findall(r'\sid="([^"]+)"', text_of(viewer.get(place)))
            assert [one for one in ids if one.startswith("ro-") and ids.count(one) > 1] == []

    @override_settings(ROOT_URLCONF="tests.integration.other_admin")
    def test_another_adminsite_at_another_address_has_it_all(
        self, sign_in: SignIn, everything: ReportSchedule
    ) -> None:
        client = sign_in(is_superuser=True)
        base = "/back/office/report_orchestrator/"

        page = text_of(client.get(base))

        assert "ro-board" in page
        assert f"{base}reportschedule/?condition=late" in page
        text_of(client.get(f"{base}reportschedule/"))
        text_of(client.get(f"{base}reportschedule/{everything.pk}/change/"))

    def test_another_language_leaves_nothing_unformatted(
        self, viewer: Client, everything: ReportSchedule
    ) -> None:
        for place in (dashboard_address(), address(ReportSchedule, "change", everything.pk)):
            page = text_of(viewer.get(place, headers={"accept-language": "de"}))
            assert re.findall(r"\{\w+\}", page) == []


def test_the_demos_past_is_lively_and_the_same_each_time() -> None:
    make_schedule(cron="*/10 * * * *")
    make_schedule(cron="0 6 * * *", timezone="Europe/Amsterdam")
    make_schedule(cron="0 7 * * 1-5")
    make_schedule(cron="0 * * * *")
    make_schedule(cron="*/30 * * * *")

    made = fill_history(weeks=6, now=NOW)

    statuses = set(ReportRun.objects.values_list("status", flat=True))
    assert made == ReportRun.objects.count() > 2000
    assert statuses == {"succeeded", "failed", "skipped"}
    assert not ReportRun.objects.filter(ended_at__gt=NOW).exists()
    assert_attempts_are_plausible()


def assert_attempts_are_plausible() -> None:
    """What may pass was tried again with a wait between, and says how often; what may not was tried once."""
    failed = ReportRun.objects.filter(status=Status.FAILED)
    tries = {(run.error_code, run.attempt, "tried 4 times" in run.error) for run in failed}
    assert tries == {("fireant_503", 4, True), ("fireant_job_failed", 1, False), ("configuration", 1, False)}
    told = 0
    for run in ReportRun.objects.filter(steps__isnull=False).distinct():
        attempts = list(run.steps.order_by("pk"))
        told += len(attempts)
        assert attempts[-1].error == (run.error if run.status == Status.FAILED else "")
        assert [one.attempt for one in attempts if one.step == run.step] == list(range(1, run.attempt + 1))
        assert all("tried" not in one.error for one in attempts if one.result == StepResult.RETRIED)
        ends = [(one.ended_at or NOW, later.started_at) for one, later in pairwise(attempts)]
        assert all(ended <= began for ended, began in ends)
    assert told > 100
