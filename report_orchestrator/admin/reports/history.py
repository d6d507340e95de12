"""The page of a report's history, to which Django's button leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

from report_orchestrator.admin.changes.change_diff import in_one_line, who
from report_orchestrator.admin.ui.format import NOTHING, instant
from report_orchestrator.admin.ui.links import Viewer, visible_rows
from report_orchestrator.admin.ui.readonly import ReadOnlyAdmin, linked
from report_orchestrator.domain.runs import Trigger
from report_orchestrator.models import Intervention, InterventionKind, ReportChange, ReportRun, ReportSchedule
from report_orchestrator.services.reports.history import HistoryEntry, history_rows, read_entries

ENTRIES_PER_PAGE = 50


class ReportHistory(ReadOnlyAdmin[ReportSchedule]):
    """Shows changes and actions instead of the admin's own log, which knows of neither changes nor commands."""

    object_history_template = "admin/report_orchestrator/reportschedule/history.html"

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add the entries that the reader may see to Django's page, which has checked the permission."""
        response = super().history_view(request, object_id, extra_context)
        if isinstance(response, TemplateResponse):
            context: dict[str, Any] = response.context_data or {}
            response.context_data = {**context, **self._history(request, context["object"])}
        return response

    def _history(self, request: HttpRequest, schedule: ReportSchedule) -> Mapping[str, object]:
        changes = visible_rows(self.admin_site, ReportChange, request)
        runs = visible_rows(self.admin_site, ReportRun, request)
        paginator = Paginator(history_rows(schedule, changes=changes, runs=runs), ENTRIES_PER_PAGE)
        page = paginator.get_page(request.GET.get(PAGE_VAR, 1))
        viewer = Viewer(user=request.user, site_name=self.admin_site.name)
        entries = read_entries(list(page))
        return {
            "title": gettext("History: {report}").format(report=schedule),
            "media": self.media,
            "entries": [_row(entry, schedule, viewer) for entry in entries],
            "page": page,
            "page_range": paginator.get_elided_page_range(page.number),
        }


def _row(entry: HistoryEntry, schedule: ReportSchedule, viewer: Viewer) -> Mapping[str, object]:
    if entry.change is not None:
        return _of_change(entry.change, viewer)
    action: Any = entry.action
    return {
        "at": instant(action.made_at),
        "what": linked(_address(entry, schedule, viewer), _action(action, entry.count)),
        "difference": NOTHING,
        "who": action.actor or NOTHING,
        "reason": action.reason or NOTHING,
    }


def _of_change(change: ReportChange, viewer: Viewer) -> Mapping[str, object]:
    kind = str(change.get_kind_display())
    what = kind if change.schedule_id else gettext("all reports: {change}").format(change=kind)
    return {
        "at": instant(change.noticed_at),
        "what": linked(viewer.page_address(ReportChange, change.pk), what),
        "difference": in_one_line(change, without=("reason",)) or NOTHING,
        "who": who(change),
        "reason": change.after.get("reason") or NOTHING,
    }


def _action(action: Intervention, count: int) -> str:
    text = ngettext("run {run}: {action}", "{count} runs: {action}", count)
    shown = number_format(count, force_grouping=True)
    return text.format(run=action.run_id, action=action.get_kind_display(), count=shown)


def _address(entry: HistoryEntry, schedule: ReportSchedule, viewer: Viewer) -> str | None:
    action: Any = entry.action
    if entry.count == 1:
        return viewer.page_address(ReportRun, action.run_id)
    of_backfill = {"trigger__exact": Trigger.BACKFILL} if action.kind == InterventionKind.BACKFILLED else {}
    return viewer.list_address(ReportRun, report=schedule.pk, **of_backfill)
