"""A report's page: its next run, recent runs, calendar, changes and settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.changes.change_diff import in_one_line, who
from report_orchestrator.admin.reports.calendar_chart import calendar_chart, calendar_summary
from report_orchestrator.admin.reports.next_run import explain_next_run
from report_orchestrator.admin.ui.charts import Bar, Part, bars, table_of
from report_orchestrator.admin.ui.definitions import typical_means
from report_orchestrator.admin.ui.format import NOTHING, STATUS_SIGNS, duration, instant, signed
from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.admin.ui.outcomes import LOOKS, STATUS_NAMES, legend
from report_orchestrator.admin.ui.phrases import about, away, date_and_clock, isolated
from report_orchestrator.admin.ui.readonly import ReadOnlyAdmin, linked
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.services.reports.details import ReportDetails, read_report_details
from report_orchestrator.services.reports.rules import Rule
from report_orchestrator.services.reports.run_history import PastRun, typical_duration
from report_orchestrator.wiring import get_ports

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

SOURCES: dict[str, _StrPromise] = {
    "report": _("report in the project"),
    "synced": _("last sync_schedules"),
    "dict": _("REPORT_ORCHESTRATOR in the settings"),
    "environment": _("environment variable"),
    "default": _("default"),
}
SETTING_NAMES: dict[str, _StrPromise] = {
    "SCHEDULING_APPROACH": _("Scheduling approach"),
    "OVERLAP": _("If the previous run has not ended"),
    "MISSED_RUNS": _("Missed times to run"),
    "MAX_LOOKBACK_SECONDS": _("Maximum age of missed times"),
    "MAX_RETRIES": _("Retries per step"),
    "RETRY_BACKOFF_SECONDS": _("Delay before the first retry, doubled each time"),
    "POLL_INTERVAL_SECONDS": _("Time between polls of Fireant"),
    "MAX_POLL_ATTEMPTS": _("Polls before a run times out"),
    "LEASE_SECONDS": _("Time without a heartbeat before another worker takes over"),
}
AXIS_SHARE = 0.9
DWARFING = 3
"""The axis of durations ends at this share of the runs if the longest takes this many times as long."""
SHORTEST_SCALE = 0.1  # seconds
BARS_AT_LEAST = 20
VALUES: dict[tuple[str, str], _StrPromise] = {
    ("OVERLAP", "skip"): _("the next time is skipped"),
    ("OVERLAP", "queue"): _("the next run waits for it"),
    ("OVERLAP", "allow"): _("the next run starts in parallel"),
    ("MISSED_RUNS", "latest"): _("only the latest one"),
    ("MISSED_RUNS", "all"): _("all of them"),
    ("MISSED_RUNS", "none"): _("none of them"),
}
MARKS = {"failed": "✗", "skipped": "»", "under_way": "…"}


class ReportPage(ReadOnlyAdmin[ReportSchedule]):
    """Adds the overview to the report's fields."""

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        report = read_report_details(context["original"], get_ports().clock())
        overview = report_overview(report, Viewer(user=request.user, site_name=self.admin_site.name))
        return super().render_change_form(request, {**context, "overview": overview}, *args, **kwargs)


def report_overview(report: ReportDetails, viewer: Viewer) -> dict[str, object]:
    """Return the values of the overview, without the runs or changes that the viewer may not see."""
    shows_runs, shows_changes = viewer.may_view(ReportRun), viewer.may_view(ReportChange)
    if not shows_runs:
        report = replace(report, unfinished_run_id=None, past_runs=(), counts_by_day={})
    typical = typical_duration(report.past_runs)
    return {
        "next_run": explain_next_run(report),
        "zone": str(report.zone),
        "times": list(time_rows(report.next_times, report.now)),
        "typical": "" if typical is None else duration(typical),
        "meanings": [typical_means()],
        "durations": _durations(report, viewer) if report.past_runs else None,
        "calendar": calendar_chart(report, viewer),
        "calendar_summary": calendar_summary(report),
        "legend": legend(with_expected=False),
        "settings": [_setting(rule) for rule in report.rules],
        "changes": [_change(change, viewer) for change in report.changes] if shows_changes else [],
        "shows_runs": shows_runs,
        "shows_changes": shows_changes,
    }


def time_rows(times: Sequence[datetime], now: datetime) -> Iterator[dict[str, str]]:
    """Yield the rows of the table of a report's next times, which are in its zone."""
    previous = now.astimezone(times[0].tzinfo).utcoffset() if times else None
    for at in times:
        offset = at.utcoffset()
        yield {
            "weekday": format_date(at, "D"),
            "local": format_date(at, "Y-m-d H:i"),
            "iso": at.isoformat(),
            "offset": isolated(f"{at.tzname() or ''} ({offset_in_words(at)})"),
            "away": away(at, now),
            "clock_change": gettext("clock change") if offset != previous else "",
        }
        previous = offset


def offset_in_words(at: datetime) -> str:
    """The offset from UTC, such as `UTC+01:00`."""
    sign_and_digits = f"{at:%z}"
    return f"UTC{sign_and_digits[:3]}:{sign_and_digits[3:5]}"


def _durations(report: ReportDetails, viewer: Viewer) -> SafeString:
    seconds = [0.0 if run.duration is None else run.duration.total_seconds() for run in report.past_runs]
    top = axis_top(seconds)
    description = gettext("The last {count} runs, newest on the right.").format(count=len(report.past_runs))
    if top < max(seconds):
        description += " " + gettext("Bars marked ↑ go on beyond the axis.")
    chart = bars(
        [_run_bar(run, span, top, viewer) for run, span in zip(report.past_runs, seconds, strict=True)],
        name="ro-durations",
        title=gettext("Recent runs"),
        description=description,
        scale=duration(timedelta(seconds=top)) if top >= SHORTEST_SCALE else "",
        height=220,
        places=BARS_AT_LEAST,
    )
    rows = [
        (
            linked(viewer.page_address(ReportRun, run.pk), instant(run.scheduled_for)),
            signed(STATUS_SIGNS, run.status, STATUS_NAMES.get(run.status, run.status)),
            _duration(run),
        )
        for run in reversed(report.past_runs)
    ]
    headers = [gettext("Scheduled for"), gettext("Status"), gettext("Duration")]
    return format_html("{}{}", chart, table_of(gettext("Recent runs as a table"), headers, rows))


def axis_top(seconds: Sequence[float]) -> float:
    """Return the longest duration; the 90th percentile if the longest would dwarf all others."""
    ordered = sorted(seconds)
    usual = ordered[int(AXIS_SHARE * (len(ordered) - 1))]
    return usual if ordered[-1] > DWARFING * usual > 0 else ordered[-1]


def _run_bar(run: PastRun, seconds: float, top: float, viewer: Viewer) -> Bar:
    shortest_bar = top / 30 or 1
    is_cut = seconds > top
    return Bar(
        parts=(Part(look=LOOKS[run.status_group], value=min(max(seconds, shortest_bar), top or 1)),),
        mark=MARKS.get(run.status_group, "") + ("↑" if is_cut else ""),
        title=f"{date_and_clock(run.scheduled_for)}: {STATUS_NAMES.get(run.status, run.status)}, {_duration(run)}",
        address=viewer.page_address(ReportRun, run.pk),
    )


def _duration(run: PastRun) -> str:
    return NOTHING if run.duration is None else duration(run.duration)


def _setting(rule: Rule) -> dict[str, str]:
    return {
        "name": str(SETTING_NAMES[rule.setting]),
        "setting": rule.setting,
        "value": about(rule.value) if isinstance(rule.value, timedelta) else _in_words(rule),
        "source": str(SOURCES[rule.source]),
    }


def _in_words(rule: Rule) -> str:
    """Return the value as it is written in the settings, and its meaning."""
    meaning = VALUES.get((rule.setting, str(rule.value)))
    return f"{rule.value}: {meaning}" if meaning else str(rule.value)


def _change(change: ReportChange, viewer: Viewer) -> dict[str, object]:
    return {
        "at": instant(change.noticed_at),
        "kind": str(change.get_kind_display()),
        "difference": in_one_line(change),
        "who": who(change),
        "source": change.noticed_by,
        "address": viewer.page_address(ReportChange, change.pk),
    }
