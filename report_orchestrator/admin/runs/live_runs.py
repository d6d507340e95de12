"""Runs keep their pages up to date while somebody looks: the address that says whether anything changed."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from report_orchestrator.admin.ui.filters import StatusFilter
from report_orchestrator.admin.ui.live import LivePage, leave_no_trace, time_of_day
from report_orchestrator.admin.ui.readonly import ReadOnlyAdmin
from report_orchestrator.domain.runs import UNFINISHED, Step
from report_orchestrator.models import ReportRun
from report_orchestrator.services.monitoring.live_reads import read_shared_run, stamp_of

RUN_SECONDS, LIST_SECONDS = 2, 5
"""Between two questions of one page: an outcome is seen within three seconds."""

LIVE_STATUSES = {"unfinished", *UNFINISHED}


class LiveRuns(ReadOnlyAdmin[ReportRun]):
    """Adds the address, and the live line to the page of a run and to lists with runs that have not ended."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.live_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_live"
        return [path("live/", view, name=name), path("<int:pk>/live/", view, name=f"{name}_run"), *super().get_urls()]

    def live_view(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Return the stamp of one run, or of all that the reader may see. At most one query, shared by all who ask."""
        leave_no_trace(request)
        self._refuse_strangers(request)
        stamp = stamp_of(self.get_queryset(request)) if pk is None else self._stamp_of_run(request, pk)
        return JsonResponse({"stamp": stamp, "at": time_of_day()})

    def _stamp_of_run(self, request: HttpRequest, pk: int) -> str:
        run = read_shared_run(self.get_queryset(request), pk)
        if run is None:
            raise Http404
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        return str(run.version)

    def live_run(self, request: HttpRequest, run: ReportRun) -> LivePage:
        leave_no_trace(request)
        return LivePage(
            address=None if run.has_ended else self._address(ReportRun, "live_run", run.pk),
            stamp=str(run.version),
            seconds=RUN_SECONDS,
            news=_progress(run),
            at=time_of_day(),
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Add the live line to lists of runs that have not ended.

        The stamp is read before the rows: a change in between is noticed at the next question.
        """
        leave_no_trace(request)
        self._refuse_strangers(request)
        stamp = stamp_of(self.get_queryset(request))
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None) or {}
        if "cl" in context:
            is_live = any(not run.has_ended for run in context["cl"].result_list)
            is_live |= request.GET.get(StatusFilter.parameter_name) in LIVE_STATUSES
            address = self._address(ReportRun, "live") if is_live else None
            context["live"] = LivePage(address=address, stamp=stamp, seconds=LIST_SECONDS, news="", at=time_of_day())
        return response


def _progress(run: ReportRun) -> str:
    """Return the end, or the step, which polls and leases do not change."""
    if run.has_ended:
        return gettext("Run {number}: {status}").format(number=run.pk, status=run.get_status_display())
    return gettext("Run {number}: step {step} of {steps}, {name}").format(
        number=run.pk, step=list(Step).index(Step(run.step)) + 1, steps=len(Step), name=run.get_step_display()
    )
