"""The timeline as SVG, one row for each report: runs as bars by step, due times as marks, now as a line.

Thousands of marks are put together from our own numbers; only texts are escaped.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cache

from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from report_orchestrator.admin.runs.step_bars import segments_of
from report_orchestrator.admin.ui.charts import svg, table_of
from report_orchestrator.admin.ui.format import NOTHING, STATUS_SIGNS, duration, minute, report_name, signed
from report_orchestrator.admin.ui.links import Viewer, interval
from report_orchestrator.admin.ui.outcomes import LOOKS, STATUS_NAMES
from report_orchestrator.admin.ui.phrases import clock, date_and_clock, number
from report_orchestrator.admin.ui.readonly import linked
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.models.runs import STEP_LABELS
from report_orchestrator.services.monitoring.hourly_outcomes import HOUR, start_of_hour
from report_orchestrator.services.monitoring.timeline import Timeline, TimelineRun

ROW = 22  # pixels, as in the stylesheet
PAD = 4  # pixels above and below a bar
NARROWEST = 0.15  # per cent
AXIS = 24  # pixels
LABELS_AT_MOST = 13


def timeline_chart(timeline: Timeline, viewer: Viewer) -> SafeString:
    height = max(len(timeline.reports), 1) * ROW
    marks = "".join((*_grid(timeline, height), *_rows(timeline, viewer), _now(timeline, height)))
    return svg(
        mark_safe(marks),  # noqa: S308 - our own numbers, and escaped texts
        name="ro-timeline",
        title=gettext("Timeline"),
        description=describe_span(timeline),
        width="100%",
        height=height,
        has_links=True,
    )


def describe_span(timeline: Timeline) -> str:
    return gettext("From {start} to {end}. Reports: {count}.").format(
        count=number(len(timeline.reports)), start=date_and_clock(timeline.start), end=date_and_clock(timeline.end)
    )


def timeline_axis(timeline: Timeline) -> SafeString:
    """Return the hours above the chart; the table has them for screen readers."""
    hours = _hours(timeline)
    every = -(-len(hours) // LABELS_AT_MOST)
    labels = "".join(
        f'<text class="ro-label" x="{_place(timeline, at)}" y="{AXIS - 8}">{clock(at)}</text>'
        for at in hours
        if timezone.localtime(at).hour % every == 0
    )
    return format_html(
        '<svg class="ro-chart ro-axis-hours" aria-hidden="true" width="100%" height="{}">{}</svg>',
        AXIS,
        mark_safe(labels),  # noqa: S308 - our own numbers
    )


def timeline_table(timeline: Timeline, viewer: Viewer) -> SafeString:
    """Return a row for each report, with links to its runs of the span, its last run and its page."""
    heads = [gettext("Report"), gettext("Runs"), gettext("Failed"), gettext("Last run"), gettext("Next due")]
    return table_of(gettext("Timeline as a table"), heads, (_cells(timeline, key, viewer) for key in timeline.reports))


def _cells(timeline: Timeline, report: ReportSchedule, viewer: Viewer) -> list[object]:
    runs, due = timeline.runs.get(report.pk, ()), timeline.due.get(report.pk, ())
    address = viewer.list_address(ReportRun, report=report.pk, due=interval(timeline.start, timeline.end))
    page = viewer.page_address(ReportSchedule, report.pk)
    failed = sum(run.status_group == "failed" for run in runs)
    last: object = NOTHING
    if runs:
        status = signed(STATUS_SIGNS, runs[-1].status, STATUS_NAMES.get(runs[-1].status, runs[-1].status))
        last = linked(viewer.page_address(ReportRun, runs[-1].pk), status)
    return [
        linked(page, report_name(report.name, report.report_key)),
        linked(address if runs else None, number(len(runs))),
        number(failed),
        last,
        linked(page, minute(due[0])) if due else NOTHING,
    ]


def _rows(timeline: Timeline, viewer: Viewer) -> Iterator[str]:
    run_link, report_link = _opening(viewer, ReportRun), _opening(viewer, ReportSchedule)
    span = _Texts()
    for row, report in enumerate(timeline.reports):
        top = row * ROW + PAD
        for run in timeline.runs.get(report.pk, ()):
            yield f"{run_link(run.pk)}{_run(timeline, run, top, span)}</a>"
        for at in timeline.due.get(report.pk, ()):
            title = escape(gettext("due {time}").format(time=span.time(at)))
            place = _place(timeline, at)
            yield (
                f"{report_link(report.pk)}<title>{title}</title>"
                f'<circle class="ro-due-mark" cx="{place}" cy="{top + ROW / 2 - PAD}" r="4"/></a>'
            )


class _Texts:
    """Times and durations in words, each formatted once."""

    def __init__(self) -> None:
        self.time = cache(clock)
        self.duration = cache(duration)
        self.status = cache(lambda status: str(STATUS_NAMES.get(status, status)))


def _opening(viewer: Viewer, model: type[ReportRun | ReportSchedule]) -> Callable[[int], str]:
    """Return the opening tags of links to the model's pages; an address is reversed once, not for each mark."""
    address = viewer.page_address(model, 0)
    if address is None:
        return lambda _key: "<a>"
    before, _zero, after = address.rpartition("0")
    before, after = escape(before), escape(after)
    return lambda key: f'<a class="ro-to" href="{before}{key}{after}" tabindex="-1" aria-hidden="true">'


def _run(timeline: Timeline, run: TimelineRun, top: int, texts: _Texts) -> str:
    """Return the bars of one run: its steps if they were read, and else its wait for a worker and its work."""
    until = run.ended_at or timeline.now
    status = texts.status(run.status)
    attempts = timeline.attempts.get(run.pk)
    if attempts:
        retried = [run.retried_at] if run.retried_at else []
        return "".join(
            f"<g><title>{escape(f'{status}. {STEP_LABELS[part.step]}: {part.label}')}</title>"  # type: ignore[index]
            f"{_bar(timeline, part.since, part.until, top, _piece(part.look, is_waiting=part.is_waiting))}</g>"
            for part in segments_of(run, attempts, retried, until)
            if not part.is_idle
        )
    begun = run.retried_at or run.started_at or until
    took = texts.duration(timedelta(seconds=round((until - begun).total_seconds())))
    title = f"<title>{texts.time(run.scheduled_for)} {escape(status)}, {took}</title>"
    waited = _bar(timeline, run.created_at, run.started_at or until, top, _piece("wait", is_waiting=True))
    return f"{title}{waited}{_bar(timeline, begun, until, top, _fill(run))}"


def _fill(run: TimelineRun) -> str:
    look = LOOKS[run.status_group]
    return f'class="ro-fill-{look}"'


def _piece(look: str, *, is_waiting: bool) -> str:
    """Return the attributes of a step's bar, in the colors of a run's page."""
    if is_waiting:
        return f'class="ro-piece-edge ro-edge-{look}" fill="url(#ro-hatch)"'
    return f'class="ro-piece ro-piece-{look}"'


def _bar(timeline: Timeline, since: datetime, until: datetime, top: int, attributes: str) -> str:
    """Return a bar as far as it lies in the span; nothing if it does not."""
    left, right = _share(timeline, max(since, timeline.start)), _share(timeline, until)
    is_narrow_wait = "ro-piece-edge" in attributes and right - left < NARROWEST  # it would hide the work
    if until < timeline.start or until < since or is_narrow_wait:
        return ""
    width = max(right - left, NARROWEST)
    return f'<rect {attributes} x="{left:.2f}%" y="{top}" width="{width:.2f}%" height="{ROW - 2 * PAD}"/>'


def _share(timeline: Timeline, at: datetime) -> float:
    return 100 * ((at - timeline.start) / (timeline.end - timeline.start))


def _place(timeline: Timeline, at: datetime) -> str:
    return f"{_share(timeline, at):.2f}%"


def _hours(timeline: Timeline) -> list[datetime]:
    first = start_of_hour(timeline.start, timezone.get_current_timezone()) + HOUR
    return [first + n * HOUR for n in range(int((timeline.end - first) / HOUR) + 1)]


def _grid(timeline: Timeline, height: int) -> Iterator[str]:
    for at in _hours(timeline):
        place = _place(timeline, at)
        yield f'<line class="ro-grid" x1="{place}" x2="{place}" y1="0" y2="{height}"/>'
    for row in range(1, len(timeline.reports)):
        yield f'<line class="ro-row-line" x1="0" x2="100%" y1="{row * ROW}" y2="{row * ROW}"/>'


def _now(timeline: Timeline, height: int) -> str:
    place = _place(timeline, timeline.now)
    title = escape(gettext("Now: {time}").format(time=clock(timeline.now)))
    return f'<g><title>{title}</title><line class="ro-now" x1="{place}" x2="{place}" y1="0" y2="{height}"/></g>'
