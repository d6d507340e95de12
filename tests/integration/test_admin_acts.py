"""Whoever acts in the admin has the permission for it, is asked first, gives a reason, and is recorded."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from report_orchestrator.admin import acting, removals, working
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import (
    Intervention,
    Mark,
    ReportChange,
    ReportRun,
    ReportSchedule,
    ScheduleState,
)
from report_orchestrator.services.discovery import DISCOVERY_MARK, discover
from report_orchestrator.services.intervention import cancel_run, retry_run
from report_orchestrator.testing import FakePorts, geo_report
from tests.integration.test_admin import make_run, make_schedule, numbers, text_of, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

VIEW = ("view_reportrun", "view_reportschedule", "view_reportchange")
PERMISSIONS = {
    "retry": "retry_runs",
    "release": "retry_runs",
    "cancel": "cancel_runs",
    "run": "run_reports",
    "pause": "pause_reports",
    "resume": "pause_reports",
    "backfill": "backfill_reports",
    "accept": "accept_removals",
}
ACTS = sorted(PERMISSIONS)
RUN_ACTS = {"retry", "release", "cancel"}
REASON = "Fireant was restarted"


@pytest.fixture
def outside(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> FakePorts:
    """The admin's services speak to fakes, at the time that it is."""
    fakes.clock.now = timezone.now()
    ports = replace(fakes.ports, reports=fakes.reports)
    for module in (acting, removals):
        monkeypatch.setattr(module, "get_ports", lambda: ports)
    return fakes


@pytest.fixture
def sign_in(client: Client) -> Callable[..., Client]:
    def as_staff(*codenames: str, **given: Any) -> Client:
        user = User.objects.create_user(f"person {next(numbers)}", **{"is_staff": True} | given)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return as_staff


@pytest.fixture
def boss(sign_in: Callable[..., Client], outside: FakePorts) -> Client:
    return sign_in(is_superuser=True)


def fresh(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


def url_of(act: str) -> str:
    if act == "accept":
        return reverse("admin:report_orchestrator_reportchange_removals")
    model = "reportrun" if act in RUN_ACTS else "reportschedule"
    return reverse(f"admin:report_orchestrator_{model}_act", args=[act])


def row_for(act: str) -> Any:
    """A row to which the act can be done."""
    match act:
        case "retry":
            return make_run(status=Status.FAILED, step=Step.RESULTS_STORAGE.value, error_code="storage")
        case "release":
            return make_run(
                status=Status.FAILED,
                step=Step.EXTERNAL_JOB_SUBMISSION.value,
                error_code="submission_unknown",
            )
        case "cancel":
            return make_run(status=Status.DEFERRED)
        case "resume":
            return make_schedule(report_model="fake.Report", paused_at=timezone.now(), next_run_at=None)
        case _:
            return make_schedule(report_model="fake.Report")


def confirmation(act: str, *rows: Any, **changed: Any) -> dict[str, Any]:
    """What the confirmation's form sends."""
    form = {
        "rows": ",".join(f"{row.pk}:{getattr(row, 'version', 0)}" for row in rows),
        "reason": REASON,
    }
    match act:
        case "run":
            form["token"] = str(uuid.uuid4())
        case "backfill":
            form |= {"since": "2026-06-01", "until": "2026-06-02", "looked": "2026-06-01/2026-06-02"}
    return form | changed


def everything() -> dict[str, Any]:
    """All that an act could change."""
    models = (ReportRun, ReportSchedule, Intervention, ReportChange, LogEntry)
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def hold_removals(fakes: FakePorts) -> None:
    """Six of six reports vanish, and discovery holds it."""
    for number in range(6):
        fakes.reports.add(geo_report(str(number)))
    discover(ports=fakes.ports)
    fakes.reports.found.clear()
    assert len(discover(ports=fakes.ports).held_removals) == 6


def prepared(act: str, fakes: FakePorts) -> tuple[str, dict[str, Any]]:
    """An act that could be done, and the form that does it."""
    if act == "accept":
        hold_removals(fakes)
        return "", confirmation(act) | {"rows": Mark.objects.get(name=DISCOVERY_MARK).detail["held_digest"]}
    row = row_for(act)
    return f"?ids={row.pk}", confirmation(act, row)


class TestWhoMayAct:
    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("method", ["get", "post"])
    @pytest.mark.parametrize("staff", [None, False])
    def test_strangers_are_sent_to_the_login(
        self,
        client: Client,
        sign_in: Callable[..., Client],
        outside: FakePorts,
        act: str,
        method: str,
        staff: bool | None,
    ) -> None:
        query, form = prepared(act, outside)
        if staff is not None:
            sign_in(*PERMISSIONS.values(), *VIEW, is_staff=False)
        before = everything()

        response = getattr(client, method)(url_of(act) + query, form)

        assert response.status_code == HTTPStatus.FOUND
        assert response.headers["Location"].startswith(reverse("admin:login"))
        assert everything() == before

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("method", ["get", "post"])
    @pytest.mark.parametrize("having", ["nothing", "view only", "all but the act's own", "the act's alone"])
    def test_staff_without_both_permissions_are_refused(
        self, sign_in: Callable[..., Client], outside: FakePorts, act: str, method: str, having: str
    ) -> None:
        query, form = prepared(act, outside)
        others = [name for name in PERMISSIONS.values() if name != PERMISSIONS[act]]
        changing = [
            f"{verb}_{model}"
            for verb in ("add", "change", "delete")
            for model in ("reportrun", "reportschedule")
        ]
        granted: dict[str, list[str]] = {
            "nothing": [],
            "view only": [*VIEW],
            "all but the act's own": [*VIEW, *others, *changing],
            "the act's alone": [PERMISSIONS[act]],
        }
        client = sign_in(*granted[having])
        before = everything()

        response = getattr(client, method)(url_of(act) + query, form)

        assert response.status_code == HTTPStatus.FORBIDDEN
        assert everything() == before

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("superuser", [True, False])
    def test_with_the_permission_a_get_asks_and_changes_nothing(
        self, sign_in: Callable[..., Client], outside: FakePorts, act: str, superuser: bool
    ) -> None:
        query, _form = prepared(act, outside)
        client = sign_in(is_superuser=True) if superuser else sign_in(*VIEW, PERMISSIONS[act])
        before = everything()

        page = text_of(client.get(url_of(act) + query))

        assert '<textarea name="reason"' in page
        assert "csrfmiddlewaretoken" in page
        assert everything() == before

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("superuser", [True, False])
    def test_with_the_permission_a_post_acts_and_is_recorded_twice(
        self, sign_in: Callable[..., Client], outside: FakePorts, act: str, superuser: bool
    ) -> None:
        query, form = prepared(act, outside)
        client = sign_in(is_superuser=True) if superuser else sign_in(*VIEW, PERMISSIONS[act])
        actor = User.objects.latest("pk")

        response = client.post(url_of(act) + query, form)

        assert response.status_code == HTTPStatus.FOUND
        entries = LogEntry.objects.filter(user=actor)
        assert entries
        assert all(REASON in entry.get_change_message() for entry in entries)
        ours = [(made.actor, made.reason) for made in Intervention.objects.all()] or [
            (change.after.get("actor"), change.after.get("reason"))
            for change in ReportChange.objects.filter(source="person")
        ]
        assert set(ours) == {(actor.username, REASON)}

    @pytest.mark.parametrize("act", ACTS)
    def test_a_post_without_csrf_token_is_refused(self, outside: FakePorts, act: str) -> None:
        query, form = prepared(act, outside)
        client = Client(enforce_csrf_checks=True)
        client.force_login(User.objects.create_superuser("strict"))
        before = everything()

        response = client.post(url_of(act) + query, form)

        assert response.status_code == HTTPStatus.FORBIDDEN
        assert everything() == before

    @pytest.mark.parametrize("act", ACTS)
    def test_without_a_reason_nothing_is_done(self, boss: Client, outside: FakePorts, act: str) -> None:
        query, form = prepared(act, outside)
        before = everything()

        response = boss.post(url_of(act) + query, form | {"reason": "  "})

        assert "This field is required." in response.content.decode()
        assert everything() == before

    @pytest.mark.parametrize("page", ["check_cron", "preview"])
    @pytest.mark.parametrize(
        ("codenames", "staff", "status"),
        [
            ((), None, HTTPStatus.FOUND),
            (VIEW, False, HTTPStatus.FOUND),
            ((), True, HTTPStatus.FORBIDDEN),
            (tuple(PERMISSIONS.values()), True, HTTPStatus.FORBIDDEN),
            (VIEW, True, HTTPStatus.OK),
        ],
    )
    def test_pages_of_our_own_need_the_view_permission(
        self,
        client: Client,
        sign_in: Callable[..., Client],
        page: str,
        codenames: tuple[str, ...],
        staff: bool | None,
        status: HTTPStatus,
    ) -> None:
        if staff is not None:
            sign_in(*codenames, is_staff=staff)
        run = make_run(results_path="somewhere")
        addresses = {
            "check_cron": reverse("admin:report_orchestrator_reportschedule_check_cron")
            + f"?ids={run.schedule_id}",
            "preview": reverse("admin:report_orchestrator_reportrun_preview", args=[run.pk]),
        }

        assert client.get(addresses[page]).status_code == status

    def test_buttons_and_list_actions_are_those_that_one_may_press(
        self, sign_in: Callable[..., Client], outside: FakePorts
    ) -> None:
        run = row_for("retry")
        client = sign_in(*VIEW, "retry_runs")

        page = text_of(client.get(reverse("admin:report_orchestrator_reportrun_change", args=[run.pk])))
        listed = text_of(client.get(reverse("admin:report_orchestrator_reportrun_changelist")))

        assert url_of("retry") in page
        assert url_of("cancel") not in page
        assert 'value="retry_selected"' in listed
        assert 'value="cancel_selected"' not in listed

    def test_there_is_no_other_act(self, boss: Client) -> None:
        assert (
            boss.get("/admin/report_orchestrator/reportrun/act/delete/").status_code == HTTPStatus.NOT_FOUND
        )


class TestRuns:
    def test_a_retry_goes_on_from_the_failed_step(self, boss: Client) -> None:
        run = row_for("retry")

        response = boss.post(url_of("retry"), confirmation("retry", run), follow=True)

        assert (fresh(run).status, fresh(run).step) == (Status.QUEUED, Step.RESULTS_STORAGE)
        assert "Runs retried: 1." in words_of(response)

    def test_a_release_has_the_submission_remembered_as_possibly_sent_twice(self, boss: Client) -> None:
        run = row_for("release")
        page = text_of(boss.get(reverse("admin:report_orchestrator_reportrun_change", args=[run.pk])))
        assert url_of("release") in page
        assert url_of("retry") not in page

        boss.post(url_of("release"), confirmation("release", run))

        assert fresh(run).possibly_submitted_twice is True

    @pytest.mark.parametrize("act", sorted(RUN_ACTS))
    def test_sent_twice_it_is_done_once(self, boss: Client, act: str) -> None:
        run = row_for(act)
        form = confirmation(act, run)

        boss.post(url_of(act), form)
        after_first = everything()
        said = words_of(boss.post(url_of(act), form, follow=True))

        assert everything() == after_first
        assert "Not done to 1:" in said

    def test_a_run_that_failed_again_since_it_was_seen_is_left_alone(
        self, boss: Client, outside: FakePorts
    ) -> None:
        run = row_for("retry")
        form = confirmation("retry", run)
        retried = retry_run(run.pk, actor="somebody faster", ports=outside.ports)
        retried.write(
            status=Status.FAILED.value,
            wake_at=None,
            ended_at=outside.clock.now,
            error_code="storage",
            error="x",
        )
        before = everything()

        said = words_of(boss.post(url_of("retry"), form, follow=True))

        assert "has moved on since you looked at it: it is failed now. Nothing was done." in said
        assert everything() == before

    def test_a_run_that_ended_between_question_and_answer_is_left_alone(
        self, boss: Client, outside: FakePorts
    ) -> None:
        run = row_for("cancel")
        form = confirmation("cancel", run)
        cancel_run(run.pk, actor="somebody faster", ports=outside.ports)
        before = everything()

        said = words_of(boss.post(url_of("cancel"), form, follow=True))

        assert "Not done to 1: The run has ended already: “canceled”." in said
        assert everything() == before

    def test_a_selection_says_what_happens_to_how_many_and_what_is_left_alone(self, boss: Client) -> None:
        failed = [row_for("retry") for _ in range(12)]
        succeeded = make_run()
        chosen = {"action": "retry_selected", "_selected_action": [run.pk for run in [*failed, succeeded]]}
        before = everything()

        response = boss.post(reverse("admin:report_orchestrator_reportrun_changelist"), chosen)

        said = words_of(response)
        assert "Retry 12 runs?" in said
        assert "and 2 more" in said
        assert "1 : The run is “succeeded”. Only runs that failed or timed out can be retried." in said
        assert everything() == before

        form = re.search(r'name="rows" value="([^"]*)"', text_of(response))
        assert form is not None
        boss.post(url_of("retry"), {"rows": form[1], "reason": REASON})
        assert ReportRun.objects.filter(status=Status.QUEUED).count() == 12
        assert Intervention.objects.count() == LogEntry.objects.count() == 12

    def test_all_rows_of_a_list_are_taken_up_to_the_bound(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(acting, "AT_MOST", 3)
        runs = [row_for("cancel") for _ in range(5)]
        chosen = {"action": "cancel_selected", "_selected_action": [runs[0].pk], "select_across": "1"}

        said = words_of(boss.post(reverse("admin:report_orchestrator_reportrun_changelist"), chosen))

        assert "Only the first 3 are taken. Do it again for the others." in said
        assert "Cancel 3 runs?" in said

    def test_what_the_time_did_not_suffice_for_is_asked_about_again(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(working, "SECONDS", 0.0)
        monkeypatch.setattr(working, "BATCH", 2)
        runs = [row_for("cancel") for _ in range(5)]

        response = boss.post(url_of("cancel"), confirmation("cancel", *runs))

        said = words_of(response)
        assert "Runs canceled: 2." in said
        assert "3 are still to be done. Confirm once more to go on." in said
        assert "Cancel 3 runs?" in said
        assert REASON in text_of(response)
        assert ReportRun.objects.filter(status=Status.CANCELED).count() == 2

    @pytest.mark.parametrize("runs", [1, 200])
    def test_a_confirmation_takes_few_queries_however_many_it_is_about(
        self, boss: Client, django_assert_max_num_queries: Any, runs: int
    ) -> None:
        for _ in range(runs):
            row_for("retry")
        address = url_of("retry") + "?error_code=storage&step=results_storage"

        with django_assert_max_num_queries(12):
            assert boss.get(address).status_code == HTTPStatus.OK

    def test_all_runs_of_one_cause_are_retried_together(self, boss: Client) -> None:
        alike = [row_for("retry") for _ in range(2)]
        make_run(status=Status.FAILED, step=Step.RESULTS_STORAGE.value, error_code="other")
        make_run(status=Status.FAILED, step=Step.REPORT_DATA.value, error_code="storage")
        long_ago = row_for("retry")
        ReportRun.objects.exclude(pk=long_ago.pk).filter(ended_at__isnull=False).update(
            ended_at=timezone.now()
        )

        page = text_of(boss.get(url_of("retry") + "?error_code=storage&step=results_storage&ended=day"))

        assert "Retry 2 runs?" in page
        assert f'name="rows" value="{",".join(f"{run.pk}:0" for run in alike)}"' in page

    @pytest.mark.parametrize("rows", ["", "x", "1:", ":1", "²:1", "9" * 30 + ":1", "999999:0"])
    def test_rows_that_are_none_have_nothing_done(self, boss: Client, rows: str) -> None:
        make_run()
        before = everything()

        response = boss.post(url_of("retry"), {"rows": rows, "reason": REASON}, follow=True)

        assert "Nothing was" in words_of(response)
        assert everything() == before

    def test_one_is_led_back_to_where_one_came_from_and_nowhere_else(self, boss: Client) -> None:
        for back, led in (
            ("/admin/report_orchestrator/", "/admin/report_orchestrator/"),
            ("https://elsewhere.example/", None),
            ("//elsewhere.example/", None),
        ):
            run = row_for("cancel")
            page = reverse("admin:report_orchestrator_reportrun_change", args=[run.pk])

            response = boss.post(url_of("cancel"), confirmation("cancel", run, back=back))

            assert response.headers["Location"] == (led or page)


class TestReports:
    def test_a_run_by_hand_is_for_the_asked_date(self, boss: Client) -> None:
        schedule = row_for("run")

        boss.post(url_of("run"), confirmation("run", schedule, run_date="2026-06-30"))

        run = ReportRun.objects.get()
        actor = User.objects.latest("pk").username
        assert (run.trigger, str(run.run_date), run.triggered_by) == ("manual", "2026-06-30", actor)

    def test_a_confirmation_sent_twice_opens_one_run_and_a_second_one_another(self, boss: Client) -> None:
        schedule = row_for("run")
        form = confirmation("run", schedule)

        boss.post(url_of("run"), form)
        said = words_of(boss.post(url_of("run"), form, follow=True))
        assert ReportRun.objects.count() == 1
        assert "is there already. Nothing more was opened." in said

        boss.post(url_of("run"), confirmation("run", schedule))
        assert ReportRun.objects.count() == 2

    @pytest.mark.parametrize(
        ("state", "told"),
        [
            (ScheduleState.DISABLED, "The report is disabled in the project. Enable it there first."),
            (ScheduleState.REMOVED, "The report is no longer in the project."),
        ],
    )
    def test_what_may_not_run_is_left_alone(self, boss: Client, state: ScheduleState, told: str) -> None:
        schedule = make_schedule(state=state)

        said = words_of(boss.get(url_of("run") + f"?ids={schedule.pk}"))

        assert "Nothing to do" in said
        assert told in said
        assert "Yes: Run now" not in said

    def test_pausing_and_resuming_say_who_and_why(self, boss: Client) -> None:
        schedule = row_for("pause")

        boss.post(url_of("pause"), confirmation("pause", schedule))
        assert (fresh(schedule).pause_reason, fresh(schedule).next_run_at) == (REASON, None)
        asked = words_of(boss.get(url_of("resume") + f"?ids={schedule.pk}"))
        assert f"was paused by {User.objects.latest('pk').username}: {REASON}" in asked

        boss.post(url_of("resume"), confirmation("resume", schedule))
        assert fresh(schedule).paused_at is None

    def test_a_backfill_shows_its_times_before_it_opens_them(self, boss: Client) -> None:
        schedule = row_for("backfill")
        form = confirmation("backfill", schedule) | {"looked": ""}

        said = words_of(boss.post(url_of("backfill"), form))

        assert "2 times, from 2026-06-01 06:00 UTC to 2026-06-02 06:00 UTC" in said
        assert ReportRun.objects.count() == 0

        boss.post(url_of("backfill"), confirmation("backfill", schedule))
        boss.post(url_of("backfill"), confirmation("backfill", schedule))
        assert ReportRun.objects.filter(trigger="backfill").count() == 2

    @pytest.mark.parametrize(
        ("since", "until"), [("2026-06-02", "2026-06-01"), ("2020-01-01", "2026-01-01"), ("", "2026-01-01")]
    )
    def test_days_that_make_no_sense_open_nothing(self, boss: Client, since: str, until: str) -> None:
        schedule = row_for("backfill")
        form = confirmation("backfill", schedule, since=since, until=until, looked=f"{since}/{until}")

        assert boss.post(url_of("backfill"), form).status_code == HTTPStatus.BAD_REQUEST
        assert ReportRun.objects.count() == 0

    def test_the_check_tells_what_crons_mean_and_what_is_wrong(self, boss: Client) -> None:
        good, bad = make_schedule(cron="30 2 * * MON"), make_schedule(cron="99 * * * *")
        address = reverse("admin:report_orchestrator_reportschedule_check_cron")

        said = words_of(boss.get(f"{address}?ids={good.pk},{bad.pk}"))

        assert "At 02:30, only on Monday" in said
        assert "its minute, '99', cannot be read" in said.replace("&#x27;", "'")


class TestRemovals:
    @pytest.fixture
    def digest(self, boss: Client, outside: FakePorts) -> str:
        hold_removals(outside)
        return str(Mark.objects.get(name=DISCOVERY_MARK).detail["held_digest"])

    def test_the_list_of_changes_says_what_is_held_and_what_cannot_run(
        self, boss: Client, digest: str
    ) -> None:
        make_schedule(state=ScheduleState.QUARANTINED, name="Broken", problem="Correct the cron.")

        said = words_of(boss.get(reverse("admin:report_orchestrator_reportchange_changelist")))

        assert "The removals of 6 reports are held" in said
        assert "(Broken) Correct the cron." in said

    def test_accepted_removals_retire_the_reports(self, boss: Client, digest: str) -> None:
        assert "report 5 (" in words_of(boss.get(url_of("accept")))

        boss.post(url_of("accept"), {"rows": digest, "reason": REASON})

        assert ReportSchedule.objects.filter(state=ScheduleState.REMOVED).count() == 6
        assert LogEntry.objects.count() == 6
        assert "No removals are held." in words_of(boss.get(url_of("accept")))

    @pytest.mark.parametrize("seen", ["", "something else"])
    def test_others_than_those_that_were_seen_are_not_removed(
        self, boss: Client, digest: str, seen: str
    ) -> None:
        said = words_of(boss.post(url_of("accept"), {"rows": seen, "reason": REASON}, follow=True))

        assert (
            "Other reports are gone from the project now than those that you saw. None was removed." in said
        )
        assert not ReportSchedule.objects.filter(state=ScheduleState.REMOVED)

    def test_sent_twice_they_are_removed_once(self, boss: Client, digest: str) -> None:
        for _ in range(2):
            boss.post(url_of("accept"), {"rows": digest, "reason": REASON})

        assert ReportChange.objects.filter(kind="removed").count() == 6
        assert LogEntry.objects.count() == 6
