"""The runs: a list that stays fast, and a page that tells a run's whole story."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.display import STATUS_SIGNS, elapsed, instant, shortened, signed
from report_orchestrator.admin.events import lines
from report_orchestrator.admin.filters import (
    CauseFilter,
    EndedFilter,
    OpenedFilter,
    ReportFilter,
    StatusFilter,
    StepFilter,
)
from report_orchestrator.admin.preview import PreviewAdmin
from report_orchestrator.admin.run_actions import RunActions
from report_orchestrator.admin.run_page import RunPage
from report_orchestrator.admin.searching import reports_named, runs_matching, say_if_too_wide
from report_orchestrator.admin.strips import strips
from report_orchestrator.admin.timeline import timeline
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule


@admin.register(ReportRun)
class ReportRunAdmin(RunActions, PreviewAdmin, RunPage):
    """Every run, newest first."""

    list_display = (
        "id",
        "report",
        "due",
        "signed_status",
        "step",
        "took",
        "short_error",
        "tries",
        "trigger",
        "opened",
        "short_place",
    )
    list_filter = (
        ReportFilter,
        StatusFilter,
        StepFilter,
        CauseFilter,
        OpenedFilter,
        EndedFilter,
        "trigger",
    )
    # `get_search_results` looks them up; here they make Django show the box.
    search_fields = ("id", "reference", "fireant_job_id", "schedule__name", "schedule__report_key")
    search_help_text = _("A run's number or reference, a Fireant job, or a report's name or key.")
    sortable_by = ("id",)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Newest first, in the order of the index that answers the chosen filter: nothing is sorted to show a page."""
        if ReportFilter.parameter_name in request.GET:
            return ("-scheduled_for", "-pk")
        if request.GET.get(StatusFilter.parameter_name) in set(Status):
            return ("-created_at", "-pk")
        return ("-pk",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ReportRun], search_term: str
    ) -> tuple[QuerySet[ReportRun], bool]:
        """Looks among indexed columns only. A run appears once, so nothing has to be made distinct."""
        term = search_term.strip()
        if not term:
            return queryset, False
        named = reports_named(term)
        say_if_too_wide(request, named)
        return queryset.filter(runs_matching(term, named)), False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """The run's page, with its steps."""
        run: ReportRun = context["original"]
        attempts, acts = list(run.steps.order_by("pk")), list(run.interventions.order_by("pk"))
        told = {
            "strips": strips(run, attempts),
            "timeline": timeline(attempts),
            "lines": lines(run, attempts, acts),
            "preview": self._address(ReportRun, "preview", run.pk) if run.results_path else "",
        }
        return super().render_change_form(request, {**context, **told}, *args, **kwargs)

    @admin.display(description=_("report"))
    def report(self, run: ReportRun) -> SafeString:
        """The report as it was called then."""
        return self.link_to_page(ReportSchedule, run.schedule_id, run.report)

    @admin.display(description=_("scheduled for"))
    def due(self, run: ReportRun) -> str:
        """The time that it is for."""
        return instant(run.scheduled_for)

    @admin.display(description=_("status"))
    def signed_status(self, run: ReportRun) -> SafeString:
        """Where it stands."""
        return signed(STATUS_SIGNS, run.status, run.get_status_display())

    @admin.display(description=_("attempt / polls"))
    def tries(self, run: ReportRun) -> str:
        """How often this step was tried, and how often Fireant was asked."""
        return f"{run.attempt} / {run.polls}"

    @admin.display(description=_("opened"))
    def opened(self, run: ReportRun) -> str:
        """When it became a run."""
        return instant(run.created_at)

    @admin.display(description=_("duration"))
    def took(self, run: ReportRun) -> str:
        """How long it took, or has taken until now."""
        return elapsed(run.started_at, run.ended_at)

    @admin.display(description=_("stored at"))
    def short_place(self, run: ReportRun) -> str:
        """Where its result is."""
        return shortened(run.results_path, 40)

    @admin.display(description=_("error"))
    def short_error(self, run: ReportRun) -> str:
        """What is wrong, in short."""
        return shortened(run.error)
