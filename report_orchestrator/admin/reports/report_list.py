"""The columns of the reports' list."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings as django_settings
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.ui.charts import Tick, sparkline
from report_orchestrator.admin.ui.definitions import failed_means, late_means, typical_means
from report_orchestrator.admin.ui.format import (
    NOTHING,
    STATUS_SIGNS,
    code,
    duration,
    minute,
    report_name,
    report_state,
    signed,
)
from report_orchestrator.admin.ui.links import host_report_address, may_view_runs, page_address
from report_orchestrator.admin.ui.outcomes import LOOKS, STATUS_NAMES, describe_outcomes
from report_orchestrator.admin.ui.phrases import away, cron_in_words, date_and_clock, error_title, isolated
from report_orchestrator.admin.ui.readonly import ReadOnlyAdmin
from report_orchestrator.admin.ui.request_settings import settings_for
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.lists.search import reports_matching
from report_orchestrator.services.monitoring.overdue import late_before
from report_orchestrator.services.reports.conditions import evaluated_once
from report_orchestrator.services.reports.run_history import PastRun, recent_runs_by_schedule, typical_duration
from report_orchestrator.services.scheduling.pausing import all_are_paused
from report_orchestrator.wiring import get_ports

RUNS_SHOWN = 20
RUN_COLUMNS = frozenset({"spark", "last_time", "typical"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RowContext:
    """Data for a row besides its report, read for all rows of the page at once."""

    now: datetime
    late_before: datetime
    all_are_paused: bool
    live_unless_switched: bool
    past: Sequence[PastRun]
    """Its last runs, of which the column shows `RUNS_SHOWN`."""
    host_address: str | None


class ReportList(ReadOnlyAdmin[ReportSchedule]):
    """The list's columns. Those about runs are shown to people who may view runs."""

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        return columns if may_view_runs(request) else [name for name in columns if name not in RUN_COLUMNS]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Explain the words of the list below it."""
        meanings = [late_means(settings_for(request))]
        if may_view_runs(request):
            meanings += [typical_means(), failed_means()]
        return super().changelist_view(request, {**(extra_context or {}), "meanings": meanings})

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Attach each row's context. The last runs of all rows take one query."""
        changelist = super().get_changelist_instance(request)
        rows: list[ReportSchedule] = list(changelist.result_list)
        past = recent_runs_by_schedule([row.pk for row in rows]) if may_view_runs(request) else {}
        bound = late_before(get_ports().clock(), settings_for(request))
        is_any_late = any(row.next_run_at and row.next_run_at < bound for row in rows)
        self._attach_context(request, rows, past, all_paused=is_any_late and all_are_paused())
        return changelist

    def get_object(self, *args: Any, **kwargs: Any) -> ReportSchedule | None:
        """Attach the context, which the state needs on the report's page too; it shows neither last runs nor lateness by it."""
        schedule: ReportSchedule | None = super().get_object(*args, **kwargs)
        if schedule is not None:
            self._attach_context(args[0], [schedule], {}, all_paused=False)
        return schedule

    def _attach_context(
        self,
        request: HttpRequest,
        rows: Sequence[ReportSchedule],
        past: Mapping[int, Sequence[PastRun]],
        *,
        all_paused: bool,
    ) -> None:
        now = get_ports().clock()
        bound = late_before(now, settings_for(request))
        for row in rows:
            context = RowContext(
                now=now,
                late_before=bound,
                all_are_paused=all_paused,
                live_unless_switched=not settings_for(request).shadow,
                past=past.get(row.pk, ()),
                host_address=host_report_address(self.admin_site, row, request),
            )
            setattr(row, "row_context", context)  # noqa: B010 - not a field of the model

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ReportSchedule], search_term: str
    ) -> tuple[QuerySet[ReportSchedule], bool]:
        """Run the search, which scans all names, once. Each report matches once, so no DISTINCT is needed."""
        term = search_term.strip()
        return (evaluated_once(queryset.filter(reports_matching(term))) if term else queryset), False

    @admin.display(description=_("state"), ordering="state")
    def signed_state(self, schedule: ReportSchedule) -> SafeString:
        """The state; below it who paused the report and why, or its problem."""
        return format_html(
            '{}<span class="ro-sub" title="{}">{}</span>',
            report_state(schedule),
            isolated(schedule.problem),
            _state_reason(schedule),
        )

    @admin.display(description=_("report"), ordering="name")
    def report_name(self, schedule: ReportSchedule) -> SafeString:
        """The name, linked to the report's page here; an arrow leads to its page in the project."""
        name = self.link_to_page(ReportSchedule, schedule.pk, report_name(schedule.name, schedule.report_key))
        address = _context(schedule).host_address
        link = (
            format_html(
                ' <a class="ro-host" href="{}" title="{}">↗<span class="ro-hidden">{}</span></a>',
                address,
                gettext("Open in the project"),
                gettext("{report}: open in the project").format(report=schedule),
            )
            if address
            else ""
        )
        return format_html('{}{}<span class="ro-sub">{}</span>', name, link, code(schedule.report_key))

    @admin.display(description=_("schedule"))
    def when(self, schedule: ReportSchedule) -> str:
        """The cron in words; below it the cron itself and its zone."""
        if not schedule.cron:
            return NOTHING
        return format_html(
            '{}<span class="ro-sub"><code dir="ltr">{}</code> <span title="{}">{}</span></span>',
            cron_in_words(schedule.cron) or gettext("invalid cron"),
            schedule.cron,
            zone_in_words(schedule),
            schedule.timezone or django_settings.TIME_ZONE,
        )

    @admin.display(description=_("last 20 runs"))
    def spark(self, schedule: ReportSchedule) -> str:
        past = _context(schedule).past[-RUNS_SHOWN:]
        if not past:
            return gettext("never run")
        outcomes = describe_outcomes(Counter(run.status_group for run in past))
        title = ngettext("The last run: {outcomes}", "The last {count} runs: {outcomes}", len(past))
        return sparkline([self._tick(run) for run in past], title=title.format(count=len(past), outcomes=outcomes))

    def _tick(self, run: PastRun) -> Tick:
        return Tick(
            LOOKS[run.status_group],
            title=f"{date_and_clock(run.scheduled_for)}: {STATUS_NAMES.get(run.status, run.status)}",
            address=page_address(ReportRun, self.admin_site.name, run.pk),
        )

    @admin.display(description=_("last run"))
    def last_time(self, schedule: ReportSchedule) -> str:
        context = _context(schedule)
        if not context.past:
            return NOTHING
        last = context.past[-1]
        status = signed(STATUS_SIGNS, last.status, STATUS_NAMES.get(last.status, last.status))
        return format_html(
            '{}<span class="ro-sub">{}</span>',
            self.link_to_page(ReportRun, last.pk, status),
            away(last.scheduled_for, context.now),
        )

    @admin.display(description=_("next run"), ordering=F("next_run_at").asc(nulls_last=True))
    def next_time(self, schedule: ReportSchedule) -> str:
        due, context = schedule.next_run_at, _context(schedule)
        if due is None:
            return NOTHING
        warning = ""
        if due < context.late_before:
            warning = format_html(
                '<span class="{}"><span aria-hidden="true">!</span> {}</span> ',
                "ro-held-back" if context.all_are_paused else "ro-overdue",
                gettext("held back since") if context.all_are_paused else gettext("overdue since"),
            )
        return format_html('{}{}<span class="ro-sub">{}</span>', warning, minute(due), away(due, context.now))

    @admin.display(description=_("typical duration"))
    def typical(self, schedule: ReportSchedule) -> str:
        span = typical_duration(_context(schedule).past)
        return NOTHING if span is None else duration(span)


def zone_in_words(schedule: ReportSchedule) -> str:
    """The time zone of the cron, marked if it is the project's default."""
    return schedule.timezone or gettext("{zone} (project default)").format(zone=django_settings.TIME_ZONE)


def _state_reason(schedule: ReportSchedule) -> str:
    if schedule.paused_at is not None:
        by = gettext("paused by {person}").format(person=isolated(schedule.paused_by) or gettext("someone"))
        return f"{by}: {isolated(schedule.pause_reason)}" if schedule.pause_reason else by
    if schedule.problem_code:
        return error_title(schedule.problem_code)
    context = _context(schedule)
    is_live = schedule.is_live_at(context.now, unless_switched=context.live_unless_switched)
    return "" if is_live else gettext("shadow: submits nothing")


def _context(schedule: ReportSchedule) -> RowContext:
    context: RowContext = getattr(schedule, "row_context")  # noqa: B009 - not a field of the model
    return context
