"""The list and pages of changes of the host's reports."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.changes.change_diff import in_a_table, in_one_line, who, who_in_full
from report_orchestrator.admin.changes.removals import RemovalsAdmin
from report_orchestrator.admin.ui.exports import ExportingAdmin
from report_orchestrator.admin.ui.filters import NoticedFilter, ReportFilter
from report_orchestrator.admin.ui.format import instant, name_of
from report_orchestrator.admin.ui.readonly import text_field
from report_orchestrator.admin.ui.search import search_rows
from report_orchestrator.models import ReportChange, ReportSchedule
from report_orchestrator.services.lists import columns
from report_orchestrator.services.lists.search import changes_matching


@admin.register(ReportChange)
class ReportChangeAdmin(ExportingAdmin[ReportChange], RemovalsAdmin):
    """All detected changes, newest first."""

    table = columns.CHANGES
    list_display = ("noticed", "report", "kind", "difference", "person", "noticed_by")
    list_filter = (ReportFilter, NoticedFilter, "kind", "source")
    list_select_related = ("schedule",)
    # `get_search_results` looks them up; here they make Django show the box.
    search_fields = ("schedule__name", "=schedule__report_key")
    search_help_text = _("Report name or key")
    ordering = ("-noticed_at", "-pk")
    sortable_by = ("noticed",)
    fields = ("report", "kind", "noticed", "whole_person", "noticed_by", "whole_difference")
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ReportChange], search_term: str
    ) -> tuple[QuerySet[ReportChange], bool]:
        return search_rows(request, queryset, search_term, changes_matching)

    @admin.display(description=_("detected"), ordering="noticed_at")
    def noticed(self, change: ReportChange) -> str:
        return instant(change.noticed_at)

    person = text_field(who, _("who"))
    whole_person = text_field(who_in_full, _("who"))
    noticed_by = text_field(lambda change: change.noticed_by, _("source"))
    difference = text_field(in_one_line, _("before → after"))
    whole_difference = text_field(in_a_table, _("before → after"))

    @admin.display(description=_("report"))
    def report(self, change: ReportChange) -> SafeString:
        """The linked report, or a note that the change concerns all reports."""
        if change.schedule is None:
            return self.link_to_list(ReportSchedule, name_of(change.about))
        return self.link_to_page(ReportSchedule, change.schedule_id, name_of(change.schedule))
