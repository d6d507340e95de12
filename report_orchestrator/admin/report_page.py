"""A report's page: why it will or will not run next, when, how it went, and by which rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.addresses import Reader
from report_orchestrator.admin.answers import Answer, answer
from report_orchestrator.admin.calendar_chart import calendar, summary
from report_orchestrator.admin.charts import Bar, Part, bars, swatch, table_of
from report_orchestrator.admin.differences import in_one_line
from report_orchestrator.admin.display import NOTHING, STATUS_SIGNS, duration, instant, signed
from report_orchestrator.admin.readonly import ReadOnlyAdmin
from report_orchestrator.admin.report_list import LOOKS, STATUS_WORDS
from report_orchestrator.admin.words import about, away
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.services.reading.histories import PastRun, typical_duration
from report_orchestrator.services.reading.policies import Rule
from report_orchestrator.services.reading.report import ReportStory, read_report

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

SOURCES: dict[str, _StrPromise] = {
    "report": _("the report itself, in the project"),
    "synced": _("the approach in force, from the last sync_schedules"),
    "dict": _("REPORT_ORCHESTRATOR in the project's settings"),
    "environment": _("the environment of this process"),
    "default": _("default"),
}
RULES: dict[str, _StrPromise] = {
    "SCHEDULING_APPROACH": _("who ticks"),
    "OVERLAP": _("when the last run has not ended"),
    "MISSED_RUNS": _("times that nobody decided in time"),
    "MAX_LOOKBACK_SECONDS": _("how far back missed times are looked for"),
    "MAX_RETRIES": _("retries of a step"),
    "RETRY_BACKOFF_SECONDS": _("before the first retry, then doubled"),
    "POLL_INTERVAL_SECONDS": _("between two questions to Fireant"),
    "MAX_POLL_ATTEMPTS": _("questions before a run times out"),
    "LEASE_SECONDS": _("how long a worker may be silent"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """One of the next times. `shift` tells where the clock was changed before it."""

    local: str
    iso: str
    offset: str
    away: str
    shift: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """One rule in words."""

    what: str
    setting: str
    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """One change in words."""

    at: str
    kind: str
    difference: SafeString
    source: str
    address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that the template adds to the facts."""

    answer: Answer
    zone: str
    times: list[Time]
    typical: str
    durations: SafeString | None
    calendar: SafeString
    year: str
    legend: list[tuple[SafeString, str]]
    rules: list[RuleRow]
    changes: list[ChangeRow]
    shows_runs: bool
    shows_changes: bool


class ReportPage(ReadOnlyAdmin[ReportSchedule]):
    """Adds the story to the facts."""

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """The report's page, with its story before the facts."""
        schedule: ReportSchedule = context["original"]
        story = read_report(schedule, datetime.now(UTC))
        page = page_of(story, Reader(user=request.user, site_name=self.admin_site.name))
        return super().render_change_form(request, {**context, "story": page}, *args, **kwargs)


def page_of(story: ReportStory, reader: Reader) -> Page:
    """The story in words and pictures: how it went for whoever may see runs, and its changes for whoever may see those."""
    shows_runs, shows_changes = reader.may_view(ReportRun), reader.may_view(ReportChange)
    if not shows_runs:
        story = replace(story, live=None, past=(), days={})
    typical = typical_duration(story.past)
    return Page(
        answer=answer(story),
        zone=str(story.zone),
        times=list(_times(story)),
        typical=NOTHING if typical is None else duration(typical),
        durations=_durations(story) if story.past else None,
        calendar=calendar(story),
        year=summary(story),
        legend=[
            (swatch("good"), gettext("✓ succeeded")),
            (swatch("bad"), gettext("✗ failed")),
            (swatch("quiet"), gettext("» skipped or canceled")),
            (swatch("busy"), gettext("… under way")),
        ],
        rules=[_rule(rule) for rule in story.rules],
        changes=[_change(change, reader) for change in story.changes] if shows_changes else [],
        shows_runs=shows_runs,
        shows_changes=shows_changes,
    )


def _times(story: ReportStory) -> list[Time]:
    told = []
    before = story.now.astimezone(story.zone).utcoffset()
    for at in story.next_times:
        offset = at.utcoffset()
        told.append(
            Time(
                local=format_date(at, "D Y-m-d H:i"),
                iso=at.isoformat(),
                offset=f"{at.tzname() or ''} ({offset_in_words(at)})",
                away=away(at, story.now),
                shift=gettext("the clock has changed") if offset != before else "",
            )
        )
        before = offset
    return told


def offset_in_words(at: datetime) -> str:
    """The distance from UTC: `UTC+01:00`."""
    sign_and_digits = f"{at:%z}"
    return f"UTC{sign_and_digits[:3]}:{sign_and_digits[3:5]}"


def _durations(story: ReportStory) -> SafeString:
    seconds = [0.0 if run.took is None else run.took.total_seconds() for run in story.past]
    longest = max(seconds)
    drawn = [_run_bar(run, span, longest) for run, span in zip(story.past, seconds, strict=True)]
    chart = bars(
        drawn,
        name="ro-durations",
        title=gettext("Durations and outcomes"),
        description=gettext("The last {count} runs, the newest at the right.").format(count=len(story.past)),
        scale=about(timedelta(seconds=longest)) if longest else "",
        height=220,
    )
    rows = [
        (
            instant(run.scheduled_for),
            signed(STATUS_SIGNS, run.status, STATUS_WORDS.get(run.status, run.status)),
            NOTHING if run.took is None else duration(run.took),
        )
        for run in reversed(story.past)
    ]
    heads = [gettext("Scheduled for"), gettext("Status"), gettext("Duration")]
    return format_html("{}{}", chart, table_of(gettext("These runs as a table"), heads, rows))


def _run_bar(run: PastRun, seconds: float, longest: float) -> Bar:
    look = LOOKS[run.fate]
    least = longest / 30 or 1
    took = NOTHING if run.took is None else duration(run.took)
    when = format_date(timezone.localtime(run.scheduled_for), "Y-m-d H:i")
    return Bar(
        parts=(Part(look=look, value=max(seconds, least)),),
        mark={"failed": "✗", "skipped": "»", "under_way": "…"}.get(run.fate, ""),
        title=f"{when}: {STATUS_WORDS.get(run.status, run.status)}, {took}",
    )


def _rule(rule: Rule) -> RuleRow:
    return RuleRow(
        what=str(RULES[rule.setting]),
        setting=rule.setting,
        value=about(rule.value) if isinstance(rule.value, timedelta) else str(rule.value),
        source=str(SOURCES[rule.source]),
    )


def _change(change: ReportChange, reader: Reader) -> ChangeRow:
    return ChangeRow(
        at=instant(change.noticed_at),
        kind=str(change.get_kind_display()),
        difference=in_one_line(change),
        source=str(change.get_source_display()),
        address=reader.page_address(ReportChange, change.pk),
    )
