"""Pages need the view permission, and nobody adds, changes or deletes rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.models import ReportRun, RunPayload, ScheduleState
from tests.support.admin_pages import (
    HOSTILE,
    MODELS,
    address,
    make_change,
    make_row,
    make_run,
    make_schedule,
    make_step,
    numbers,
    permissions,
    text_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


@pytest.fixture
def sign_in(client: Client) -> Callable[..., Client]:
    def as_staff(*actions: str, **given: Any) -> Client:
        user = User.objects.create_user(f"person {next(numbers)}", is_staff=True, **given)
        user.user_permissions.set(permissions(*actions))
        client.force_login(user)
        return client

    return as_staff


@pytest.fixture
def viewer(sign_in: Callable[..., Client]) -> Client:
    return sign_in("view")


class TestWhoMaySee:
    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("as_superuser", [True, False])
    def test_whoever_has_the_view_permission_sees_lists_and_pages(
        self, sign_in: Callable[..., Client], model: type[Model], as_superuser: bool
    ) -> None:
        row = make_row(model)
        client = sign_in(is_superuser=True) if as_superuser else sign_in("view")

        assert client.get(address(model, "changelist")).status_code == HTTPStatus.OK
        assert client.get(address(model, "change", row.pk)).status_code == HTTPStatus.OK
        assert client.get(address(model, "history", row.pk)).status_code == HTTPStatus.OK

    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("actions", [(), ("add", "change", "delete")])
    def test_staff_without_the_view_permission_are_refused(
        self, sign_in: Callable[..., Client], model: type[Model], actions: tuple[str, ...]
    ) -> None:
        row = make_row(model)
        client = sign_in(*actions)

        assert client.get(address(model, "changelist")).status_code == HTTPStatus.FORBIDDEN
        assert client.get(address(model, "change", row.pk)).status_code == HTTPStatus.FORBIDDEN

    @pytest.mark.parametrize("model", MODELS)
    def test_a_stranger_is_sent_to_the_login(self, client: Client, model: type[Model]) -> None:
        row = make_row(model)
        for page in (address(model, "changelist"), address(model, "change", row.pk)):
            response = client.get(page)
            assert response.status_code == HTTPStatus.FOUND
            assert response.headers["Location"].startswith(reverse("admin:login"))


class TestNobodyWrites:
    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("as_superuser", [True, False])
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_adding_and_deleting_are_refused(
        self, sign_in: Callable[..., Client], model: type[Model], as_superuser: bool, method: str
    ) -> None:
        row = make_row(model)
        client = sign_in("view", "add", "change", "delete", is_superuser=as_superuser)
        send = getattr(client, method)

        assert send(address(model, "add")).status_code == HTTPStatus.FORBIDDEN
        assert send(address(model, "delete", row.pk)).status_code == HTTPStatus.FORBIDDEN
        assert model._default_manager.filter(pk=row.pk).exists()

    @pytest.mark.parametrize("model", MODELS)
    def test_changing_is_refused(self, sign_in: Callable[..., Client], model: type[Model]) -> None:
        row = make_row(model)
        before = model._default_manager.filter(pk=row.pk).values().get()
        client = sign_in("view", "add", "change", "delete", is_superuser=True)

        response = client.post(address(model, "change", row.pk), {"name": "Mine", "status": "queued"})

        assert response.status_code == HTTPStatus.FORBIDDEN
        assert model._default_manager.filter(pk=row.pk).values().get() == before

    @pytest.mark.parametrize("model", MODELS)
    def test_no_action_deletes_from_a_list(self, sign_in: Callable[..., Client], model: type[Model]) -> None:
        row = make_row(model)
        client = sign_in("view", "add", "change", "delete", is_superuser=True)
        chosen = {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}

        client.post(address(model, "changelist"), chosen)

        assert model._default_manager.filter(pk=row.pk).exists()


class TestSafety:
    @pytest.fixture
    def pages(self, viewer: Client) -> list[Any]:
        schedule = make_schedule(
            name=HOSTILE,
            report_key=HOSTILE[:20],
            cron=HOSTILE,
            timezone=HOSTILE[:60],
            problem=HOSTILE,
            state=ScheduleState.QUARANTINED,
        )
        run = make_run(
            schedule,
            status=Status.FAILED,
            trigger=Trigger.MANUAL.value,
            triggered_by=HOSTILE,
            error=HOSTILE,
            results_path=HOSTILE,
            fireant_job_id=HOSTILE,
            fireant_status=HOSTILE,
        )
        make_step(run, error=HOSTILE, traceback=HOSTILE, metadata={HOSTILE: HOSTILE})
        RunPayload.objects.create(run=run, body={HOSTILE: [HOSTILE]})
        change = make_change(schedule, before={"name": HOSTILE}, after={HOSTILE: HOSTILE})
        rows: list[Model] = [schedule, run, change]
        return [
            *(viewer.get(address(model, "changelist")) for model in MODELS),
            *(viewer.get(address(type(row), "change", row.pk)) for row in rows),
            viewer.get(address(ReportRun, "changelist"), {"report": str(schedule.pk), "q": HOSTILE}),
        ]

    def test_names_from_the_host_are_escaped_and_whole(self, pages: list[Any]) -> None:
        for page in map(text_of, pages):
            assert "<script>alert" not in page
            assert "🌊" in page

    def test_our_pages_obey_a_strict_content_security_policy(self, pages: list[Any]) -> None:
        for page in map(text_of, pages):
            assert re.findall(r"<[^>]*\sstyle\s*=", page) == []
            assert re.findall(r"<[^>]*\son[a-z]+\s*=", page) == []
            assert re.findall(r"<style", page) == []
            assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>", page) == []
            assert "javascript:" not in page

    def test_our_pages_link_the_stylesheet(self, viewer: Client, pages: list[Any]) -> None:
        for page in map(text_of, pages):
            assert 'href="/static/report_orchestrator/admin.css"' in page
