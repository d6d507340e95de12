"""What changed in the host's reports."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.differences import in_a_table, in_one_line
from report_orchestrator.admin.display import instant
from report_orchestrator.admin.filters import NoticedFilter, ReportFilter
from report_orchestrator.admin.removals import RemovalsAdmin
from report_orchestrator.admin.searching import changes_matching, reports_named, say_if_too_wide
from report_orchestrator.models import ReportChange, ReportSchedule


@admin.register(ReportChange)
class ReportChangeAdmin(RemovalsAdmin):
    """Every difference that was noticed, newest first."""

    list_display = ("noticed", "report", "kind", "difference", "source")
    list_filter = (ReportFilter, NoticedFilter, "kind", "source")
    list_select_related = ("schedule",)
    # `get_search_results` looks them up; here they make Django show the box.
    search_fields = ("schedule__name", "=schedule__report_key")
    search_help_text = _("A report's name, or its key.")
    ordering = ("-noticed_at", "-pk")
    sortable_by = ("noticed",)
    fields = ("report", "kind", "noticed", "source", "whole_difference")
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ReportChange], search_term: str
    ) -> tuple[QuerySet[ReportChange], bool]:
        """Looks for the reports first, which are few. A change appears once, so nothing has to be made distinct."""
        term = search_term.strip()
        if not term:
            return queryset, False
        named = reports_named(term)
        say_if_too_wide(request, named)
        return queryset.filter(changes_matching(named)), False

    @admin.display(description=_("noticed"), ordering="noticed_at")
    def noticed(self, change: ReportChange) -> str:
        """When somebody or something noticed it."""
        return instant(change.noticed_at)

    @admin.display(description=_("report"))
    def report(self, change: ReportChange) -> SafeString:
        """The report, linked; or that it concerns all, and where they are."""
        if change.schedule is None:
            return self.link_to_list(ReportSchedule, change.about)
        return self.link_to_page(ReportSchedule, change.schedule_id, change.schedule)

    @admin.display(description=_("before → after"))
    def difference(self, change: ReportChange) -> SafeString:
        """The fields that differ, cut to a line."""
        return in_one_line(change)

    @admin.display(description=_("before → after"))
    def whole_difference(self, change: ReportChange) -> SafeString:
        """The fields that differ, whole."""
        return in_a_table(change)
