"""The download of a run's result, and the link to its page in Fabric."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from report_orchestrator.admin.actions.confirm import Button, ConfirmingAdmin
from report_orchestrator.admin.runs.preview import PreviewAdmin
from report_orchestrator.admin.ui.format import file_size
from report_orchestrator.admin.ui.streaming import attachment
from report_orchestrator.conf import Settings, current_secrets, get_settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.masking import masked
from report_orchestrator.models import ReportRun
from report_orchestrator.models.operator_actions import actor_name
from report_orchestrator.services.evidence.downloads import download_result
from report_orchestrator.wiring import get_runtime


class DownloadAdmin(PreviewAdmin, ConfirmingAdmin[ReportRun]):
    """Adds the download, which needs its own permission and is recorded, and buttons about the result."""

    class Media:
        js = ("report_orchestrator/copy.js",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.download_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_download"
        return [path("<int:pk>/download/", view, name=name), *super().get_urls()]

    def has_download_results_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("report_orchestrator.download_results")

    def download_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        run = self.run_with_result(request, pk)
        if not self.has_download_results_permission(request):
            raise PermissionDenied
        actor = actor_name(request.user.get_username(), request.user.pk)
        try:
            chunks = download_result(run, actor=actor, runtime=get_runtime())
        except OrchestratorError as error:
            problem = masked(error.message, current_secrets())
            return self.result_page(request, run, problem=problem, status=HTTPStatus.CONFLICT)
        user_id: Any = request.user.pk
        LogEntry.objects.log_actions(user_id, [run], CHANGE, change_message="Downloaded the result.")
        return attachment(
            request,
            chunks,
            name=run.report_name or run.report_key,
            suffix=f"-{run.run_date.isoformat()}-run-{run.pk}.json",
            content_type="application/json",
            size=run.result_size,
        )

    def page_buttons(self, request: HttpRequest, run: ReportRun) -> list[Button]:
        """Put those about the result first: of a run that has one, it is what people come for."""
        return [*self._result_buttons(request, run), *super().page_buttons(request, run)]

    def download_link(self, request: HttpRequest, run: ReportRun) -> SafeString | None:
        """Return the link of a list; None without a result or the permission."""
        if not run.results_path or not self.has_download_results_permission(request):
            return None
        return format_html('<a href="{}">{}</a>', self._address(ReportRun, "download", run.pk), gettext("Download"))

    def _result_buttons(self, request: HttpRequest, run: ReportRun) -> list[Button]:
        buttons = []
        if run.results_path and self.has_download_results_permission(request):
            address = self._address(ReportRun, "download", run.pk)
            label = gettext("Download")
            if run.result_size is not None:
                label = gettext("Download ({size})").format(size=file_size(run.result_size))
            buttons.append(Button(label=label, address=address))
        if run.results_path and (portal := portal_address(run, get_settings())):
            buttons.append(Button(label=gettext("Open in Fabric ↗"), address=portal))
        return buttons


def portal_address(run: ReportRun, settings: Settings) -> str:
    """Return the address of a result's page by `RESULT_PAGE_URL`; empty without the setting."""
    path = f"Files/{settings.fabric_results_path.strip('/')}/{run.result_path}"
    folder, _slash, file = path.rpartition("/")
    parts: dict[str, Any] = {
        "workspace": settings.fabric_workspace_id,
        "lakehouse": settings.fabric_lakehouse_id,
        "path": path,
        "folder": folder,
        "file": file,
    }
    return settings.result_page_url.format_map({name: quote(value) for name, value in parts.items()})
