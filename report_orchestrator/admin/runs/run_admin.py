"""The runs: a list that stays fast with millions of rows, and a page for each run."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.runs.attempts import attempt_row
from report_orchestrator.admin.runs.compare import CompareAdmin
from report_orchestrator.admin.runs.download import DownloadAdmin
from report_orchestrator.admin.runs.live_runs import LiveRuns
from report_orchestrator.admin.runs.log_lines import log_lines
from report_orchestrator.admin.runs.run_buttons import RunActions
from report_orchestrator.admin.runs.run_page import RunPage
from report_orchestrator.admin.runs.step_bars import step_bars
from report_orchestrator.admin.ui.due_filters import RunDueFilter
from report_orchestrator.admin.ui.exports import ExportingAdmin
from report_orchestrator.admin.ui.filters import (
    CauseFilter,
    EndedFilter,
    OpenedFilter,
    ReportFilter,
    ResultFilter,
    StatusFilter,
    StepFilter,
)
from report_orchestrator.admin.ui.format import NOTHING, STATUS_SIGNS, instant, name_of, run_duration, shortened, signed
from report_orchestrator.admin.ui.phrases import error_title
from report_orchestrator.admin.ui.search import search_rows
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import ReportRun, ReportSchedule, RunStep
from report_orchestrator.services.lists import columns
from report_orchestrator.services.lists.search import runs_matching
from report_orchestrator.wiring import get_ports

DURATION = F("ended_at") - F("started_at") - Coalesce(F("idle"), Value(timedelta(0)))
"""Of an ended run, as `ReportRun.duration` computes it."""


@admin.register(ReportRun)
class ReportRunAdmin(ExportingAdmin[ReportRun], DownloadAdmin, RunActions, CompareAdmin, LiveRuns, RunPage):
    table = columns.RUNS
    list_display = ("number", "status_and_step", "report", "due_and_trigger", "cause", "took")
    result_list_display = ("number", "report", "day", "ended", "size", "rows", "file")
    list_filter = (
        ReportFilter,
        StatusFilter,
        ResultFilter,
        StepFilter,
        CauseFilter,
        OpenedFilter,
        EndedFilter,
        RunDueFilter,
        "trigger",
    )
    # Django shows the search box only if there are fields; `get_search_results` does the search.
    search_fields = ("id", "reference", "fireant_job_id", "schedule__name", "schedule__report_key")
    search_help_text = _("Run ID, reference, Fireant job ID, report name or report key")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Newest first, in the order of the index that the chosen filter uses, so that no page needs a sort."""
        if {ReportFilter.parameter_name, RunDueFilter.parameter_name} & set(request.GET):
            return ("-scheduled_for", "-pk")
        if _lists_results(request) or request.GET.get(StatusFilter.parameter_name) in set(Status):
            return ("-created_at", "-pk")
        return ("-pk",)

    def get_sortable_by(self, request: HttpRequest) -> tuple[str, ...]:
        """Allow sorting by time and duration where an index leaves few rows: one report's runs, and those in progress."""
        is_few = (
            ReportFilter.parameter_name in request.GET or request.GET.get(StatusFilter.parameter_name) == "unfinished"
        )
        return ("number", "due_and_trigger", "took") if is_few else ("number",)

    def get_list_display(self, request: HttpRequest) -> Any:
        return self.result_list_display if _lists_results(request) else super().get_list_display(request)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Attach the number of a result's rows in the table, and the link to its file. One query for the page."""
        changelist = super().get_changelist_instance(request)
        if _lists_results(request):
            runs: list[ReportRun] = list(changelist.result_list)
            stored = RunStep.objects.filter(run__in=runs, step=Step.RESULTS_STORAGE, result=StepResult.COMPLETED)
            rows = {run: metadata.get("rows") for run, metadata in stored.values_list("run", "metadata")}
            for run in runs:
                setattr(run, "table_rows", rows.get(run.pk))  # noqa: B010 - not a field of the model
                setattr(run, "download", self.download_link(request, run))  # noqa: B010 - nor this
            changelist.result_list = runs
        return changelist

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ReportRun], search_term: str
    ) -> tuple[QuerySet[ReportRun], bool]:
        return search_rows(request, queryset, search_term, runs_matching)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        run: ReportRun = context["original"]
        attempts, interventions = list(run.steps.order_by("pk")), list(run.interventions.order_by("pk"))
        extra = {
            "live": self.live_run(request, run),
            "step_bars": step_bars(run, attempts, interventions, get_ports().clock()),
            "attempts": [attempt_row(attempt) for attempt in attempts],
            "log_lines": log_lines(run, attempts, interventions),
            "neighbors": self.neighbors(request, run),
            "preview": self._address(ReportRun, "preview", run.pk) if run.results_path else "",
        }
        return super().render_change_form(request, {**context, **extra}, *args, **kwargs)

    @admin.display(description=_("scheduled for"), ordering="scheduled_for")
    def due_and_trigger(self, run: ReportRun) -> SafeString:
        return _two_lines(instant(run.scheduled_for), run.get_trigger_display())

    @admin.display(description=_("duration"), ordering=DURATION)
    def took(self, run: ReportRun) -> str:
        return run_duration(run)

    @admin.display(description=_("run"), ordering="pk")
    def number(self, run: ReportRun) -> str:
        """The ID as people type it: Django would group its digits."""
        return str(run.pk)

    @admin.display(description=_("report"))
    def report(self, run: ReportRun) -> SafeString:
        """The report, under its name at the time of the run."""
        return self.link_to_page(ReportSchedule, run.schedule_id, name_of(run.report))

    @admin.display(description=_("status"))
    def signed_status(self, run: ReportRun) -> SafeString:
        return signed(STATUS_SIGNS, run.status, run.get_status_display())

    @admin.display(description=_("status"))
    def status_and_step(self, run: ReportRun) -> SafeString:
        step = "" if run.status == Status.SUCCEEDED else run.get_step_display()
        return _two_lines(self.signed_status(run), step)

    @admin.display(description=_("rows"))
    def rows(self, run: ReportRun) -> str:
        """The rows that the run added to the table; none where results are kept as files only."""
        rows = getattr(run, "table_rows", None)
        return NOTHING if rows is None else number_format(rows, force_grouping=True)

    @admin.display(description=_("file"))
    def file(self, run: ReportRun) -> str:
        """The link to download a result; its path for those who may not."""
        return getattr(run, "download", None) or shortened(run.results_path, 40)

    @admin.display(description=_("cause"))
    def cause(self, run: ReportRun) -> str:
        """The last error in words, with the recorded text in a tooltip."""
        if not run.error_code:
            return shortened(run.error)
        return format_html('<span title="{}">{}</span>', run.error, error_title(run.error_code))


def _lists_results(request: HttpRequest) -> bool:
    return request.GET.get(ResultFilter.parameter_name) == ResultFilter.STORED


def _two_lines(first: object, second: object) -> SafeString:
    return format_html('{}<span class="ro-sub">{}</span>', first, second)
