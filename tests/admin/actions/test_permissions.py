"""Every action needs its permission, a confirmation and a reason, and is recorded."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from report_orchestrator.models import Intervention, ReportChange
from report_orchestrator.testing import FakePorts
from tests.support.admin_actions import ACTION_NAMES, PERMISSIONS, REASON, VIEW, everything, prepared, row_for, url_of
from tests.support.admin_pages import make_run, text_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestPermissions:
    @pytest.mark.parametrize("action", ACTION_NAMES)
    @pytest.mark.parametrize("method", ["get", "post"])
    @pytest.mark.parametrize("staff", [None, False])
    def test_strangers_are_sent_to_the_login(
        self,
        client: Client,
        sign_in: Callable[..., Client],
        outside: FakePorts,
        action: str,
        method: str,
        staff: bool | None,
    ) -> None:
        query, form = prepared(action, outside)
        if staff is not None:
            sign_in(*PERMISSIONS.values(), *VIEW, is_staff=False)
        before = everything()

        response = getattr(client, method)(url_of(action) + query, form)

        assert response.status_code == HTTPStatus.FOUND
        assert response.headers["Location"].startswith(reverse("admin:login"))
        assert everything() == before

    @pytest.mark.parametrize("action", ACTION_NAMES)
    @pytest.mark.parametrize("method", ["get", "post"])
    @pytest.mark.parametrize("having", ["nothing", "view only", "all but the action's own", "the action's alone"])
    def test_staff_without_both_permissions_are_refused(
        self, sign_in: Callable[..., Client], outside: FakePorts, action: str, method: str, having: str
    ) -> None:
        query, form = prepared(action, outside)
        others = [name for name in PERMISSIONS.values() if name != PERMISSIONS[action]]
        changing = [
            f"{verb}_{model}" for verb in ("add", "change", "delete") for model in ("reportrun", "reportschedule")
        ]
        granted: dict[str, list[str]] = {
            "nothing": [],
            "view only": [*VIEW],
            "all but the action's own": [*VIEW, *others, *changing],
            "the action's alone": [PERMISSIONS[action]],
        }
        client = sign_in(*granted[having])
        before = everything()

        response = getattr(client, method)(url_of(action) + query, form)

        assert response.status_code == HTTPStatus.FORBIDDEN
        assert everything() == before

    @pytest.mark.parametrize("action", ACTION_NAMES)
    @pytest.mark.parametrize("superuser", [True, False])
    def test_with_the_permission_a_get_asks_and_changes_nothing(
        self, sign_in: Callable[..., Client], outside: FakePorts, action: str, superuser: bool
    ) -> None:
        query, _form = prepared(action, outside)
        client = sign_in(is_superuser=True) if superuser else sign_in(*VIEW, PERMISSIONS[action])
        before = everything()

        page = text_of(client.get(url_of(action) + query))

        assert '<textarea name="reason"' in page
        assert "csrfmiddlewaretoken" in page
        assert everything() == before

    @pytest.mark.parametrize("action", ACTION_NAMES)
    @pytest.mark.parametrize("superuser", [True, False])
    def test_with_the_permission_a_post_acts_and_is_recorded_twice(
        self, sign_in: Callable[..., Client], outside: FakePorts, action: str, superuser: bool
    ) -> None:
        query, form = prepared(action, outside)
        client = sign_in(is_superuser=True) if superuser else sign_in(*VIEW, PERMISSIONS[action])
        actor = User.objects.latest("pk")

        response = client.post(url_of(action) + query, form)

        assert response.status_code == HTTPStatus.FOUND
        entries = LogEntry.objects.filter(user=actor)
        assert entries
        assert all(REASON in entry.get_change_message() for entry in entries)
        ours = [(made.actor, made.reason) for made in Intervention.objects.all()] or [
            (change.after.get("actor"), change.after.get("reason"))
            for change in ReportChange.objects.filter(source="person")
        ]
        assert set(ours) == {(f"{actor.username} (user {actor.pk})", REASON)}

    @pytest.mark.parametrize("action", ACTION_NAMES)
    def test_a_post_without_csrf_token_is_refused(self, outside: FakePorts, action: str) -> None:
        query, form = prepared(action, outside)
        client = Client(enforce_csrf_checks=True)
        client.force_login(User.objects.create_superuser("strict"))
        before = everything()

        response = client.post(url_of(action) + query, form)

        assert response.status_code == HTTPStatus.FORBIDDEN
        assert everything() == before

    @pytest.mark.parametrize("action", ACTION_NAMES)
    def test_without_a_reason_nothing_is_done(self, boss: Client, outside: FakePorts, action: str) -> None:
        query, form = prepared(action, outside)
        before = everything()

        response = boss.post(url_of(action) + query, form | {"reason": "  "})

        assert response.status_code == HTTPStatus.BAD_REQUEST
        assert "This field is required." in response.content.decode()
        assert everything() == before

    @pytest.mark.parametrize("action", ACTION_NAMES)
    def test_the_longest_reason_is_recorded_whole_and_a_longer_one_is_refused(
        self, boss: Client, outside: FakePorts, action: str
    ) -> None:
        _query, form = prepared(action, outside)

        assert boss.post(url_of(action), form | {"reason": 501 * "x"}).status_code == HTTPStatus.BAD_REQUEST
        boss.post(url_of(action), form | {"reason": 500 * "x"})

        assert {entry.get_change_message().partition(" Reason: ")[2] for entry in LogEntry.objects.all()} == {500 * "x"}

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
            "check_cron": reverse("admin:report_orchestrator_reportschedule_check_cron") + f"?ids={run.schedule_id}",
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

    def test_there_is_no_other_action(self, boss: Client) -> None:
        assert boss.get("/admin/report_orchestrator/reportrun/act/delete/").status_code == HTTPStatus.NOT_FOUND
