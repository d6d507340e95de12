"""The buttons of reports: actions on the list and on each page, and the cron check."""

from functools import partialmethod

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.actions.confirm import Button, ConfirmingAdmin, host_buttons
from report_orchestrator.admin.actions.report_actions import REPORT_ACTIONS
from report_orchestrator.admin.actions.rows import parse_keys
from report_orchestrator.admin.reports.cron_check import CHECKED_AT_MOST, check_cron
from report_orchestrator.admin.ui.links import Viewer, host_report_address
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.wiring import get_ports


class ScheduleActions(ConfirmingAdmin[ReportSchedule]):
    """Run, pause, resume and backfill reports; check a cron."""

    row_actions = REPORT_ACTIONS
    actions = ("run_selected", "pause_selected", "resume_selected", "backfill_selected", "check_selected")
    has_run_reports_permission = partialmethod(ConfirmingAdmin.may, name="run")
    has_pause_reports_permission = partialmethod(ConfirmingAdmin.may, name="pause")
    has_backfill_reports_permission = partialmethod(ConfirmingAdmin.may, name="backfill")

    def get_urls(self) -> list[URLPattern]:
        """Add the page of the cron check."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_check_cron"
        return [path("check-cron/", self.admin_site.admin_view(self.check_view), name=name), *super().get_urls()]

    @admin.action(description=_("Run the selected reports now"), permissions=["run_reports"])
    def run_selected(self, request: HttpRequest, chosen: QuerySet[ReportSchedule]) -> HttpResponse:
        return self.confirm_selected(request, "run", chosen)

    @admin.action(description=_("Pause the selected reports"), permissions=["pause_reports"])
    def pause_selected(self, request: HttpRequest, chosen: QuerySet[ReportSchedule]) -> HttpResponse:
        return self.confirm_selected(request, "pause", chosen)

    @admin.action(description=_("Resume the selected reports"), permissions=["pause_reports"])
    def resume_selected(self, request: HttpRequest, chosen: QuerySet[ReportSchedule]) -> HttpResponse:
        return self.confirm_selected(request, "resume", chosen)

    @admin.action(description=_("Backfill the selected reports"), permissions=["backfill_reports"])
    def backfill_selected(self, request: HttpRequest, chosen: QuerySet[ReportSchedule]) -> HttpResponse:
        return self.confirm_selected(request, "backfill", chosen)

    @admin.action(description=_("Check the cron of the selected reports"), permissions=["view"])
    def check_selected(self, request: HttpRequest, chosen: QuerySet[ReportSchedule]) -> HttpResponse:
        """Show the result at once: nothing changes."""
        keys = chosen.order_by("pk").values_list("pk", flat=True)[: CHECKED_AT_MOST + 1]
        return self._checked(request, list(keys))

    def check_view(self, request: HttpRequest) -> HttpResponse:
        """Describe the crons of the reports in the address."""
        self._refuse_strangers(request)
        return self._checked(request, parse_keys(request.GET.get("ids", ""), CHECKED_AT_MOST))

    def buttons(self, request: HttpRequest, schedule: ReportSchedule) -> list[Button]:
        """Add the cron check for reports with a cron."""
        made = super().buttons(request, schedule)
        if schedule.cron:
            address = f"{self._address(ReportSchedule, 'check_cron')}?ids={schedule.pk}"
            made.append(Button(label=gettext("Check cron"), address=address))
        return made

    def page_buttons(self, request: HttpRequest, schedule: ReportSchedule) -> list[Button]:
        """Lead to the report in the project: first of all if only there it can be made to run."""
        made, host = self.buttons(request, schedule), host_report_address(self.admin_site, schedule, request)
        is_at_fault = schedule.state in {ScheduleState.QUARANTINED, ScheduleState.DISABLED}
        button = host_buttons(host, is_at_fault=is_at_fault)
        acts = [*button, *made] if is_at_fault else [*made, *button]
        return [*acts, *self._list_buttons(request, schedule)]

    def _list_buttons(self, request: HttpRequest, schedule: ReportSchedule) -> list[Button]:
        """Lead to the report's runs and changes, as far as the reader may view them."""
        viewer = Viewer(user=request.user, site_name=self.admin_site.name)
        lists = ((gettext("All runs"), ReportRun), (gettext("All changes"), ReportChange))
        addresses = ((label, viewer.list_address(model, report=schedule.pk)) for label, model in lists)
        return [Button(label=label, address=address) for label, address in addresses if address]

    def _checked(self, request: HttpRequest, keys: list[int]) -> HttpResponse:
        chosen = self.get_queryset(request).filter(pk__in=keys[:CHECKED_AT_MOST]).order_by("name", "pk")
        rows = [row for row in chosen if self.has_view_permission(request, row)]
        tried, now = request.GET.get("cron", "").strip(), get_ports().clock()
        another = [check_cron(rows[0], now, tried)] if tried and rows else []
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Cron check"),
            "opts": self.opts,
            "media": self.media,
            "checks": another + [check_cron(row, now) for row in rows],
            "address": self._address(ReportSchedule, "check_cron"),
            "ids": ",".join(str(row.pk) for row in rows),
            "tried": tried,
            "cut_at": CHECKED_AT_MOST if len(keys) > CHECKED_AT_MOST else 0,
            "back": self._back(request, request.get_full_path() if request.method == "POST" else "", keys),
        }
        return TemplateResponse(request, "admin/report_orchestrator/check_cron.html", context)
