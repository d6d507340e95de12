"""A page names no row that the reader's ModelAdmin hides, and only declared lookups reach the database."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.http import HttpRequest
from django.test import Client
from django.urls import path, reverse

from report_orchestrator.admin import ReportChangeAdmin, ReportRunAdmin, ReportScheduleAdmin
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState
from tests.support.admin_pages import make_run, make_schedule, words_of
from tests.support.dashboard import SignIn

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class RunsOfTenant(ReportRunAdmin):
    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportRun]:
        return super().get_queryset(request).exclude(report_name__startswith="Others")


class ReportsOfTenant(ReportScheduleAdmin):
    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportSchedule]:
        return super().get_queryset(request).exclude(name__startswith="Others")


tenant = AdminSite(name="tenant")
tenant.register(ReportRun, RunsOfTenant)
tenant.register(ReportSchedule, ReportsOfTenant)
tenant.register(ReportChange, ReportChangeAdmin)
urlpatterns = [path("admin/", tenant.urls)]

RUNS, CHANGES = "admin:report_orchestrator_reportrun_changelist", "admin:report_orchestrator_reportchange_changelist"


def make_ill(name: str) -> ReportSchedule:
    return make_schedule(name=name, state=ScheduleState.QUARANTINED, problem="secret problem", next_run_at=None)


def test_changes_name_no_quarantined_report_without_permission(sign_in: SignIn) -> None:
    make_ill("Others' windstorm")
    text = words_of(sign_in("view_reportchange").get(reverse(CHANGES)))
    assert "Others" not in text
    assert "secret problem" not in text
    assert "Others" in words_of(sign_in("view_reportchange", "view_reportschedule").get(reverse(CHANGES)))


def test_the_filter_of_runs_names_no_report_without_permission(sign_in: SignIn) -> None:
    report = make_schedule(name="Others' windstorm")
    text = words_of(sign_in("view_reportrun").get(reverse(RUNS), {"report": report.pk}))
    assert "Others" not in text
    assert "no such report" in text


@pytest.mark.urls(__name__)
def test_nothing_of_another_tenant_is_shown(viewer: Client) -> None:
    theirs = make_ill("Others' windstorm")
    make_ill("Our windstorm")
    make_run(schedule=theirs, report_name=theirs.name, status="failed", error="their error")
    pages = [
        (reverse(CHANGES), {}),
        (reverse(RUNS), {"report": theirs.pk}),
        (reverse("admin:app_list", args=["report_orchestrator"]), {}),
    ]
    text = "".join(words_of(viewer.get(address, given)) for address, given in pages)
    assert "Our windstorm" in text
    assert "Others" not in text
    assert "their error" not in text


@pytest.mark.urls(__name__)
def test_the_dashboard_counts_all_and_is_not_shown_where_rows_are_hidden(viewer: Client) -> None:
    assert b"ro-board" not in viewer.get(reverse("admin:app_list", args=["report_orchestrator"])).content


def test_it_is_shown_where_none_are_hidden(viewer: Client) -> None:
    assert b"ro-board" in viewer.get(reverse("admin:app_list", args=["report_orchestrator"])).content


@pytest.mark.parametrize(
    "lookup",
    [
        "error__regex",
        "report_name__iregex",
        "schedule__name__contains",
        "steps__traceback__contains",
        "payload__body__a",
    ],
)
def test_a_lookup_that_no_filter_declares_is_refused(viewer: Client, lookup: str) -> None:
    assert viewer.get(reverse(RUNS), {lookup: "^(a+)+$"}).status_code == HTTPStatus.BAD_REQUEST


def test_declared_lookups_work(viewer: Client) -> None:
    make_run(trigger="manual")
    for lookup in ("trigger", "trigger__exact", "trigger__in"):
        assert viewer.get(reverse(RUNS), {lookup: "manual"}).status_code == HTTPStatus.OK


@pytest.mark.parametrize("model", ["reportrun", "reportschedule", "reportchange"])
@pytest.mark.parametrize("term", ["word " * 1200, "a" * 100_000])
def test_an_endless_search_is_a_bad_request(viewer: Client, model: str, term: str) -> None:
    response = viewer.get(reverse(f"admin:report_orchestrator_{model}_changelist"), {"q": term})
    assert response.status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("model", ["reportrun", "reportschedule", "reportchange"])
def test_the_longest_search_finds(viewer: Client, model: str) -> None:
    response = viewer.get(reverse(f"admin:report_orchestrator_{model}_changelist"), {"q": "a " * 100})
    assert response.status_code == HTTPStatus.OK


@pytest.mark.django_db(transaction=True, databases=["default", "reports"])
@pytest.mark.parametrize(
    ("page", "parameter"),
    [
        *(
            ("reportrun/", name)
            for name in ("cause", "status", "step", "report", "result", "ended", "trigger", "q", "o", "p")
        ),
        *(("reportschedule/", name) for name in ("problem", "condition", "state__exact", "q", "o")),
        *(("reportchange/", name) for name in ("report", "noticed", "kind", "source__exact", "q")),
        *(("reportrun/act/retry/", name) for name in ("error_code", "ids", "next")),
        ("reportschedule/check-cron/", "ids"),
    ],
)
def test_a_nul_is_no_server_error(admin_client: Client, page: str, parameter: str) -> None:
    for value in ("\0", "a\0b"):
        response = admin_client.get(f"/admin/report_orchestrator/{page}", {parameter: value})
        assert response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
