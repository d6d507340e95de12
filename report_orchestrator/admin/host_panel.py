"""A panel for the host's own report pages: how the report stands with us, its last runs, and what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.forms import Media
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.display import STATE_SIGNS, STATUS_SIGNS, elapsed, instant, signed
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.wiring import get_ports

RUNS_SHOWN = 5
PANEL = "admin/report_orchestrator/host_panel.html"

if TYPE_CHECKING:
    HostAdmin = admin.ModelAdmin[Any]
else:
    HostAdmin = object  # a mixin at run time, so that it goes before any ModelAdmin

_REQUEST = "_report_orchestrator_request"


class ReportRunsMixin(HostAdmin):
    """Put before the host's ModelAdmin of reports: `class ReportAdmin(ReportRunsMixin, admin.ModelAdmin)`.

    Adds one read-only part to the page of a report, for users who may see our reports and runs; all else stays the host's.
    """

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """The host's own, and the panel behind them."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not _may_see(request):
            return fieldsets
        return [*fieldsets, (_("Runs"), {"fields": ("report_runs",)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """The host's own, and the panel."""
        return (*super().get_readonly_fields(request, obj), "report_runs")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """The host's own, without the panel, which has a part of the page to itself."""
        return [name for name in super().get_fields(request, obj) if name != "report_runs"]

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """The page, drawn when nothing is saved any more: only here does the report carry the request.

        The panel's field is given the report and nothing else, and whoever hears of a save may copy or pickle the report.
        """
        if obj is not None:
            setattr(obj, _REQUEST, request)
        return super().render_change_form(request, context, add, change, form_url, obj)

    @property
    def media(self) -> Any:
        """The host's own, and our stylesheets."""
        ours = Media(css={"all": ("report_orchestrator/admin.css", "report_orchestrator/acting.css")})
        return super().media + ours

    @admin.display(description=_("runs"))
    def report_runs(self, report: Model) -> SafeString:
        """The panel, in two queries."""
        request: HttpRequest | None = getattr(report, _REQUEST, None)
        label = get_ports().reports.label
        schedule = ReportSchedule.objects.filter(report_model=label, report_key=str(report.pk)).first()
        if request is None or schedule is None:
            return render_to_string(PANEL, {})
        return render_to_string(PANEL, self._panel(request, schedule))

    def _panel(self, request: HttpRequest, schedule: ReportSchedule) -> dict[str, Any]:
        site = self.admin_site
        ours: Any = site._registry.get(ReportSchedule)  # noqa: SLF001 - Django 5.2 has no lookup that does not raise
        runs = schedule.runs.order_by("-scheduled_for", "-pk")[:RUNS_SHOWN]
        return {
            "schedule": schedule,
            "state": signed(STATE_SIGNS, schedule.state, schedule.get_state_display()),
            "next_run": instant(schedule.next_run_at),
            "runs": [_row(ours, run) for run in runs],
            "ro_buttons": ours.buttons(request, schedule) if ours else [],
            "page": ours.link_to_page(ReportSchedule, schedule.pk, _("the report's page")) if ours else "",
            "all_runs": ours.link_to_list(ReportRun, _("all its runs"), report=schedule.pk) if ours else "",
        }


def _row(ours: Any, run: ReportRun) -> tuple[object, SafeString, str, str]:
    number = ours.link_to_page(ReportRun, run.pk, run.pk) if ours else run.pk
    status = signed(STATUS_SIGNS, run.status, run.get_status_display())
    return number, status, instant(run.scheduled_for), elapsed(run.started_at, run.ended_at)


def _may_see(request: HttpRequest) -> bool:
    user = request.user
    return bool(
        user.has_perm("report_orchestrator.view_reportschedule")
        and user.has_perm("report_orchestrator.view_reportrun")
    )
