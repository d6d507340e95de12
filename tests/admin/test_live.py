"""Pages say as of when they are, and one cheap address says whether runs changed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse

from report_orchestrator.admin import ReportRunAdmin
from report_orchestrator.admin.dashboard import board
from report_orchestrator.admin.ui.live import REFRESH_HEADER
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun
from report_orchestrator.services.monitoring import live_reads
from report_orchestrator.services.monitoring.live_reads import STAMPS, SharedReads, stamp_of
from tests.support.admin_pages import NOW, address, make_run, make_schedule, page_of, text_of
from tests.support.dashboard import SignIn, dashboard_address

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

LIVE = "admin:report_orchestrator_reportrun_live"
REFRESH = {REFRESH_HEADER: "1"}


@pytest.fixture(autouse=True)
def _reads_of_each_test_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read is kept for longer than any test, and for no other."""
    monkeypatch.setattr(live_reads, "STAMPS", SharedReads(seconds=600))
    monkeypatch.setattr(board, "DASHBOARDS", SharedReads(seconds=600))


class RunsOfTenant(ReportRunAdmin):
    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportRun]:
        return super().get_queryset(request).exclude(report_name__startswith="Others")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) and getattr(obj, "report_name", "") != "Secret"


tenant = AdminSite(name="tenant")
tenant.register(ReportRun, RunsOfTenant)
urlpatterns = [path("admin/", tenant.urls)]


def stamp() -> str:
    live_reads.STAMPS.clear()
    return stamp_of(ReportRun.objects.all())


def ours(queries: CaptureQueriesContext) -> list[str]:
    """Return the queries that Django's sessions and permissions do not make."""
    return [query["sql"] for query in queries if "report_orchestrator_" in query["sql"] and "auth_" not in query["sql"]]


class TestTheStamp:
    def test_it_changes_with_every_write_of_a_run(self) -> None:
        seen = [stamp()]
        run = make_run(status=Status.QUEUED)
        seen.append(stamp())
        run.write(status=Status.RUNNING, worker="w")
        seen.append(stamp())
        run.write(status=Status.SUCCEEDED, worker="", wake_at=None, ended_at=NOW + timedelta(hours=1))
        seen.append(stamp())
        run.write(status=Status.QUEUED, wake_at=NOW, ended_at=None)  # a person retries it
        seen.append(stamp())

        assert len(set(seen)) == len(seen)

    def test_it_stays_while_nothing_happens(self) -> None:
        make_run(status=Status.DEFERRED)
        make_run()

        assert stamp() == stamp()


class TestTheAddress:
    @pytest.mark.parametrize("unfinished", [0, 30])
    def test_it_makes_one_query_however_many_people_watch(self, viewer: Client, boss: Client, unfinished: int) -> None:
        for _ in range(unfinished):
            make_run(status=Status.DEFERRED)

        with CaptureQueriesContext(connection) as queries:
            answers = [client.get(reverse(LIVE)).json()["stamp"] for client in (viewer, boss, viewer, boss)]

        assert len(set(answers)) == 1
        assert len(ours(queries)) == 1

    def test_a_run_takes_one_query_too(self, viewer: Client, boss: Client) -> None:
        run = make_run(status=Status.DEFERRED, version=7)
        with CaptureQueriesContext(connection) as queries:
            answers = [client.get(reverse(f"{LIVE}_run", args=[run.pk])).json()["stamp"] for client in (viewer, boss)]

        assert answers == ["7", "7"]
        assert len(ours(queries)) == 1

    def test_an_answer_is_kept_for_less_than_a_second(self) -> None:
        clock = iter(range(10))
        reads = SharedReads(seconds=0.0)

        assert [reads.get("?", lambda: next(clock)) for _ in range(2)] == [0, 1]
        assert STAMPS._seconds < 1

    def test_a_stranger_is_sent_to_the_login(self, client: Client) -> None:
        assert client.get(reverse(LIVE)).status_code == HTTPStatus.FOUND

    def test_staff_without_permission_are_refused(self, sign_in: SignIn) -> None:
        run = make_run(status=Status.DEFERRED)
        client = sign_in("view_reportschedule")

        assert client.get(reverse(LIVE)).status_code == HTTPStatus.FORBIDDEN
        assert client.get(reverse(f"{LIVE}_run", args=[run.pk])).status_code == HTTPStatus.FORBIDDEN

    def test_a_deleted_run_is_not_found(self, viewer: Client) -> None:
        assert viewer.get(reverse(f"{LIVE}_run", args=[4711])).status_code == HTTPStatus.NOT_FOUND

    @pytest.mark.urls(__name__)
    def test_a_hidden_run_tells_nothing_even_if_others_watch_it(self, viewer: Client) -> None:
        hidden = make_run(make_schedule(name="Others' windstorm"), status=Status.DEFERRED)
        refused = make_run(make_schedule(name="Secret"), status=Status.DEFERRED)
        shown = viewer.get(reverse(LIVE)).json()["stamp"]
        assert shown != stamp_of(ReportRun.objects.all())
        hidden.write(polls=1)
        live_reads.STAMPS.clear()

        assert viewer.get(reverse(LIVE)).json()["stamp"] == shown
        assert viewer.get(reverse(f"{LIVE}_run", args=[hidden.pk])).status_code == HTTPStatus.NOT_FOUND
        assert viewer.get(reverse(f"{LIVE}_run", args=[refused.pk])).status_code == HTTPStatus.FORBIDDEN


class TestPages:
    def test_a_run_is_live_until_it_has_ended(self, viewer: Client) -> None:
        live, ended = make_run(status=Status.DEFERRED, version=3), make_run()

        page = text_of(viewer.get(page_of(live)))

        assert f'data-live-address="{reverse(f"{LIVE}_run", args=[live.pk])}"' in page
        assert 'data-live-stamp="3"' in page
        page = text_of(viewer.get(page_of(ended)))
        assert "data-live-address" not in page
        assert "live.js" not in page
        assert re.search(r"As of \d\d:\d\d:\d\d</span> · <a href=\"\">Look again</a>", page)

    def test_lists_with_runs_in_progress_are_live(self, viewer: Client) -> None:
        runs = address(ReportRun, "changelist")
        make_run()
        assert "data-live-address" not in text_of(viewer.get(runs))
        assert "data-live-address" in text_of(viewer.get(runs, {"status": "unfinished"}))
        make_run(status=Status.QUEUED)
        assert "data-live-address" in text_of(viewer.get(runs))
        assert "data-live-address" not in text_of(viewer.get(runs, {"status": "succeeded"}))

    def test_a_list_is_as_old_as_its_stamp(self, viewer: Client) -> None:
        make_run(status=Status.QUEUED)
        page = text_of(viewer.get(address(ReportRun, "changelist")))

        assert f'data-live-stamp="{stamp()}"' in page

    def test_refreshes_of_the_dashboard_are_shared_and_a_persons_look_is_not(
        self, viewer: Client, boss: Client
    ) -> None:
        make_run(status=Status.QUEUED)
        first = text_of(boss.get(dashboard_address(), headers=REFRESH))
        with CaptureQueriesContext(connection) as queries:
            shared = text_of(viewer.get(dashboard_address(), headers=REFRESH))
        assert ours(queries) == []
        make_run(status=Status.FAILED, ended_at=datetime.now(UTC))
        live_reads.STAMPS.clear()
        assert (
            stamp_in(text_of(viewer.get(dashboard_address(), headers=REFRESH))) == stamp_in(first) == stamp_in(shared)
        )
        assert stamp_in(text_of(viewer.get(dashboard_address()))) == stamp()


def stamp_in(page: str) -> str:
    found = re.search(r'data-live-stamp="([^"]*)"', page)
    assert found is not None
    return found[1]


class TestARefreshIsNoVisit:
    @pytest.fixture
    def pages(self) -> list[str]:
        run = make_run(status=Status.DEFERRED)
        live = [reverse(LIVE), reverse(f"{LIVE}_run", args=[run.pk])]
        return [*live, page_of(run), address(ReportRun, "changelist"), dashboard_address()]

    def test_it_does_not_renew_the_session(self, viewer: Client, settings: Any, pages: list[str]) -> None:
        settings.SESSION_SAVE_EVERY_REQUEST = True
        soon = datetime.now(UTC) + timedelta(minutes=1)
        for page in pages:
            Session.objects.update(expire_date=soon)
            text_of(viewer.get(page, headers=REFRESH))
            assert Session.objects.get().expire_date == soon, page
        text_of(viewer.get(pages[-1]))
        assert Session.objects.get().expire_date > soon

    def test_it_uses_up_no_message(self, viewer: Client, rf: Any, pages: list[str]) -> None:
        viewer.cookies["messages"] = message_cookie(rf)
        for page in pages:
            assert "It was retried" not in text_of(viewer.get(page, headers=REFRESH)) or page == dashboard_address()
            assert viewer.cookies["messages"].value, page
        assert "It was retried" in text_of(viewer.get(pages[-1]))
        assert not viewer.cookies["messages"].value


def message_cookie(rf: Any) -> str:
    """Return the cookie that brings a message to the next page."""
    storage, response = CookieStorage(rf.get("/")), HttpResponse()
    storage.add(messages.SUCCESS, "It was retried")
    storage.update(response)
    return response.cookies["messages"].value
