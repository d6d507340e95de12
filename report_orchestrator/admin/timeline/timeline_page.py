"""The page of the timeline, with its filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import BadRequest
from django.core.paginator import Page
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.actions.confirm import Button, ConfirmingAdmin
from report_orchestrator.admin.actions.whole import WholeAction
from report_orchestrator.admin.timeline.run_rows import run_rows
from report_orchestrator.admin.timeline.timeline_chart import (
    describe_span,
    timeline_axis,
    timeline_chart,
    timeline_table,
)
from report_orchestrator.admin.ui.filters import ConditionFilter
from report_orchestrator.admin.ui.format import report_name
from report_orchestrator.admin.ui.links import Viewer, visible_rows
from report_orchestrator.admin.ui.outcomes import legend
from report_orchestrator.admin.ui.phrases import clock
from report_orchestrator.admin.ui.readonly import LONGEST_SEARCH, CappedPaginator
from report_orchestrator.admin.ui.request_settings import settings_for
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.services.monitoring.timeline import HOURS, MAX_REPORTS, Timeline, read_timeline
from report_orchestrator.services.reports.runs_under_way import runs_under_way
from report_orchestrator.wiring import get_ports

ZOOMS: Mapping[int, Any] = {
    HOURS: _("24 hours back, 12 ahead"),
    18: _("12 hours back, 6 ahead"),
    9: _("6 hours back, 3 ahead"),
    3: _("2 hours back, 1 ahead"),
}


class TimelinePage(ConfirmingAdmin[ReportSchedule]):
    """Adds the timeline of the reports that the reader may see."""

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_timeline"
        return [path("timeline/", self.admin_site.admin_view(self.timeline_view), name=name), *super().get_urls()]

    def whole_buttons(self, request: HttpRequest, action: WholeAction) -> list[Button]:
        """Lead from the list of reports to the timeline too."""
        timeline = Button(label=gettext("Timeline"), address=self._address(ReportSchedule, "timeline"))
        return [*super().whole_buttons(request, action), timeline]

    def timeline_view(self, request: HttpRequest) -> HttpResponse:
        """Show a page of up to `MAX_REPORTS` reports."""
        self._refuse_strangers(request)
        conditions = ConditionFilter(request, {"condition": [request.GET.get("condition", "")]}, ReportSchedule, self)
        page = self._page(request, conditions)
        hours = next((hours for hours in ZOOMS if str(hours) == request.GET.get("hours")), HOURS)
        now, runs = get_ports().clock(), visible_rows(self.admin_site, ReportRun, request)
        timeline = read_timeline(list(page), runs, now, settings=settings_for(request), hours=hours)
        viewer = Viewer(user=request.user, site_name=self.admin_site.name)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Timeline"),
            "opts": self.opts,
            "media": self.media,
            "timeline": timeline,
            "names": [
                (report_name(report.name, report.report_key), viewer.page_address(ReportSchedule, report.pk))
                for report in timeline.reports
            ],
            "chart": timeline_chart(timeline, viewer),
            "axis": timeline_axis(timeline),
            "table": timeline_table(timeline, viewer),
            "under_way": run_rows(runs_under_way(runs, now), now, viewer),
            "notes": list(_notes(timeline)),
            "legend": legend(with_expected=False),
            "page": page,
            "query": request.GET.get("q", ""),
            "choices": _choices(request, conditions, hours),
            "previous": _address(request, page.number - 1) if page.has_previous() else "",
            "next": _address(request, page.number + 1) if page.has_next() else "",
        }
        return TemplateResponse(request, "admin/report_orchestrator/timeline.html", context)

    def _page(self, request: HttpRequest, conditions: ConditionFilter) -> Page[ReportSchedule]:
        """Return the reports chosen, by name. Removed ones only if their state is chosen."""
        text, state = request.GET.get("q", "")[:LONGEST_SEARCH], request.GET.get("state")
        if "\x00" in text:
            raise BadRequest("A search has no NUL.")
        reports = self.get_queryset(request)
        chosen = (
            reports.filter(state=state)
            if state in ScheduleState.values
            else reports.exclude(state=ScheduleState.REMOVED)
        )
        found, _may_repeat = self.get_search_results(request, conditions.queryset(request, chosen), text)
        pages: Any = CappedPaginator(found.order_by("name", "pk"), MAX_REPORTS)
        page: Page[ReportSchedule] = pages.get_page(request.GET.get("page"))
        return page


def _choices(request: HttpRequest, conditions: ConditionFilter, hours: int) -> list[dict[str, Any]]:
    """Return the selections of the form: name, label, chosen value and options."""
    states = [("", gettext("all but removed")), *ScheduleState.choices]
    return [
        {"name": "state", "label": gettext("State"), "chosen": request.GET.get("state", ""), "options": states},
        {
            "name": "condition",
            "label": gettext("Condition"),
            "chosen": conditions.value() or "",
            "options": [("", gettext("any")), *conditions.lookup_choices],
        },
        {"name": "hours", "label": gettext("Hours"), "chosen": hours, "options": list(ZOOMS.items())},
    ]


def _notes(timeline: Timeline) -> list[str]:
    notes = [describe_span(timeline)]
    if timeline.runs_from is not None:
        text = gettext("Runs due before {time} are not drawn: there are too many. Choose fewer reports or hours.")
        notes.append(text.format(time=clock(timeline.runs_from)))
    if timeline.due_until is not None:
        text = gettext("Due times from {time} on are not drawn: there are too many. Choose fewer reports or hours.")
        notes.append(text.format(time=clock(timeline.due_until)))
    return notes


def _address(request: HttpRequest, number: int) -> str:
    query = request.GET.copy()
    query["page"] = str(number)
    return f"?{query.urlencode()}"
