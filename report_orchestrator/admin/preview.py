"""The first bytes of a run's result, as text and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from report_orchestrator.admin.readonly import ReadOnlyAdmin
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.log_events import masked, masked_beginning
from report_orchestrator.models import ReportRun
from report_orchestrator.wiring import get_ports

SHOWN = 16 * 1024
"""Bytes, whatever the result's size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What can be shown: the text, or why there is none."""

    text: str = ""
    problem: str = ""


class PreviewAdmin(ReadOnlyAdmin[ReportRun]):
    """A page beside the run's own, so that the run's page never waits for the store."""

    def get_urls(self) -> list[URLPattern]:
        """With the preview."""
        view = self.admin_site.admin_view(self.preview_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_preview"
        return [path("<int:pk>/preview/", view, name=name), *super().get_urls()]

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Reads the first bytes, for whoever may see the run."""
        self._refuse_strangers(request)
        run = self.get_queryset(request).filter(pk=pk).exclude(results_path="").first()
        if run is None:
            raise Http404
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Result of run {number}").format(number=run.pk),
            "opts": self.opts,
            "media": self.media,
            "run": run,
            "head": _head(run),
            "is_cut": (run.result_size or 0) > SHOWN,
            "shown": SHOWN,
            "back": self._address(ReportRun, "change", run.pk),
        }
        return TemplateResponse(request, "admin/report_orchestrator/preview.html", context)


def _head(run: ReportRun) -> Head:
    try:
        content = get_ports().store.read_head(run.result_path, SHOWN)
    except OrchestratorError as error:
        return Head(problem=masked(error.message))
    text = content.decode("utf-8", errors="replace")
    # Half a secret at the cut is no secret to `masked`.
    return Head(text=masked_beginning(text) if (run.result_size or 0) > SHOWN else masked(text))
