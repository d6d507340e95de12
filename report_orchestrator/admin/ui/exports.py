"""Every filtered list as a file, for those who may see the list."""

from collections.abc import Callable, Generator
from typing import Any, ClassVar, TypeVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import get_language, gettext, ngettext, override

from report_orchestrator.admin.ui.phrases import capped
from report_orchestrator.admin.ui.readonly import ReadOnlyAdmin
from report_orchestrator.admin.ui.streaming import attachment
from report_orchestrator.services.lists.columns import Table, error_texts
from report_orchestrator.services.lists.exports import EXPORTS
from report_orchestrator.wiring import get_ports

M = TypeVar("M", bound=Model)

CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
BYTE_ORDER_MARK = "\ufeff"
"""Spreadsheets read a CSV without it in an encoding of their own."""


class ExportingAdmin(ReadOnlyAdmin[M]):
    """Adds the links and the files to a list."""

    table: ClassVar[Table]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/<slug:form>/", view, name=name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None) or {}
        if changelist := context.get("cl"):
            query = changelist.get_query_string()
            count = capped(changelist.result_count, is_capped=changelist.paginator.is_capped)
            csv = ngettext("Download as CSV ({count} row)", "Download as CSV ({count} rows)", changelist.result_count)
            labels = {"csv": csv.format(count=count), "json": gettext("as JSON")}
            context["exports"] = [(self._address(self.model, "export", form) + query, labels[form]) for form in EXPORTS]
        return response

    def export_view(self, request: HttpRequest, form: str) -> HttpResponseBase:
        """Stream all rows of the list in the address, in its order."""
        self._refuse_strangers(request)
        if form not in EXPORTS:
            raise Http404
        try:
            rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters as error:
            raise BadRequest("A filter or the search in the address cannot be used.") from error
        chunks = EXPORTS[form](self.table, rows, error_texts(_in_language(get_language())))
        day = timezone.localtime(get_ports().clock()).date()
        return attachment(
            request,
            _encoded(chunks, BYTE_ORDER_MARK if form == "csv" else ""),
            name=str(self.opts.verbose_name_plural),
            suffix=f"-{day.isoformat()}.{form}",
            content_type=CONTENT_TYPES[form],
        )


def _encoded(chunks: Generator[str, None, None], beginning: str) -> Generator[bytes, None, None]:
    yield beginning.encode()
    for chunk in chunks:
        yield chunk.encode()


def _in_language(language: str | None) -> Callable[[str], str]:
    """Return gettext for this language: the rows are read when the request's own is no longer active."""

    def translate(text: str) -> str:
        with override(language):
            return gettext(text)

    return translate
