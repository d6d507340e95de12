"""The columns of the reports' list: where each stands, when it runs, how it went, and when it runs next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.addresses import host_address, may_view_runs
from report_orchestrator.admin.causes import cause_in_words
from report_orchestrator.admin.charts import Look, sparkline
from report_orchestrator.admin.display import (
    NOTHING,
    STATE_SIGNS,
    STATUS_SIGNS,
    Sign,
    code,
    duration,
    minute,
    signed,
)
from report_orchestrator.admin.readonly import ReadOnlyAdmin
from report_orchestrator.admin.settings_in_force import settings_for
from report_orchestrator.admin.words import away, cron_in_words
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.models.runs import STATUS_LABELS
from report_orchestrator.services.pausing import all_are_paused
from report_orchestrator.services.reading.conditions import found_once
from report_orchestrator.services.reading.day import Fate
from report_orchestrator.services.reading.forecast import patience
from report_orchestrator.services.reading.histories import PastRun, last_runs_of, typical_duration

STATUS_WORDS = {status.value: label for status, label in STATUS_LABELS.items()}
LOOKS: Mapping[Fate, Look] = {
    "succeeded": "good",
    "failed": "bad",
    "skipped": "quiet",
    "under_way": "busy",
}
OF_RUNS = frozenset({"spark", "last_time", "typical"})
PAUSED = {"paused": Sign("=", "warn")}
SHORT_STATES = {
    ScheduleState.UNSCHEDULED: _("no cron"),
    ScheduleState.DISABLED: _("disabled"),
    ScheduleState.QUARANTINED: _("quarantined"),
    ScheduleState.REMOVED: _("removed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a row of the list knows besides its report, read for all rows at once."""

    now: datetime
    patience: timedelta
    all_are_paused: bool
    past: Sequence[PastRun] = field(default=())
    host: str | None = None


class ReportList(ReadOnlyAdmin[ReportSchedule]):
    """The list's columns."""

    def get_list_display(self, request: HttpRequest) -> Any:
        """The columns; those that tell of runs are for whoever may see runs."""
        columns = super().get_list_display(request)
        return columns if may_view_runs(request) else [one for one in columns if one not in OF_RUNS]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With the last runs of the rows on this page, in one query."""
        changelist = super().get_changelist_instance(request)
        rows: list[ReportSchedule] = list(changelist.result_list)
        past = last_runs_of([row.pk for row in rows]) if may_view_runs(request) else {}
        now, bound = datetime.now(UTC), patience(settings_for(request))
        pause = (
            all_are_paused()
            if any(row.next_run_at and row.next_run_at < now - bound for row in rows)
            else False
        )
        for row in rows:
            seen = Seen(
                now=now,
                patience=bound,
                all_are_paused=pause,
                past=past.get(row.pk, ()),
                host=self.host_page(row, request),
            )
            setattr(row, "seen", seen)  # noqa: B010 - a row of a list, not a field of the model
        return changelist

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ReportSchedule], search_term: str
    ) -> tuple[QuerySet[ReportSchedule], bool]:
        """Names are searched by a scan, so once is enough. A report is found once, so nothing has to be made distinct."""
        found, _may_have_duplicates = super().get_search_results(request, queryset, search_term)
        return (found_once(found) if search_term.strip() else found), False

    def host_page(self, schedule: ReportSchedule, request: HttpRequest) -> str | None:
        """The report's page in the host's own admin, for whoever may see it."""
        model = host_model(schedule.report_model)
        if model is None or schedule.state == ScheduleState.REMOVED:
            return None
        return host_address(self.admin_site, model, schedule.report_key, request)

    @admin.display(description=_("state"), ordering="state")
    def signed_state(self, schedule: ReportSchedule) -> SafeString:
        """What the scheduler may do with it; paused by whom and why, or what is wrong."""
        return format_html("{}{}", _state(schedule), _beside_state(schedule))

    @admin.display(description=_("report"), ordering="name")
    def report_name(self, schedule: ReportSchedule) -> SafeString:
        """Its name, leading to its page here, and beside it to its page in the project."""
        name = self.link_to_page(ReportSchedule, schedule.pk, schedule.name or schedule.report_key)
        host = _seen(schedule).host
        link = (
            format_html(
                ' <a class="ro-host" href="{}" title="{}">↗<span class="ro-hidden">{}</span></a>',
                host,
                gettext("its own page in the project"),
                gettext("{report}: its own page in the project").format(report=schedule.name),
            )
            if host
            else ""
        )
        return format_html('{}{}<span class="ro-sub">{}</span>', name, link, code(schedule.report_key))

    @admin.display(description=_("when it runs"))
    def when(self, schedule: ReportSchedule) -> str:
        """Its cron in words, in which zone, and as it stands."""
        if not schedule.cron:
            return NOTHING
        words = cron_in_words(schedule.cron)
        return format_html(
            '{}<span class="ro-sub"><code>{}</code> <span title="{}">{}</span></span>',
            words or gettext("cannot be read"),
            schedule.cron,
            zone_in_words(schedule),
            schedule.timezone or django_settings.TIME_ZONE,
        )

    @admin.display(description=_("last twenty runs"))
    def spark(self, schedule: ReportSchedule) -> str:
        """How they went, the newest at the right."""
        past = _seen(schedule).past
        if not past:
            return gettext("never run")
        return sparkline([LOOKS[run.fate] for run in past], title=told_runs(past))

    @admin.display(description=_("last run"))
    def last_time(self, schedule: ReportSchedule) -> str:
        """How it last went, and when."""
        seen = _seen(schedule)
        if not seen.past:
            return NOTHING
        last = seen.past[-1]
        word = signed(STATUS_SIGNS, last.status, STATUS_WORDS.get(last.status, last.status))
        return format_html(
            '{}<span class="ro-sub">{}</span>',
            self.link_to_page(ReportRun, last.pk, word),
            away(last.scheduled_for, seen.now),
        )

    @admin.display(description=_("next run"), ordering="next_run_at")
    def next_time(self, schedule: ReportSchedule) -> str:
        """When it is due next, since when it is overdue, or since when a pause of all reports holds it back."""
        due, seen = schedule.next_run_at, _seen(schedule)
        if due is None:
            return NOTHING
        if due < seen.now - seen.patience:
            return format_html(
                '<span class="{}"><span aria-hidden="true">!</span> {}</span> {}<span class="ro-sub">{}</span>',
                "ro-held-back" if seen.all_are_paused else "ro-overdue",
                gettext("held back since") if seen.all_are_paused else gettext("overdue since"),
                minute(due),
                away(due, seen.now),
            )
        return format_html('{}<span class="ro-sub">{}</span>', minute(due), away(due, seen.now))

    @admin.display(description=_("typical duration"))
    def typical(self, schedule: ReportSchedule) -> str:
        """The median of the runs that succeeded among the last twenty."""
        span = typical_duration(_seen(schedule).past)
        return NOTHING if span is None else duration(span)


def host_model(label: str) -> type[Model] | None:
    """The host's model of that label; None where the project no longer has it."""
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        return None


def zone_in_words(schedule: ReportSchedule) -> str:
    """The zone that the cron is read in, and whose it is."""
    return schedule.timezone or gettext("{zone} (the project's)").format(zone=django_settings.TIME_ZONE)


def told_runs(past: Sequence[PastRun]) -> str:
    """The sparkline in words."""
    counted = Counter(run.fate for run in past)
    words: Mapping[Fate, str] = {
        "succeeded": gettext("{count} succeeded"),
        "failed": gettext("{count} failed"),
        "skipped": gettext("{count} skipped"),
        "under_way": gettext("{count} under way"),
    }
    parts = ", ".join(word.format(count=counted[fate]) for fate, word in words.items() if counted[fate])
    return ngettext("The last run: {parts}", "The last {count} runs: {parts}", len(past)).format(
        count=len(past), parts=parts
    )


def _state(schedule: ReportSchedule) -> SafeString:
    if schedule.paused_at is not None and schedule.state == ScheduleState.ACTIVE:
        return signed(PAUSED, "paused", gettext("paused"))
    word = SHORT_STATES.get(ScheduleState(schedule.state), schedule.get_state_display())
    return signed(STATE_SIGNS, schedule.state, word)


def _beside_state(schedule: ReportSchedule) -> str:
    if schedule.paused_at is not None:
        by = gettext("paused by {person}").format(person=schedule.paused_by or gettext("somebody"))
        why = f"{by}: {schedule.pause_reason}" if schedule.pause_reason else by
        return format_html('<span class="ro-sub">{}</span>', why)
    if schedule.problem_code:
        word = cause_in_words(schedule.problem_code)
        return format_html('<span class="ro-sub" title="{}">{}</span>', schedule.problem, word)
    return ""


def _seen(schedule: ReportSchedule) -> Seen:
    seen: Seen = getattr(schedule, "seen")  # noqa: B009 - set by the list for its rows
    return seen
