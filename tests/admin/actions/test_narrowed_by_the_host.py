"""Rows that the host hides from a person are neither named nor changed."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from django.contrib.admin import AdminSite
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.test import Client
from django.urls import path, reverse

from report_orchestrator.admin import ReportRunAdmin, ReportScheduleAdmin
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from tests.support.admin_actions import ROW_ACTIONS, RUN_ACTION_NAMES, confirmation, everything, fresh, row_for, url_of
from tests.support.admin_pages import make_run, make_schedule, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


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
    @pytest.mark.parametrize("action", sorted(ROW_ACTIONS))
    def test_what_one_may_not_see_is_neither_named_nor_changed(self, boss: Client, action: str, name: str) -> None:
        row = row_for(action)
        if action in RUN_ACTION_NAMES:
            type(row).objects.filter(pk=row.pk).update(report_name=name)
        else:
            type(row).objects.filter(pk=row.pk).update(name=name)
        form = confirmation(action, fresh(row))
        before = everything()

        page_text = words_of(boss.get(url_of(action) + f"?ids={row.pk}"))
        boss.post(url_of(action), form)

        assert "Nothing to do" in page_text
        assert name not in page_text
        assert everything() == before

    def test_neither_is_it_retried_by_its_cause(self, boss: Client, name: str) -> None:
        ReportRun.objects.filter(pk=row_for("retry").pk).update(report_name=name)
        row_for("retry")

        page_text = words_of(boss.get(url_of("retry") + "?error_code=storage&step=results_storage"))

        assert "Retry 1 run?" in page_text
        assert name not in page_text

    def test_neither_is_it_compared_nor_led_to(self, boss: Client, name: str) -> None:
        schedule = make_schedule()
        hidden = make_run(schedule, report_name=name, job_kind="ring")
        run = make_run(schedule)
        compared = reverse("admin:report_orchestrator_reportrun_compare", args=[run.pk])

        page = words_of(boss.get(reverse("admin:report_orchestrator_reportrun_change", args=[run.pk])))
        chosen = words_of(boss.get(compared, {"with": str(hidden.pk)}))

        assert "Previous run" not in page
        assert "ring" not in chosen.split("Compare with run")[0]
        assert f"Run {hidden.pk}" not in chosen
        refused = boss.get(reverse("admin:report_orchestrator_reportrun_compare", args=[hidden.pk]))
        assert refused.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}

    def test_neither_is_its_result_shown(self, boss: Client, name: str) -> None:
        run = make_run(results_path="somewhere", report_name=name)

        response = boss.get(reverse("admin:report_orchestrator_reportrun_preview", args=[run.pk]))

        assert response.status_code == {"Hidden": HTTPStatus.NOT_FOUND, "Listed": HTTPStatus.FORBIDDEN}[name]

    def test_neither_is_its_cron_shown(self, boss: Client, name: str) -> None:
        schedule = make_schedule(name=name)
        address = reverse("admin:report_orchestrator_reportschedule_check_cron")

        assert name not in words_of(boss.get(f"{address}?ids={schedule.pk}"))
