"""A panel for the host's own report pages: the report's state, its last runs, and its actions."""

from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.ui.format import STATUS_SIGNS, instant, report_state, run_duration, signed
from report_orchestrator.admin.ui.links import visible_rows
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.wiring import get_ports

M = TypeVar("M", bound=Model)

RUNS_SHOWN = 5
PANEL = "admin/report_orchestrator/host_panel.html"

if TYPE_CHECKING:
    HostAdmin = admin.ModelAdmin[Any]
else:
    HostAdmin = object  # a mixin at run time, so that it goes before any ModelAdmin

_REQUEST = "_report_orchestrator_request"
_IS_PERMITTED = "_report_orchestrator_is_permitted"


class ReportRunsMixin(HostAdmin):
    """A mixin before the host's ModelAdmin of reports: `class ReportAdmin(ReportRunsMixin, admin.ModelAdmin)`.

    Adds one read-only section to a report's page for users who may view our reports and runs.
    """

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Add the panel behind the host's fieldsets."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not _may_see(request):
            return fieldsets
        if request.method == "GET":  # never before a save, whose listeners may read all attributes
            setattr(obj, _IS_PERMITTED, True)
        return [*fieldsets, (_("Runs"), {"fields": ("report_runs",)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Add the panel to the host's read-only fields."""
        return (*super().get_readonly_fields(request, obj), "report_runs")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Leave the panel out of the host's fields: it has a section of its own."""
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
        """Render the panel only here, after any save, as only here the report carries the request.

        The panel's field gets nothing but the report, and listeners to saves may copy or pickle reports.
        """
        if obj is not None:
            setattr(obj, _REQUEST, request)
        return super().render_change_form(request, context, add, change, form_url, obj)

    @property
    def media(self) -> Any:
        """Add our stylesheets."""
        ours = Media(css={"all": ("report_orchestrator/admin.css", "report_orchestrator/actions.css")})
        return super().media + ours

    @admin.display(description=_("runs"))
    def report_runs(self, report: Model) -> SafeString:
        """Render the panel, with two queries.

        Pages of others, such as an old version's, call this without a request: they show the runs without actions.
        """
        request: HttpRequest | None = getattr(report, _REQUEST, None)
        if request is None and not getattr(report, _IS_PERMITTED, False):
            return SafeString("")
        label = get_ports().reports.label
        schedule = self._ours(ReportSchedule, request).filter(report_model=label, report_key=str(report.pk)).first()
        if schedule is None:
            return SafeString("") if request is None else render_to_string(PANEL, {})
        return render_to_string(PANEL, self._panel(request, schedule))

    def _ours(self, model: type[M], request: HttpRequest | None) -> QuerySet[M]:
        """Return the rows that this site shows to the reader; all where the site or the page does not say."""
        if request is None or not self.admin_site.is_registered(model):
            return model._default_manager.all()
        return visible_rows(self.admin_site, model, request)

    def _panel(self, request: HttpRequest | None, schedule: ReportSchedule) -> dict[str, Any]:
        site = self.admin_site
        ours: Any = site._registry.get(ReportSchedule)  # noqa: SLF001 - Django 5.2 has no lookup that does not raise
        runs = self._ours(ReportRun, request).filter(schedule=schedule).order_by("-scheduled_for", "-pk")[:RUNS_SHOWN]
        return {
            "schedule": schedule,
            "state": report_state(schedule),
            "next_run": instant(schedule.next_run_at),
            "runs": [_row(ours, run) for run in runs],
            "ro_buttons": ours.buttons(request, schedule) if ours and request else [],
            "page": ours.link_to_page(ReportSchedule, schedule.pk, _("Report page")) if ours else "",
            "all_runs": ours.link_to_list(ReportRun, _("All runs"), report=schedule.pk) if ours else "",
        }


def _row(ours: Any, run: ReportRun) -> tuple[str, SafeString, str, str]:
    number = ours.link_to_page(ReportRun, run.pk, run.pk) if ours else str(run.pk)
    status = signed(STATUS_SIGNS, run.status, run.get_status_display())
    return number, status, instant(run.scheduled_for), run_duration(run)


def _may_see(request: HttpRequest) -> bool:
    user = request.user
    return bool(
        user.has_perm("report_orchestrator.view_reportschedule") and user.has_perm("report_orchestrator.view_reportrun")
    )
