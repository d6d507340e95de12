"""The dashboard agrees with the health check, and shows runs in progress and the hours ahead."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings

from report_orchestrator.admin.dashboard.board import make_board
from report_orchestrator.admin.dashboard.health_cards import health_cards
from report_orchestrator.admin.dashboard.verdict import verdict_text
from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.services.monitoring.dashboard import read_dashboard
from report_orchestrator.services.monitoring.findings import check_health
from report_orchestrator.services.monitoring.forecast import read_forecast
from report_orchestrator.services.monitoring.unfinished_runs import read_latest_activity, read_unfinished_runs
from report_orchestrator.services.upkeep_failures import UpkeepTask, record_failure
from report_orchestrator.testing import FakePorts
from tests.demo.history import fill_history
from tests.support.admin_pages import (
    HOSTILE,
    address,
    make_change,
    make_run,
    make_schedule,
    make_step,
    text_of,
    words_of,
)
from tests.support.dashboard import HOUR, MINUTE, NOW, SignIn, dashboard_address, picture, work_was_done

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestHealthAndDashboardAgree:
    """The dashboard is never green while the product's own health, which a probe asks, is not well."""

    def verdict(self, fakes: FakePorts) -> tuple[set[str], str]:
        settings = get_settings()
        ill = {one.name for one in check_health(runtime=fakes.runtime(settings)) if not one.well}
        reader = Viewer(user=User(is_superuser=True), site_name="admin")
        dashboard = read_dashboard(fakes.clock.now, ZoneInfo("UTC"), settings, report_model=fakes.reports.label)
        shown: dict[str, Any] = make_board(dashboard, reader)
        return ill, shown["verdict"].tone

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
        assert picture(now).snapshot.overdue_since == now - 5 * HOUR

    def test_leases_that_ended_long_ago(self, fakes: FakePorts, now: datetime) -> None:
        make_run(status=Status.RUNNING, wake_at=now - 4 * HOUR)

        assert self.verdict(fakes) == ({"leases"}, "bad")
        assert picture(now).snapshot.lease_expired_since == now - 4 * HOUR

    def test_a_run_that_waits_behind_another_is_no_concern(self, fakes: FakePorts, now: datetime) -> None:
        schedule = make_schedule(next_run_at=now + HOUR)
        make_run(schedule, status=Status.DEFERRED, step="job_completion_status", wake_at=now + MINUTE)
        make_run(schedule, status=Status.QUEUED, wake_at=now - HOUR, in_line=True, started_at=None)

        assert self.verdict(fakes) == (set(), "good")

    def test_runs_that_wait_for_fireant_are_reported_as_fireants(self, fakes: FakePorts, now: datetime) -> None:
        SharedState.objects.create(name=StateName.CIRCUIT, due_at=now + MINUTE, marked_at=now, detail={"failures": 4})
        make_run(status=Status.QUEUED, step="external_job_submission", wake_at=now - HOUR)

        assert self.verdict(fakes)[0] == set()
        assert picture(now).snapshot.overdue_since is None

    def test_reports_that_nobody_opens(self, fakes: FakePorts, now: datetime) -> None:
        make_schedule(next_run_at=now - HOUR, report_model=fakes.reports.label)

        assert self.verdict(fakes) == ({"schedules"}, "bad")

    @pytest.mark.parametrize(("failures", "expected"), [(1, (set(), "warn")), (2, ({"upkeep"}, "bad"))])
    def test_failed_upkeep(
        self, fakes: FakePorts, viewer: Client, now: datetime, failures: int, expected: tuple[set[str], str]
    ) -> None:
        for _ in range(failures):
            record_failure(UpkeepTask.DISCOVERY, ValueError(f"no column {HOSTILE}"), clock=fakes.clock)

        assert self.verdict(fakes) == expected
        page = viewer.get(dashboard_address())
        assert ("failed 2 times in a row: discovery of reports" in text_of(page)) == (failures == 2)
        assert "ValueError: no column" in text_of(page)
        assert HOSTILE not in page.content.decode()

    @pytest.mark.parametrize("silent", ["tick", "bell: report_orchestrator.tasks.tick"])
    def test_silence_is_red_while_all_are_paused_too(self, fakes: FakePorts, now: datetime, silent: str) -> None:
        SharedState.objects.record(StateName.ALL_PAUSED, now=now, detail={"actor": "maria"})
        SharedState.objects.record(silent, now=now - HOUR)

        ill, tone = self.verdict(fakes)

        assert len(ill) == 1
        assert tone == "bad"

    def test_what_a_pause_of_all_holds_back_is_a_warning(self, fakes: FakePorts, viewer: Client, now: datetime) -> None:
        SharedState.objects.record(StateName.ALL_PAUSED, now=now, detail={"actor": "maria"})
        for label in (fakes.reports.label, "api.Report"):
            make_schedule(next_run_at=now - HOUR, report_model=label)

        assert self.verdict(fakes) == (set(), "warn")
        assert verdict_text(picture(now)).startswith("1 report is held back. ")
        page_text = words_of(viewer.get(dashboard_address()))
        assert "1 report is held back by the pause" in page_text
        assert "1 report is late" not in page_text
        assert "held back since" in words_of(viewer.get(address(ReportSchedule, "changelist")))

    def test_a_pause_of_all_makes_no_run_due(self, viewer: Client, fakes: FakePorts, now: datetime) -> None:
        make_schedule(cron="0 0 1 1 *", next_run_at=now + HOUR, report_model="api.Report")
        assert "Next 12 hours 1 run due. " in words_of(viewer.get(dashboard_address()))
        SharedState.objects.record(StateName.ALL_PAUSED, now=now, detail={"actor": "maria"})
        words = words_of(viewer.get(dashboard_address()))
        assert "Next 12 hours 1 run due if scheduling resumes. " in words
        assert "run due. " not in words

    def test_a_cluster_that_was_stopped_is_shown_as_stopped(self, fakes: FakePorts, now: datetime) -> None:
        SharedState.objects.record("cluster: one", now=now, detail={"workers": 0, "ended": True})
        cards = {card.name: card for card in health_cards(picture(now + MINUTE / 12))}
        for name in ("Workers", "Scheduler"):
            assert (cards[name].state, cards[name].advice) == ("stopped", "Start it with: python manage.py qcluster")
        assert self.verdict(fakes) == ({"worker", "scheduler"}, "bad")

    def test_a_pause_of_all_keeps_the_schedulers_pulse(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        work_was_done(now)
        SharedState.objects.record(StateName.ALL_PAUSED, now=now, detail={"actor": "maria"})

        page_text = words_of(viewer.get(dashboard_address()))

        assert "Scheduler ! paused all reports are paused; last heartbeat" in page_text


class TestHealth:
    def test_before_the_first_cluster_the_dashboard_says_how_to_start_one(self, viewer: Client) -> None:
        page_text = words_of(viewer.get(dashboard_address()))

        assert "Workers ✗ never active no heartbeat yet Start it with: python manage.py qcluster" in page_text

    def test_a_fireant_that_was_never_asked_is_not_said_to_answer(self, viewer: Client) -> None:
        never = words_of(viewer.get(dashboard_address()))
        make_run(status=Status.DEFERRED, step="job_completion_status")
        page_text = words_of(viewer.get(dashboard_address()))

        assert "Fireant ? unknown no requests yet" in never
        assert "Fireant ✓ available no failures" in page_text

    def test_fireant_is_available_since_its_last_answer(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        make_run(ended_at=now - HOUR)
        SharedState.objects.record(StateName.POLLS_DONE, now=now - 5 * MINUTE)

        assert "Fireant ✓ available answered 5 min ago" in words_of(viewer.get(dashboard_address()))

    def test_a_page_that_is_not_green_does_not_say_nothing(self, viewer: Client) -> None:
        page_text = words_of(viewer.get(dashboard_address()))

        assert "No runs failed in the last 24 hours, and no reports are late. See the health cards above." in page_text
        assert "Nothing. No runs failed" not in page_text

    def test_reports_that_are_paused_one_by_one_are_counted(self, viewer: Client) -> None:
        work_was_done(datetime.now(UTC))
        make_schedule(paused_at=NOW, paused_by="ada", next_run_at=None)

        page = text_of(viewer.get(dashboard_address()))

        assert "1 report is paused." in page
        assert "condition=paused" in page
        assert "ro-verdict-good" in page
        assert "or paused" not in page

    def test_an_open_circuit_shows_when_fireant_is_tried_again(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        SharedState.objects.create(
            name=StateName.CIRCUIT, due_at=now + 9.5 * MINUTE, marked_at=now, detail={"failures": 4, "probes": 1}
        )

        assert "considered down 4 failures in a row; next attempt in 9 min" in words_of(viewer.get(dashboard_address()))

    def test_a_lake_that_refuses_is_reported_until_it_takes_a_result_again(self, viewer: Client) -> None:
        now = datetime.now(UTC)
        make_run(status=Status.FAILED, step="results_storage", error_code="onelake_403", ended_at=now - HOUR)
        refused = words_of(viewer.get(dashboard_address()))
        make_run(ended_at=now - MINUTE)
        taken = words_of(viewer.get(dashboard_address()))

        assert "Lake ✗ rejecting results 1 not stored; no result stored yet" in refused
        assert "Lake ✓ available last result stored 1 min ago" in taken

    def test_settings_that_cannot_be_used_are_reported_instead_of_an_error(self, viewer: Client, settings: Any) -> None:
        settings.REPORT_ORCHESTRATOR = {**settings.REPORT_ORCHESTRATOR, "MAX_RETRIES": "many"}

        page_text = words_of(viewer.get(dashboard_address()))

        assert "MAX_RETRIES is invalid: it must be a number." in page_text


class TestUnderWay:
    def test_runs_are_counted_where_they_stand(self) -> None:
        make_run(status=Status.DEFERRED, step="job_completion_status", wake_at=NOW)
        make_run(status=Status.RUNNING, step="external_job_submission")
        make_run(status=Status.QUEUED, wake_at=NOW - HOUR)
        make_run(status=Status.UP_FOR_RETRY, step="results_storage")
        make_run()

        unfinished = read_unfinished_runs()

        assert sum(group.count for group in unfinished.groups) == 4
        assert unfinished.jobs_in_fireant == 2
        assert unfinished.storage_retries == 1

    def test_submissions_of_the_last_minute_are_counted_where_they_are_limited(self, settings_of: Any) -> None:
        step = Step.EXTERNAL_JOB_SUBMISSION.value
        for ago in (10, 50, 70):
            make_step(make_run(step=step), started_at=NOW - timedelta(seconds=ago))

        limited = read_latest_activity(NOW, settings_of.make(FIREANT_MAX_SUBMITS_PER_MINUTE=5))

        assert limited.submits_last_minute == 2
        assert read_latest_activity(NOW, settings_of.make()).submits_last_minute is None


class TestTheHoursAhead:
    def ahead(self) -> Any:
        return read_forecast(NOW, ZoneInfo("UTC"), get_settings(), report_model="api.Report")

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


class TestAnywhere:
    @pytest.fixture
    def everything(self) -> ReportSchedule:
        now = datetime.now(UTC)
        work_was_done(now)
        schedule = make_schedule(name=HOSTILE, cron="*/7 * * * *", next_run_at=now - HOUR, paused_by=HOSTILE)
        make_run(schedule, status=Status.FAILED, error=HOSTILE, error_code=HOSTILE[:30], ended_at=now - MINUTE)
        make_run(schedule, scheduled_for=now - HOUR)
        make_change(schedule, before={"name": HOSTILE})
        return schedule

    def test_pages_obey_a_strict_content_security_policy_and_escape(
        self, viewer: Client, everything: ReportSchedule
    ) -> None:
        for page_address in (
            dashboard_address(),
            address(ReportSchedule, "changelist"),
            address(ReportSchedule, "change", everything.pk),
        ):
            page = text_of(viewer.get(page_address))
            assert re.findall(r"<[^>]*\sstyle\s*=", page) == []
            assert re.findall(r"<[^>]*\son[a-z]+\s*=", page) == []
            assert re.findall(r"<style|<script(?![^>]*\ssrc=)[^>]*>", page) == []
            assert "<script>alert" not in page
            assert 'href="/static/report_orchestrator/dashboard.css"' in page

    def test_ids_are_there_once(self, viewer: Client, everything: ReportSchedule) -> None:
        for page_address in (dashboard_address(), address(ReportSchedule, "change", everything.pk)):
            ids = re.findall(r'\sid="([^"]+)"', text_of(viewer.get(page_address)))
            assert [one for one in ids if one.startswith("ro-") and ids.count(one) > 1] == []

    @override_settings(ROOT_URLCONF="tests.support.other_admin_urls")
    def test_another_adminsite_at_another_address_has_it_all(self, sign_in: SignIn, everything: ReportSchedule) -> None:
        client = sign_in(is_superuser=True)
        base = "/back/office/report_orchestrator/"

        page = text_of(client.get(base))

        assert "ro-board" in page
        assert f"{base}reportschedule/?condition=late" in page
        text_of(client.get(f"{base}reportschedule/"))
        text_of(client.get(f"{base}reportschedule/{everything.pk}/change/"))

    def test_another_language_leaves_nothing_unformatted(self, viewer: Client, everything: ReportSchedule) -> None:
        for page_address in (dashboard_address(), address(ReportSchedule, "change", everything.pk)):
            page = text_of(viewer.get(page_address, headers={"accept-language": "de"}))
            assert re.findall(r"\{\w+\}", page) == []


def test_the_demos_past_is_lively_and_the_same_each_time() -> None:
    make_schedule(cron="*/10 * * * *")
    make_schedule(cron="0 6 * * *", timezone="Europe/Amsterdam")
    make_schedule(cron="0 7 * * 1-5")
    make_schedule(cron="0 * * * *")
    make_schedule(cron="*/30 * * * *")

    made = fill_history(weeks=6, now=NOW)

    statuses = set(ReportRun.objects.values_list("status", flat=True))
    assert made == ReportRun.objects.count() > 1000
    assert statuses == {"succeeded", "failed", "skipped"}
    assert not ReportRun.objects.filter(ended_at__gt=NOW).exists()
    assert_attempts_are_plausible()


def assert_attempts_are_plausible() -> None:
    """Transient failures were tried again after a wait, and say how often; permanent ones were tried once."""
    failed = ReportRun.objects.filter(status=Status.FAILED)
    tries = {(run.error_code, run.attempt, "tried 4 times" in run.error) for run in failed}
    assert tries == {("fireant_503", 4, True), ("fireant_job_failed", 1, False), ("no_result", 1, False)}
    attempts_seen = 0
    for run in ReportRun.objects.filter(steps__isnull=False).distinct():
        attempts = list(run.steps.order_by("pk"))
        attempts_seen += len(attempts)
        assert attempts[-1].error == (run.error if run.status == Status.FAILED else "")
        assert [one.attempt for one in attempts if one.step == run.step] == list(range(1, run.attempt + 1))
        assert all("tried" not in one.error for one in attempts if one.result == StepResult.RETRIED)
        ends = [(one.ended_at or NOW, later.started_at) for one, later in pairwise(attempts)]
        assert all(ended <= began for ended, began in ends)
    assert attempts_seen > 100
