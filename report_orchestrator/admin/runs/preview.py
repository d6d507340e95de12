"""The page with the start of a run's result, always shown as plain text."""

import hashlib
from http import HTTPStatus

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from report_orchestrator.admin.ui.format import file_size
from report_orchestrator.admin.ui.readonly import ReadOnlyAdmin
from report_orchestrator.conf import current_secrets
from report_orchestrator.exceptions import OrchestratorError, StorageError
from report_orchestrator.masking import masked
from report_orchestrator.models import ReportRun
from report_orchestrator.wiring import get_ports

PREVIEW_BYTES = 16 * 1024


class PreviewAdmin(ReadOnlyAdmin[ReportRun]):
    """Adds the preview as a page of its own, so that the run's page never waits for the store."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_preview"
        return [path("<int:pk>/preview/", view, name=name), *super().get_urls()]

    def run_with_result(self, request: HttpRequest, pk: int) -> ReportRun:
        """Return a run that the reader may view; respond with 404 if it has no stored result."""
        self._refuse_strangers(request)
        run = self.get_queryset(request).filter(pk=pk).exclude(results_path="").first()
        if run is None:
            raise Http404
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        return run

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        run = self.run_with_result(request, pk)
        is_cut = (run.result_size or 0) > PREVIEW_BYTES
        try:
            content = get_ports().store.read_head(run.result_path, PREVIEW_BYTES)
            _reject_changed(run, content, is_cut=is_cut)
        except OrchestratorError as error:
            text, problem = "", masked(error.message, current_secrets())
        else:
            decoded = content.decode("utf-8", errors="replace")
            # `masked` does not recognize a secret that the cut has halved.
            text, problem = (
                masked(decoded, current_secrets(), is_cut=True) if is_cut else masked(decoded, current_secrets()),
                "",
            )
        return self.result_page(request, run, problem=problem, text=text, is_cut=is_cut)

    def result_page(
        self,
        request: HttpRequest,
        run: ReportRun,
        *,
        problem: str,
        text: str = "",
        is_cut: bool = False,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> HttpResponse:
        """Return the page with the start of a result, or with the problem of reading it."""
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Result of run {number}").format(number=run.pk),
            "opts": self.opts,
            "media": self.media,
            "run": run,
            "text": text,
            "problem": problem,
            "beginning": _beginning(run) if is_cut else "",
            "back": self._address(ReportRun, "change", run.pk),
        }
        return TemplateResponse(request, "admin/report_orchestrator/preview.html", context, status=status)


def _beginning(run: ReportRun) -> str:
    text = gettext("The first {shown} of {size}.")
    return text.format(shown=file_size(PREVIEW_BYTES), size=file_size(run.result_size or 0))


def _reject_changed(run: ReportRun, content: bytes, *, is_cut: bool) -> None:
    """Raise `StorageError` if a result that was read whole is not the one that was stored."""
    if not is_cut and run.result_sha256 and hashlib.sha256(content).hexdigest() != run.result_sha256:
        raise StorageError(
            f"The file at {run.results_path} is not the result that {run} stored: its SHA-256 differs. Restore it from a backup."
        )
