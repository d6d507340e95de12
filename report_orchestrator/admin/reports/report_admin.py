"""The reports: a list of their state, schedule and runs, and a page for each report."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.reports.history import ReportHistory
from report_orchestrator.admin.reports.pause_all import PauseOfAll
from report_orchestrator.admin.reports.report_buttons import ScheduleActions
from report_orchestrator.admin.reports.report_list import ReportList, zone_in_words
from report_orchestrator.admin.reports.report_page import ReportPage
from report_orchestrator.admin.timeline.timeline_page import TimelinePage
from report_orchestrator.admin.ui.due_filters import ReportDueFilter
from report_orchestrator.admin.ui.exports import ExportingAdmin
from report_orchestrator.admin.ui.filters import ConditionFilter, ProblemFilter
from report_orchestrator.admin.ui.format import NOTHING, long_text, name_of
from report_orchestrator.admin.ui.phrases import cron_in_words
from report_orchestrator.admin.ui.readonly import code_field, instant_field, text_field
from report_orchestrator.domain.printable import is_visible
from report_orchestrator.models import ReportSchedule
from report_orchestrator.services.lists import columns

DEFINITION = ("named", "key", "report_model", "cron_code", "cron_words", "zone", "priority", "updated")
STATUS = ("signed_state", "whole_problem", "next_run", "decided", "discovered", "changed")


@admin.register(ReportSchedule)
class ReportScheduleAdmin(
    ExportingAdmin[ReportSchedule], ReportHistory, TimelinePage, PauseOfAll, ScheduleActions, ReportPage, ReportList
):
    """Every report ever discovered, including removed ones."""

    table = columns.REPORTS
    list_display = ("signed_state", "report_name", "when", "spark", "last_time", "next_time", "typical")
    list_display_links = None
    list_filter = (ConditionFilter, "state", ProblemFilter, ReportDueFilter)
    search_fields = ("name", "=report_key", "cron")
    search_help_text = _("Report name, key or cron")
    ordering = ("state", "name", "pk")
    sortable_by = ("signed_state", "report_name", "next_time")
    fieldsets = ((_("Definition in the project"), {"fields": DEFINITION}), (_("Status"), {"fields": STATUS}))

    class Media:
        css = {"all": ("report_orchestrator/dashboard.css",)}

    named = text_field(lambda schedule: name_of(schedule.name) if is_visible(schedule.name) else NOTHING, _("name"))
    key = code_field("report_key", _("key"))
    cron_words = text_field(lambda schedule: cron_in_words(schedule.cron) or NOTHING, _("cron in words"))
    zone = text_field(zone_in_words, _("time zone"))
    whole_problem = text_field(lambda schedule: long_text(schedule.problem), _("problem"))
    cron_code = code_field("cron", _("cron"))
    next_run = instant_field("next_run_at", _("next run"))
    updated = instant_field("host_updated_at", _("updated in the project"))
    discovered = instant_field("discovered_at", _("discovered"))
    changed = instant_field("changed_at", _("last change"))
    # Each scheduled time until then has a run or a recorded skip.
    decided = instant_field("decided_until", _("times opened or skipped up to"))
