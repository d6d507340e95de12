"""The reports: what may run, when it is due, and how it last went."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.display import (
    NOTHING,
    STATE_SIGNS,
    STATUS_SIGNS,
    code,
    instant,
    long_text,
    shortened,
    signed,
)
from report_orchestrator.admin.schedule_actions import ScheduleActions
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.models.runs import STATUS_LABELS

RUNS_SHOWN = 10
STATUS_WORDS = {status.value: label for status, label in STATUS_LABELS.items()}


@admin.register(ReportSchedule)
class ReportScheduleAdmin(ScheduleActions):
    """Every report that discovery has seen, those that are gone included."""

    list_display = (
        "signed_state",
        "key",
        "named",
        "cron",
        "zone",
        "next_run",
        "last_run",
        "short_problem",
    )
    list_display_links = ("key", "named")
    list_filter = ("state", "problem_code", "report_model")
    search_fields = ("name", "=report_key", "cron")
    search_help_text = _("A report's name, its key, or its cron.")
    ordering = ("state", "name", "pk")
    sortable_by = ("signed_state", "key", "named", "next_run")
    fieldsets = (
        (None, {"fields": ("signed_state", "whole_problem", "next_run", "last_runs", "more")}),
        (
            _("As the project defines it"),
            {
                "fields": (
                    "named",
                    "key",
                    "report_model",
                    "copied_cron",
                    "zone",
                    "priority",
                    "updated_in_host",
                )
            },
        ),
        (_("What is known of it"), {"fields": ("discovered", "changed", "decided")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportSchedule]:
        """With each report's last run, found in the runs' index of history."""
        last = ReportRun.objects.filter(schedule=OuterRef("pk")).order_by("-scheduled_for", "-pk")
        return (
            super()
            .get_queryset(request)
            .annotate(
                last_run_id=Subquery(last.values("pk")[:1]),
                last_run_status=Subquery(last.values("status")[:1]),
            )
        )

    @admin.display(description=_("state"), ordering="state")
    def signed_state(self, schedule: ReportSchedule) -> SafeString:
        """What the scheduler may do with it."""
        return signed(STATE_SIGNS, schedule.state, schedule.get_state_display())

    @admin.display(description=_("name"), ordering="name")
    def named(self, schedule: ReportSchedule) -> str:
        """The report's name, or that it has none."""
        return schedule.name or NOTHING

    @admin.display(description=_("key"), ordering="report_key")
    def key(self, schedule: ReportSchedule) -> str:
        """The report's primary key."""
        return code(schedule.report_key)

    @admin.display(description=_("cron"))
    def copied_cron(self, schedule: ReportSchedule) -> str:
        """The cron, with each of its blanks."""
        return code(schedule.cron)

    @admin.display(description=_("time zone"))
    def zone(self, schedule: ReportSchedule) -> str:
        """The zone that the cron is read in."""
        return schedule.timezone or str(_("{zone} (the project's)")).format(zone=settings.TIME_ZONE)

    @admin.display(description=_("next run"), ordering="next_run_at")
    def next_run(self, schedule: ReportSchedule) -> str:
        """When it is due next."""
        return instant(schedule.next_run_at)

    @admin.display(description=_("last run"))
    def last_run(self, schedule: ReportSchedule) -> str:
        """How it last went."""
        status: str | None = getattr(schedule, "last_run_status", None)
        if status is None:
            return NOTHING
        word = signed(STATUS_SIGNS, status, STATUS_WORDS.get(status, status))
        return self.link_to_page(ReportRun, getattr(schedule, "last_run_id", None), word)

    @admin.display(description=_("last runs"))
    def last_runs(self, schedule: ReportSchedule) -> str:
        """The newest runs, by the time that they were for."""
        runs = schedule.runs.order_by("-scheduled_for", "-pk")[:RUNS_SHOWN]
        rows = (
            (
                self.link_to_page(ReportRun, run.pk, run.pk),
                signed(STATUS_SIGNS, run.status, run.get_status_display()),
                instant(run.scheduled_for),
            )
            for run in runs
        )
        return format_html_join("", "<div>{} {} {}</div>", rows) or NOTHING

    @admin.display(description=_("more"))
    def more(self, schedule: ReportSchedule) -> SafeString:
        """The report's whole history."""
        links = (
            self.link_to_list(ReportRun, _("all its runs"), report=schedule.pk),
            self.link_to_list(ReportChange, _("all its changes"), report=schedule.pk),
        )
        return format_html_join(", ", "{}", ((link,) for link in links))

    @admin.display(description=_("problem"))
    def short_problem(self, schedule: ReportSchedule) -> str:
        """What is wrong, in short."""
        return shortened(schedule.problem)

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
