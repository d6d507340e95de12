"""Reports are run, paused, resumed and backfilled, and their crons are checked."""

from __future__ import annotations

from datetime import datetime
from html import unescape
from http import HTTPStatus

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from report_orchestrator.admin.actions import report_actions
from report_orchestrator.models import ReportRun, ScheduleState
from report_orchestrator.services.scheduling.pausing import pause, pause_all, resume
from report_orchestrator.testing import FakePorts, make_runtime
from tests.support.admin_actions import (
    REASON,
    ROW_ACTIONS,
    RUN_ACTION_NAMES,
    confirmation,
    everything,
    fresh,
    row_for,
    url_of,
)
from tests.support.admin_pages import make_schedule, text_of, words_of
from tests.support.dashboard import SignIn

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestReports:
    def test_a_manual_run_is_for_the_requested_date(self, boss: Client) -> None:
        schedule = row_for("run")

        boss.post(url_of("run"), confirmation("run", schedule, run_date="2026-06-30"))

        run = ReportRun.objects.get()
        user = User.objects.latest("pk")
        actor = f"{user.username} (user {user.pk})"
        assert (run.trigger, str(run.run_date), run.triggered_by) == ("manual", "2026-06-30", actor)

    @pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
    def test_a_run_for_a_date_that_nobody_can_have_meant_is_not_opened(self, boss: Client, day: str) -> None:
        response = boss.post(url_of("run"), confirmation("run", row_for("run"), run_date=day))

        assert response.status_code == HTTPStatus.BAD_REQUEST
        assert "This day is more than 10 years away. Check the year." in response.content.decode()
        assert ReportRun.objects.count() == 0

    def test_a_confirmation_sent_twice_opens_one_run_and_a_second_one_another(self, boss: Client) -> None:
        schedule = row_for("run")
        form = confirmation("run", schedule)

        boss.post(url_of("run"), form)
        page_text = words_of(boss.post(url_of("run"), form, follow=True))
        assert ReportRun.objects.count() == 1
        assert "already exists. No other run was created." in page_text

        boss.post(url_of("run"), confirmation("run", schedule))
        assert ReportRun.objects.count() == 2

    def test_a_run_of_an_invalid_report_says_why_and_what_to_do(self, boss: Client) -> None:
        problem = "The report has no event group. Choose one in the project."
        schedule = make_schedule(
            report_model="fake.Report", state=ScheduleState.QUARANTINED, problem_code="no_event_group", problem=problem
        )

        text = unescape(words_of(boss.get(url_of("run") + f"?ids={schedule.pk}")))

        assert "has an invalid definition (no event group), so this run may fail. Correct the report" in text
        assert problem in text

    @pytest.mark.parametrize(
        ("state", "message"),
        [
            (ScheduleState.DISABLED, "The report is disabled in the project. Enable it there first."),
            (ScheduleState.REMOVED, "The report is no longer in the project."),
        ],
    )
    def test_what_may_not_run_is_left_alone(self, boss: Client, state: ScheduleState, message: str) -> None:
        schedule = make_schedule(state=state)

        page_text = words_of(boss.get(url_of("run") + f"?ids={schedule.pk}"))

        assert "Nothing to do" in page_text
        assert message in page_text
        assert "Run 0" not in page_text

    @pytest.mark.parametrize("action", sorted(ROW_ACTIONS.keys() - RUN_ACTION_NAMES))
    def test_a_report_of_a_former_model_is_left_alone_and_so_is_its_namesake(self, boss: Client, action: str) -> None:
        namesake = row_for(action)
        former = make_schedule(
            report_model="old.Report",
            report_key=namesake.report_key,
            paused_at=namesake.paused_at,
            next_run_at=namesake.next_run_at,
        )
        before = everything()
        page = text_of(boss.get(reverse("admin:report_orchestrator_reportschedule_change", args=[former.pk])))

        page_text = words_of(boss.get(url_of(action) + f"?ids={former.pk}"))
        page_text = words_of(boss.post(url_of(action), confirmation(action, former), follow=True))

        why = "The report belongs to “old.Report”, which the setting REPORT_MODEL no longer names."
        assert url_of(action) not in page
        assert why in page_text
        assert f"1 skipped: {why}" in page_text
        assert everything() == before

    def test_pausing_and_resuming_say_who_and_why(self, boss: Client) -> None:
        schedule = row_for("pause")

        boss.post(url_of("pause"), confirmation("pause", schedule))
        assert (fresh(schedule).pause_reason, fresh(schedule).next_run_at) == (REASON, None)
        page_text = words_of(boss.get(url_of("resume") + f"?ids={schedule.pk}"))
        user = User.objects.latest("pk")
        assert f"was paused by {user.username} (user {user.pk}): {REASON}" in page_text

        boss.post(url_of("resume"), confirmation("resume", fresh(schedule)))
        assert fresh(schedule).paused_at is None

    def test_resuming_one_report_says_that_all_are_paused(self, boss: Client, outside: FakePorts) -> None:
        address = url_of("resume") + f"?ids={row_for('resume').pk}"
        message = "All reports are paused too: no scheduled runs are created until that pause ends."
        assert message not in words_of(boss.get(address))

        pause_all(actor="ann", reason="audit", runtime=make_runtime(outside.ports))

        assert message in words_of(boss.get(address))

    def test_the_pause_of_another_is_not_lifted_by_who_saw_an_earlier_one(
        self, boss: Client, outside: FakePorts
    ) -> None:
        schedule = row_for("resume")
        form = confirmation("resume", schedule)
        resume([schedule.report_key], actor="ann", runtime=make_runtime(outside.ports))
        outside.clock.advance(seconds=1)
        pause([schedule.report_key], actor="ben", reason="legal hold", runtime=make_runtime(outside.ports))
        before = everything()

        page_text = words_of(boss.post(url_of("resume"), form, follow=True))

        assert "was resumed or paused again since you opened this page. Nothing was changed." in page_text
        assert everything() == before

    def test_a_backfill_shows_its_times_before_it_opens_them(self, boss: Client) -> None:
        schedule = row_for("backfill")
        form = confirmation("backfill", schedule) | {"previewed": ""}

        page_text = words_of(boss.post(url_of("backfill"), form))

        zone = f"{datetime(2026, 6, 1, tzinfo=timezone.get_default_timezone()):%Z}"
        assert f"2 times, from 2026-06-01 06:00 {zone} to 2026-06-02 06:00 {zone}" in page_text
        assert ReportRun.objects.count() == 0

        boss.post(url_of("backfill"), confirmation("backfill", schedule))
        boss.post(url_of("backfill"), confirmation("backfill", schedule))
        assert ReportRun.objects.filter(trigger="backfill").count() == 2

    def test_a_backfill_says_how_many_runs_it_opens_in_all_and_takes_few_reports(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        schedules = [row_for("backfill") for _ in range(3)]
        chosen = ",".join(str(row.pk) for row in schedules)
        monkeypatch.setattr(report_actions.Backfill, "at_most", 2)

        page_text = words_of(boss.get(url_of("backfill") + f"?ids={chosen}"))
        shown = words_of(boss.post(url_of("backfill"), confirmation("backfill", *schedules) | {"previewed": ""}))

        assert "Only the first 2 are included." in page_text
        assert "This creates 4 runs in total." in shown

    @pytest.mark.parametrize(
        ("since", "until"),
        [
            ("2026-06-02", "2026-06-01"),
            ("2020-01-01", "2026-01-01"),
            ("", "2026-01-01"),
            ("0001-01-01", "0001-01-02"),
            ("9999-12-30", "9999-12-31"),
        ],
    )
    def test_days_that_make_no_sense_open_nothing(self, boss: Client, since: str, until: str) -> None:
        schedule = row_for("backfill")
        form = confirmation("backfill", schedule, since=since, until=until, previewed=f"{since}/{until}")

        assert boss.post(url_of("backfill"), form).status_code == HTTPStatus.BAD_REQUEST
        assert ReportRun.objects.count() == 0

    def test_the_check_shows_what_crons_mean_and_what_is_wrong(self, boss: Client) -> None:
        good, bad = make_schedule(cron="30 2 * * MON"), make_schedule(cron="99 * * * *")
        address = reverse("admin:report_orchestrator_reportschedule_check_cron")

        page_text = words_of(boss.get(f"{address}?ids={good.pk},{bad.pk}"))

        assert "At 02:30, only on Monday" in page_text
        assert "its minute, 99, is above 59" in page_text
        assert page_text.count("UTC offset From now") == 1
        assert len(boss.get(f"{address}?ids={good.pk}").context["checks"][0].times) == 10

    def test_another_cron_can_be_tried(self, boss: Client) -> None:
        schedule = make_schedule(cron="30 2 * * MON", timezone="Asia/Tokyo")
        address = reverse("admin:report_orchestrator_reportschedule_check_cron")

        tried, own = boss.get(address, {"ids": str(schedule.pk), "cron": "0 5 * * *"}).context["checks"]
        wrong = words_of(boss.get(address, {"ids": str(schedule.pk), "cron": "0 25 * * *"}))

        assert (tried.cron, own.cron) == ("0 5 * * *", "30 2 * * MON")
        assert {row["local"][11:] for row in tried.times} == {"05:00"}
        assert {row["offset"] for row in tried.times} == {"JST (UTC+09:00)"}
        assert "its hour, 25, is above 23" in wrong
        assert fresh(schedule).cron == "30 2 * * MON"

    def test_a_backfill_tells_where_it_is_cut(self, boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(report_actions, "BACKFILLED_AT_MOST", 1)
        schedule = row_for("backfill")

        page_text = words_of(boss.post(url_of("backfill"), confirmation("backfill", schedule) | {"previewed": ""}))

        zone = f"{datetime(2026, 6, 1, tzinfo=timezone.get_default_timezone()):%Z}"
        first, rest = f"2026-06-01 06:00 {zone}", f"2026-06-02 06:00 {zone}"
        assert f"the first 1 of 2 times, from {first} to {first}. The rest, from {rest} on, is left out" in page_text

        monkeypatch.setattr(report_actions, "COUNTED_AT_MOST", 2)
        page_text = words_of(boss.post(url_of("backfill"), confirmation("backfill", schedule) | {"previewed": ""}))
        assert "the first 1 of 2+ times" in page_text

    def test_who_opens_runs_is_led_to_them(self, boss: Client) -> None:
        schedule = row_for("backfill")
        page = boss.post(url_of("backfill"), confirmation("backfill", schedule), follow=True)
        [message] = page.context["messages"]
        assert words_of(page).count(f"2 runs opened for {schedule}. Watch them") == 1
        runs = boss.get(message.message.split('"')[1].replace("&amp;", "&")).context["cl"].queryset
        assert set(runs) == set(ReportRun.objects.filter(trigger="backfill"))

        page = boss.post(url_of("run"), confirmation("run", schedule), follow=True)
        [message] = page.context["messages"]
        run = ReportRun.objects.get(trigger="manual")
        assert message.message.split('"')[1] == reverse("admin:report_orchestrator_reportrun_change", args=[run.pk])
        assert f"1 run opened for {schedule}. Watch it" in words_of(page)

    def test_who_may_not_view_runs_gets_no_link_to_them(self, outside: FakePorts, sign_in: SignIn) -> None:
        client, schedule = sign_in("view_reportschedule", "run_reports"), row_for("run")
        page = client.post(url_of("run"), confirmation("run", schedule), follow=True)
        assert [str(message) for message in page.context["messages"]] == [f"1 run opened for {schedule}."]
