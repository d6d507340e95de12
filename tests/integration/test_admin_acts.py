"""Whoever acts in the admin has the permission for it, is asked first, gives a reason, and is recorded."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connections, router
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.test import Client
from django.urls import path, reverse, reverse_lazy
from django.utils import timezone

from report_orchestrator.admin import (
    ReportRunAdmin,
    ReportScheduleAdmin,
    acting,
    pause_of_all,
    removals,
    run_actions,
    run_acts,
    schedule_acts,
    working,
)
from report_orchestrator.admin.acts import Act, versions
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
from report_orchestrator.services.pausing import ALL, all_are_paused, pause, pause_all, resume
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
    "pause-all": "pause_reports",
    "resume-all": "pause_reports",
}
ACTS = sorted(PERMISSIONS)
EVERY_ACT: list[Act[Any]] = [*run_acts.RUN_ACTS, *schedule_acts.SCHEDULE_ACTS]
ALL_ACTS = {act.name: act for act in EVERY_ACT}
RUN_ACTS = {"retry", "release", "cancel"}
OF_ALL = {"pause-all", "resume-all"}
REASON = "Fireant was restarted"


@pytest.fixture
def outside(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> FakePorts:
    """The admin's services speak to fakes, at the time that it is."""
    fakes.clock.now = datetime.now(UTC)
    ports = replace(fakes.ports, reports=fakes.reports)
    for module in (acting, pause_of_all, removals, schedule_acts):
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
    if act in OF_ALL:
        return reverse(f"admin:report_orchestrator_reportschedule_{act.replace('-', '_')}")
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
            return make_schedule(report_model="fake.Report", paused_at=datetime.now(UTC), next_run_at=None)
        case _:
            return make_schedule(report_model="fake.Report")


def confirmation(act: str, *rows: Any, **changed: Any) -> dict[str, Any]:
    """What the confirmation's form sends."""
    form = {
        "rows": versions(one, rows) if (one := ALL_ACTS.get(act)) else "",
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
    models = (ReportRun, ReportSchedule, Intervention, ReportChange, LogEntry, Mark)
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
    if act in OF_ALL:
        if act == "resume-all":
            Mark.objects.note(ALL, now=fakes.clock.now, detail={"actor": "joe", "reason": "Maintenance"})
        return "", confirmation(act)
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

        assert "The run has moved on since you looked at it. Nothing was done. Look at it again." in said
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

    @pytest.mark.parametrize(
        "moved",
        [
            {"fireant_job_id": "J1"},
            {"step": Step.RESULTS_STORAGE.value},
            {"submission": 2},
        ],
    )
    def test_a_run_that_stands_elsewhere_than_was_seen_is_not_canceled(
        self, boss: Client, moved: dict[str, Any]
    ) -> None:
        run = row_for("cancel")
        form = confirmation("cancel", run)
        run.write(**moved)
        before = everything()

        said = words_of(boss.post(url_of("cancel"), form, follow=True))
        assert "has moved on since you looked at it" in said
        assert everything() == before

        boss.post(url_of("cancel"), confirmation("cancel", fresh(run)))
        assert fresh(run).status == Status.CANCELED

    def test_a_run_that_was_only_looked_at_meanwhile_is_canceled(self, boss: Client) -> None:
        run = row_for("cancel")
        form = confirmation("cancel", run)
        run.write(polls=run.polls + 1)

        boss.post(url_of("cancel"), form)

        assert fresh(run).status == Status.CANCELED

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
        assert "Runs canceled: 1." in said
        assert "4 are still to be done. Confirm once more to go on." in said
        assert "Cancel 4 runs?" in said
        assert REASON in text_of(response)
        assert ReportRun.objects.filter(status=Status.CANCELED).count() == 1

    def test_what_was_done_and_what_was_left_meet_without_a_gap(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(working, "SECONDS", 0.0)
        monkeypatch.setattr(working, "BATCH", 2)
        runs = [row_for("cancel") for _ in range(3)]
        form = confirmation("cancel", *reversed(runs))

        for _ in range(2):
            asked = boss.post(url_of("cancel"), form)
            found = re.search(r'name="rows" value="([^"]*)"', text_of(asked))
            assert found is not None
            form["rows"] = found[1]
        boss.post(url_of("cancel"), form)

        assert [fresh(run).status for run in runs] == 3 * [Status.CANCELED]
        assert LogEntry.objects.count() == 3

    @pytest.mark.parametrize(
        ("error", "done"), [(OperationalError("database is locked"), 4), (RuntimeError("no idea"), 3)]
    )
    def test_what_was_done_is_recorded_whatever_happens_to_the_next_one(
        self, boss: Client, error: Exception, done: int
    ) -> None:
        runs = [row_for("retry") for _ in range(5)]
        boss.raise_request_exception = False

        def refusing(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if sql.startswith("UPDATE") and runs[3].pk in params:
                raise error
            return execute(sql, params, many, context)

        with connections[router.db_for_write(ReportRun)].execute_wrapper(refusing):
            response = boss.post(url_of("retry"), confirmation("retry", *runs))

        assert ReportRun.objects.filter(status=Status.QUEUED).count() == done
        assert LogEntry.objects.count() == Intervention.objects.count() == done
        if isinstance(error, OperationalError):
            said = words_of(boss.get(response.headers["Location"]))
            assert "Runs retried: 4." in said
            assert "Not done to 1: The database refused it (OperationalError). Nothing was done." in said

    def test_refusals_that_name_their_runs_are_told_together(self, boss: Client) -> None:
        runs = [row_for("retry") for _ in range(12)]
        form = confirmation("retry", *runs)
        ReportRun.objects.update(version=7)

        said = words_of(boss.post(url_of("retry"), form, follow=True))

        assert said.count("Not done to") == 1
        assert "Not done to 12: The run has moved on since you looked at it." in said

    def test_refusals_of_more_kinds_than_are_named_are_counted(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(acting, "NAMED", 1)
        ended = [make_run(status=status) for status in (Status.SUCCEEDED, Status.CANCELED, Status.SKIPPED)]

        said = words_of(boss.post(url_of("cancel"), confirmation("cancel", *ended), follow=True))

        assert "Not done to 1: The run has ended already: “succeeded”." in said
        assert "2 others were left alone." in said

    def test_all_runs_of_one_cause_are_taken_up_to_the_bound_and_then_the_rest(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (acting, run_actions):
            monkeypatch.setattr(module, "AT_MOST", 3)
        runs = [row_for("retry") for _ in range(5)]

        asked = boss.get(url_of("retry") + "?error_code=storage&step=results_storage&next=/admin/")
        back = re.search(r'name="back" value="([^"]*)"', text_of(asked))
        assert back is not None
        assert "Only the first 3 are taken. Do it again for the others." in words_of(asked)
        assert "Retry 3 runs?" in words_of(asked)

        form = confirmation("retry", *runs[:3], back=unescape(back[1]))
        rest = boss.post(url_of("retry"), form, follow=True)
        assert "Runs retried: 3." in words_of(rest)
        assert "Retry 2 runs?" in words_of(rest)
        assert 'name="back" value="/admin/"' in text_of(rest)

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
            ended_at=datetime.now(UTC)
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

    @pytest.mark.parametrize("act", sorted(PERMISSIONS.keys() - RUN_ACTS - OF_ALL - {"accept"}))
    def test_a_report_of_a_former_model_is_left_alone_and_so_is_its_namesake(
        self, boss: Client, act: str
    ) -> None:
        namesake = row_for(act)
        former = make_schedule(
            report_model="old.Report",
            report_key=namesake.report_key,
            paused_at=namesake.paused_at,
            next_run_at=namesake.next_run_at,
        )
        before = everything()
        page = text_of(boss.get(reverse("admin:report_orchestrator_reportschedule_change", args=[former.pk])))

        asked = words_of(boss.get(url_of(act) + f"?ids={former.pk}"))
        told = words_of(boss.post(url_of(act), confirmation(act, former), follow=True))

        why = "The report belongs to “old.Report”, which the setting REPORT_MODEL no longer names."
        assert url_of(act) not in page
        assert why in asked
        assert f"Not done to 1: {why}" in told
        assert everything() == before

    def test_pausing_and_resuming_say_who_and_why(self, boss: Client) -> None:
        schedule = row_for("pause")

        boss.post(url_of("pause"), confirmation("pause", schedule))
        assert (fresh(schedule).pause_reason, fresh(schedule).next_run_at) == (REASON, None)
        asked = words_of(boss.get(url_of("resume") + f"?ids={schedule.pk}"))
        assert f"was paused by {User.objects.latest('pk').username}: {REASON}" in asked

        boss.post(url_of("resume"), confirmation("resume", fresh(schedule)))
        assert fresh(schedule).paused_at is None

    def test_resuming_one_report_says_that_all_are_paused(self, boss: Client, outside: FakePorts) -> None:
        address = url_of("resume") + f"?ids={row_for('resume').pk}"
        told = "All reports are paused as well: no time opens a run until that is lifted, too."
        assert told not in words_of(boss.get(address))

        pause_all(actor="ann", reason="audit", ports=outside.ports)

        assert told in words_of(boss.get(address))

    def test_the_pause_of_another_is_not_lifted_by_who_saw_an_earlier_one(
        self, boss: Client, outside: FakePorts
    ) -> None:
        schedule = row_for("resume")
        form = confirmation("resume", schedule)
        resume([schedule.report_key], actor="ann", ports=outside.ports)
        outside.clock.advance(seconds=1)
        pause([schedule.report_key], actor="ben", reason="legal hold", ports=outside.ports)
        before = everything()

        said = words_of(boss.post(url_of("resume"), form, follow=True))

        assert "was resumed or paused anew since you looked at it. Nothing was changed." in said
        assert everything() == before

    def test_a_backfill_shows_its_times_before_it_opens_them(self, boss: Client) -> None:
        schedule = row_for("backfill")
        form = confirmation("backfill", schedule) | {"looked": ""}

        said = words_of(boss.post(url_of("backfill"), form))

        zone = f"{datetime(2026, 6, 1, tzinfo=timezone.get_default_timezone()):%Z}"
        assert f"2 times, from 2026-06-01 06:00 {zone} to 2026-06-02 06:00 {zone}" in said
        assert ReportRun.objects.count() == 0

        boss.post(url_of("backfill"), confirmation("backfill", schedule))
        boss.post(url_of("backfill"), confirmation("backfill", schedule))
        assert ReportRun.objects.filter(trigger="backfill").count() == 2

    def test_a_backfill_says_how_many_runs_it_opens_in_all_and_takes_few_reports(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        schedules = [row_for("backfill") for _ in range(3)]
        chosen = ",".join(str(row.pk) for row in schedules)
        monkeypatch.setattr(schedule_acts.Backfill, "at_most", 2)

        asked = words_of(boss.get(url_of("backfill") + f"?ids={chosen}"))
        looked = words_of(
            boss.post(url_of("backfill"), confirmation("backfill", *schedules) | {"looked": ""})
        )

        assert "Only the first 2 are taken." in asked
        assert "This opens 4 runs in all." in looked

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
        form = confirmation("backfill", schedule, since=since, until=until, looked=f"{since}/{until}")

        assert boss.post(url_of("backfill"), form).status_code == HTTPStatus.BAD_REQUEST
        assert ReportRun.objects.count() == 0

    def test_the_check_tells_what_crons_mean_and_what_is_wrong(self, boss: Client) -> None:
        good, bad = make_schedule(cron="30 2 * * MON"), make_schedule(cron="99 * * * *")
        address = reverse("admin:report_orchestrator_reportschedule_check_cron")

        said = words_of(boss.get(f"{address}?ids={good.pk},{bad.pk}"))

        assert "At 02:30, only on Monday" in said
        assert "its minute, '99', cannot be read" in said.replace("&#x27;", "'")


class TestAll:
    LIST = reverse_lazy("admin:report_orchestrator_reportschedule_changelist")

    def test_the_question_says_what_will_happen_to_how_many(self, boss: Client) -> None:
        row_for("pause")
        row_for("pause")
        make_run(make_schedule(state=ScheduleState.DISABLED), status=Status.DEFERRED)

        said = words_of(boss.get(url_of("pause-all")))

        assert "The times of 2 active reports open no runs until somebody resumes them." in said
        assert "The runs that are under way go on: 1." in said
        assert "When it is resumed: The latest of the times that came meanwhile runs" in said
        assert not all_are_paused()

    def test_all_are_paused_and_resumed_and_the_list_and_the_first_page_say_so(self, boss: Client) -> None:
        first_page = reverse("admin:app_list", args=["report_orchestrator"])
        assert url_of("pause-all") in text_of(boss.get(self.LIST))
        assert url_of("pause-all") in text_of(boss.get(first_page))

        said = words_of(boss.post(url_of("pause-all"), confirmation("pause-all"), follow=True))

        person = User.objects.latest("pk").username
        assert all_are_paused()
        assert "All reports are paused." in said
        assert re.search(f"All reports are paused since [^:]+:[^:]+:.+ by {person}: {REASON}", said)
        for page in (self.LIST, first_page):
            assert url_of("resume-all") in text_of(boss.get(page))
            assert url_of("pause-all") not in text_of(boss.get(page))

        boss.post(url_of("resume-all"), confirmation("resume-all"))
        assert not all_are_paused()
        kinds = ReportChange.objects.filter(schedule=None).order_by("pk").values_list("kind", flat=True)
        assert list(kinds) == ["paused", "resumed"]
        changes = words_of(boss.get(reverse("admin:report_orchestrator_reportchange_changelist")))
        assert "all reports resumed" in changes
        page = reverse(
            "admin:report_orchestrator_reportchange_change", args=[ReportChange.objects.latest("pk").pk]
        )
        assert f"why — {REASON}" in words_of(boss.get(page)).lower().replace(REASON.lower(), REASON)

    @pytest.mark.parametrize("act", sorted(OF_ALL))
    def test_sent_twice_it_is_done_once(self, boss: Client, outside: FakePorts, act: str) -> None:
        _query, form = prepared(act, outside)

        boss.post(url_of(act), form)
        after_first = everything()
        said = words_of(boss.post(url_of(act), form, follow=True))

        assert everything() == after_first
        assert "Nothing was changed." in said
        assert "Yes:" not in words_of(boss.get(url_of(act)))

    def test_whoever_may_not_has_no_button(self, sign_in: Callable[..., Client], outside: FakePorts) -> None:
        client = sign_in(*VIEW, *(name for name in PERMISSIONS.values() if name != "pause_reports"))

        for page in (self.LIST, reverse("admin:app_list", args=["report_orchestrator"])):
            assert url_of("pause-all") not in text_of(client.get(page))


class NarrowedRuns(ReportRunAdmin):
    """A host's own: some runs are in no list, others in the list and on no page."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportRun]:
        return super().get_queryset(request).exclude(report_name="Hidden")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) and getattr(obj, "report_name", "") != "Listed"


class NarrowedReports(ReportScheduleAdmin):
    """The same for reports."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportSchedule]:
        return super().get_queryset(request).exclude(name="Hidden")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) and getattr(obj, "name", "") != "Listed"


narrowed = AdminSite(name="narrowed")
narrowed.register(ReportRun, NarrowedRuns)
narrowed.register(ReportSchedule, NarrowedReports)
narrowed.register(ReportChange)
urlpatterns = [path("admin/", narrowed.urls)]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("name", ["Hidden", "Listed"])
class TestNarrowedByTheHost:
    @pytest.mark.parametrize("act", sorted(ALL_ACTS))
    def test_what_one_may_not_see_is_neither_named_nor_changed(
        self, boss: Client, act: str, name: str
    ) -> None:
        row = row_for(act)
        if act in RUN_ACTS:
            type(row).objects.filter(pk=row.pk).update(report_name=name)
        else:
            type(row).objects.filter(pk=row.pk).update(name=name)
        form = confirmation(act, fresh(row))
        before = everything()

        asked = words_of(boss.get(url_of(act) + f"?ids={row.pk}"))
        boss.post(url_of(act), form)

        assert "Nothing to do" in asked
        assert name not in asked
        assert everything() == before

    def test_neither_is_it_retried_by_its_cause(self, boss: Client, name: str) -> None:
        ReportRun.objects.filter(pk=row_for("retry").pk).update(report_name=name)
        row_for("retry")

        asked = words_of(boss.get(url_of("retry") + "?error_code=storage&step=results_storage"))

        assert "Retry 1 run?" in asked
        assert name not in asked

    def test_neither_is_its_result_shown(self, boss: Client, name: str) -> None:
        run = make_run(results_path="somewhere", report_name=name)

        response = boss.get(reverse("admin:report_orchestrator_reportrun_preview", args=[run.pk]))

        assert response.status_code == {"Hidden": HTTPStatus.NOT_FOUND, "Listed": HTTPStatus.FORBIDDEN}[name]

    def test_neither_is_its_cron_told(self, boss: Client, name: str) -> None:
        schedule = make_schedule(name=name)
        address = reverse("admin:report_orchestrator_reportschedule_check_cron")

        assert name not in words_of(boss.get(f"{address}?ids={schedule.pk}"))


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
