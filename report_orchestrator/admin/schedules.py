"""The reports: what may run, when it is due, and how it last went."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.display import NOTHING, code, instant, long_text
from report_orchestrator.admin.filters import ConditionFilter, ProblemFilter
from report_orchestrator.admin.pause_of_all import PauseOfAll
from report_orchestrator.admin.report_list import ReportList, zone_in_words
from report_orchestrator.admin.report_page import ReportPage
from report_orchestrator.admin.schedule_actions import ScheduleActions
from report_orchestrator.admin.words import cron_in_words
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule


@admin.register(ReportSchedule)
class ReportScheduleAdmin(PauseOfAll, ScheduleActions, ReportPage, ReportList):
    """Every report that discovery has seen, those that are gone included."""

    list_display = (
        "signed_state",
        "report_name",
        "when",
        "spark",
        "last_time",
        "next_time",
        "typical",
    )
    list_display_links = None
    list_filter = (ConditionFilter, "state", ProblemFilter)
    search_fields = ("name", "=report_key", "cron")
    search_help_text = _("A report's name, its key, or its cron.")
    ordering = ("state", "name", "pk")
    sortable_by = ("signed_state", "report_name", "next_time")
    fieldsets = (
        (
            _("As the project defines it"),
            {
                "fields": (
                    "named",
                    "key",
                    "report_model",
                    "copied_cron",
                    "cron_words",
                    "zone",
                    "priority",
                    "updated_in_host",
                )
            },
        ),
        (
            _("What is known of it"),
            {
                "fields": (
                    "whole_state",
                    "whole_problem",
                    "next_run",
                    "decided",
                    "discovered",
                    "changed",
                    "more",
                )
            },
        ),
    )

    class Media:
        css = {"all": ("report_orchestrator/dashboard.css",)}

    @admin.display(description=_("name"))
    def named(self, schedule: ReportSchedule) -> str:
        """The report's name, or that it has none."""
        return schedule.name or NOTHING

    @admin.display(description=_("key"))
    def key(self, schedule: ReportSchedule) -> str:
        """The report's primary key."""
        return code(schedule.report_key)

    @admin.display(description=_("state"))
    def whole_state(self, schedule: ReportSchedule) -> str:
        """What the scheduler may do with it."""
        return str(schedule.get_state_display())

    @admin.display(description=_("cron"))
    def copied_cron(self, schedule: ReportSchedule) -> str:
        """The cron, with each of its blanks."""
        return code(schedule.cron)

    @admin.display(description=_("cron in words"))
    def cron_words(self, schedule: ReportSchedule) -> str:
        """The cron as a sentence."""
        return cron_in_words(schedule.cron) or NOTHING

    @admin.display(description=_("time zone"))
    def zone(self, schedule: ReportSchedule) -> str:
        """The zone that the cron is read in."""
        return zone_in_words(schedule)

    @admin.display(description=_("next run"))
    def next_run(self, schedule: ReportSchedule) -> str:
        """When it is due next."""
        return instant(schedule.next_run_at)

    @admin.display(description=_("more"))
    def more(self, schedule: ReportSchedule) -> SafeString:
        """The report's whole history."""
        links = (
            self.link_to_list(ReportRun, _("all its runs"), report=schedule.pk),
            self.link_to_list(ReportChange, _("all its changes"), report=schedule.pk),
        )
        return format_html_join(", ", "{}", ((link,) for link in links))

    @admin.display(description=_("what is wrong, and what to do"))
    def whole_problem(self, schedule: ReportSchedule) -> str:
        """What is wrong, and what a person can do."""
        return long_text(schedule.problem)

    @admin.display(description=_("updated in the project"))
    def updated_in_host(self, schedule: ReportSchedule) -> str:
        """The report's own change stamp."""
        return instant(schedule.host_updated_at)

    @admin.display(description=_("discovered"))
    def discovered(self, schedule: ReportSchedule) -> str:
        """When it was first seen."""
        return instant(schedule.discovered_at)

    @admin.display(description=_("last change noticed"))
    def changed(self, schedule: ReportSchedule) -> str:
        """When it last differed."""
        return instant(schedule.changed_at)

    @admin.display(description=_("every time decided up to"))
    def decided(self, schedule: ReportSchedule) -> str:
        """Up to when each of its times is a run or a recorded skip."""
        return instant(schedule.decided_until)
