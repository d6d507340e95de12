"""A panel on the host's own page of a report shows its state, runs and buttons."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models.signals import post_save
from django.test import Client, RequestFactory, override_settings
from django.urls import path, reverse

from report_orchestrator.admin import ReportScheduleAdmin
from report_orchestrator.admin.host_panel import ReportRunsMixin
from report_orchestrator.admin.runs.log_lines import log_lines
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule
from tests.host.api.models import Report
from tests.support.admin_pages import NOW, make_run, make_schedule, page_of, text_of, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class BareAddresses:
    """Addresses of one AdminSite and of nothing else."""

    def __init__(self, site: admin.AdminSite) -> None:
        self.urlpatterns = [path("bare/", site.urls)]


class TestHostPanel:
    @pytest.fixture
    def report(self) -> Report:
        return Report.objects.create(name="Windstorm", cron="0 6 * * *")

    def address(self, report: Report) -> str:
        return reverse("admin:api_report_change", args=[report.pk])

    def test_a_run_that_was_retried_took_its_working_time(self, boss: Client, report: Report) -> None:
        run = make_run(
            make_schedule(report_key=str(report.pk)),
            ended_at=NOW + timedelta(days=2),
            idle=timedelta(days=2, minutes=-3),
        )
        pages = [self.address(report), page_of(run), reverse("admin:report_orchestrator_reportrun_changelist")]

        assert [page for page in pages if "3 min 0 s" not in words_of(boss.get(page))] == []
        assert "'duration_s': 180.0" in str([line.keys for line in log_lines(run, [], [])])

    def test_it_shows_the_state_the_last_runs_and_the_buttons(self, boss: Client, report: Report) -> None:
        schedule = make_schedule(
            report_key=str(report.pk), paused_at=NOW, paused_by="ada", pause_reason="storm", next_run_at=None
        )
        run = make_run(schedule, status=Status.FAILED)

        page = text_of(boss.get(self.address(report)))
        page_text = words_of(boss.get(self.address(report)))

        assert "= &nbsp;paused Paused by ada: storm" in page_text
        assert f'href="{page_of(run)}"' in page
        assert f"reportschedule/act/run/?ids={schedule.pk}" in page
        assert "report_orchestrator/actions.css" in page

    def test_a_report_that_discovery_has_not_seen_says_so(self, boss: Client, report: Report) -> None:
        assert "Discovery has not found this report yet." in words_of(boss.get(self.address(report)))

    @pytest.mark.parametrize(("ours", "shown"), [((), False), (("view_reportschedule", "view_reportrun"), True)])
    def test_only_who_may_see_our_pages_sees_it_and_no_buttons_without_permission(
        self, client: Client, report: Report, ours: tuple[str, ...], shown: bool
    ) -> None:
        user = User.objects.create_user("host person", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=["view_report", "change_report", *ours]))
        client.force_login(user)
        schedule = make_schedule(report_key=str(report.pk))

        page = text_of(client.get(self.address(report)))

        assert ("ro-host-panel" in page) is shown
        assert f"reportschedule/act/run/?ids={schedule.pk}" not in page

    def test_whoever_hears_of_a_save_can_copy_and_pickle_the_report(self, boss: Client, report: Report) -> None:
        heard: list[Report] = []

        def copied(sender: type[Report], instance: Report, **_: Any) -> None:
            heard.append(pickle.loads(pickle.dumps(copy.deepcopy(instance))))  # noqa: S301 - our own bytes

        post_save.connect(copied, sender=Report)
        try:
            page = boss.get(self.address(report))
            assert page.context is not None
            edited = page.context["adminform"].form
            perils = [value for value, _label in edited.fields["peril"].choices if value]
            given = {name: value for name, value in edited.initial.items() if value is not None}
            given |= {"name": "Tempest", "peril": perils[0]}
            saved = boss.post(self.address(report), given)
        finally:
            post_save.disconnect(copied, sender=Report)

        assert saved.status_code == HTTPStatus.FOUND, words_of(saved)
        assert [one.name for one in heard] == ["Tempest"]

    def test_an_adminsite_with_the_reports_alone_shows_texts_instead_of_links(
        self, rf: RequestFactory, report: Report
    ) -> None:
        site = admin.AdminSite(name="elsewhere")
        site.register(ReportSchedule, ReportScheduleAdmin)
        request = rf.get("/")
        request.user = User.objects.create_superuser("boss")

        with override_settings(ROOT_URLCONF=BareAddresses(site)):
            ours: Any = site.get_model_admin(ReportSchedule)
            assert ours.link_to_page(ReportRun, 7, "7 <") == "7 &lt;"
            assert ours.link_to_list(ReportRun, "all", report=7) == "all"
            assert "href" in ours.link_to_page(ReportSchedule, 7, "seven")

    def test_pages_of_others_show_the_runs_or_nothing(self, rf: RequestFactory, report: Report) -> None:
        """As django-simple-history does: an old version, drawn without `render_change_form`."""
        host: Any = admin.site.get_model_admin(Report)
        schedule = make_schedule(report_key=str(report.pk))
        run = make_run(schedule)
        old = Report(pk=report.pk, name="As it was")
        stranger, request = rf.get("/"), rf.get("/")
        stranger.user = User.objects.create_user("stranger", is_staff=True)
        request.user = User.objects.create_superuser("boss")

        host.get_fieldsets(stranger, old)
        assert host.report_runs(old) == ""
        host.get_fieldsets(request, old)
        assert f'href="{page_of(run)}"' in host.report_runs(old)
        assert "ro-button" not in host.report_runs(old)
        run.delete()
        schedule.delete()
        assert host.report_runs(old) == ""

    def test_a_report_that_is_being_added_has_none(self, boss: Client) -> None:
        assert "ro-host-panel" not in text_of(boss.get(reverse("admin:api_report_add")))

    def test_it_adds_two_queries(self, boss: Client, report: Report, django_assert_max_num_queries: Any) -> None:
        make_schedule(report_key=str(report.pk))
        with django_assert_max_num_queries(14):
            text_of(boss.get(self.address(report)))

    def test_it_takes_no_place_among_the_hosts_own_fields(self, rf: RequestFactory) -> None:
        class Plain(ReportRunsMixin, admin.ModelAdmin):  # type: ignore[type-arg]
            fields = ("name", "cron")

        class Bare(ReportRunsMixin, admin.ModelAdmin):  # type: ignore[type-arg]
            pass

        request = rf.get("/")
        request.user = User.objects.create_superuser("boss")
        for made in (Plain, Bare):
            fields = made(Report, admin.site).get_fields(request)
            assert "name" in fields
            assert "report_runs" not in fields
