"""A year of one report, one square per day: the outcome of its runs, and the days on which it is due."""

from calendar import monthrange
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta

from django.utils.dateformat import format as format_date
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from report_orchestrator.admin.ui.charts import leading, svg, table_of
from report_orchestrator.admin.ui.links import Viewer, interval
from report_orchestrator.admin.ui.outcomes import describe_outcomes
from report_orchestrator.admin.ui.phrases import number
from report_orchestrator.admin.ui.readonly import linked
from report_orchestrator.models import ReportRun
from report_orchestrator.services.monitoring.hourly_outcomes import StatusGroup
from report_orchestrator.services.reports.details import ReportDetails

# Pixels.
CELL = 12  # from one day to the next
SIDE = 10  # of a day's square
LEFT, TOP = 32, 18  # for the names of weekdays and months

LABELED_WEEKDAYS = (0, 2, 4)

FILLS: Mapping[StatusGroup, str] = {
    "failed": "ro-fill-bad",
    "under_way": "ro-fill-busy",
    "succeeded": "ro-fill-good",
    "skipped": "ro-fill-quiet",
}
"""Worst first: a day takes the color of its worst run."""


def calendar_chart(report: ReportDetails, viewer: Viewer) -> SafeString:
    """Return the chart, each day a link to its runs, followed by its values as a table by month."""
    days = [
        report.first_day + timedelta(days=position) for position in range((report.last_day - report.first_day).days + 1)
    ]
    width, height = LEFT + len(days) // 7 * CELL, TOP + 7 * CELL
    chart = svg(
        format_html("{}{}{}", _months(days), _weekdays(days), _squares(report, days, viewer)),
        name="ro-calendar",
        title=gettext("Calendar"),
        description=calendar_summary(report),
        width=str(width),
        height=height,
        box=f"0 0 {width} {height}",
        has_links=bool(report.counts_by_day),
    )
    return format_html(
        '<div class="ro-scroll" tabindex="0" role="group" aria-label="{}">{}</div>{}',
        gettext("Calendar"),
        chart,
        _table(report, viewer),
    )


def calendar_summary(report: ReportDetails) -> str:
    sums: Counter[StatusGroup] = Counter()
    for outcomes in report.counts_by_day.values():
        sums.update(outcomes)
    failed_days = sum(1 for outcomes in report.counts_by_day.values() if outcomes.get("failed"))
    return gettext("{outcomes}. Days with failures: {days}. Upcoming due days: {due}.").format(
        outcomes=describe_outcomes(sums) or gettext("No runs"),
        days=number(failed_days),
        due=number(len(report.due_days)),
    )


def _squares(report: ReportDetails, days: Sequence[date], viewer: Viewer) -> SafeString:
    today = report.now.astimezone(report.zone).date()
    squares = []
    for position, day in enumerate(days):
        square = _day(report, day, position, is_today=day == today)
        address = _runs(report, day, day, viewer) if report.counts_by_day.get(day) else None
        squares.append(leading(address, format_html("<title>{}</title>{}", _title(report, day), square)))
    return format_html_join("", "{}", ((square,) for square in squares))


def _runs(report: ReportDetails, first: date, last: date, viewer: Viewer) -> str | None:
    """Return the address of the report's runs of these days, by its own zone."""
    start, end = (datetime.combine(day, time(), tzinfo=report.zone) for day in (first, last + timedelta(days=1)))
    return viewer.list_address(ReportRun, report=report.schedule.pk, due=interval(start, end))


def _day(report: ReportDetails, day: date, position: int, *, is_today: bool) -> SafeString:
    x, y = LEFT + position // 7 * CELL, TOP + position % 7 * CELL
    outcomes = report.counts_by_day.get(day, {})
    fill = next((fill for outcome, fill in FILLS.items() if outcomes.get(outcome)), "ro-fill-none")
    shapes = [_square(fill, x, y)]
    if outcomes.get("failed"):
        shapes.append(format_html('<path class="ro-cross" d="M{} {}l5 5m0 -5l-5 5"/>', x + 2.5, y + 2.5))
    if day in report.due_days:
        shapes.append(_square("ro-line-due", x, y))
    if is_today:
        shapes.append(_square("ro-line-today", x, y))
    return format_html_join("", "{}", ((shape,) for shape in shapes))


def _square(css_class: str, x: float, y: float) -> SafeString:
    return format_html('<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="2"/>', css_class, x, y, SIDE, SIDE)


def _title(report: ReportDetails, day: date) -> str:
    due = gettext("due") if day in report.due_days else ""
    parts = [part for part in (describe_outcomes(report.counts_by_day.get(day, {})), due) if part]
    return f"{day.isoformat()}: {', '.join(parts) or gettext('no runs')}"


def _months(days: Sequence[date]) -> SafeString:
    """Name each month above its first whole week, unless too little of it is shown."""
    return format_html_join(
        "",
        '<text x="{}" y="{}">{}</text>',
        (
            (LEFT + (position + 6) // 7 * CELL, TOP - 6, format_date(day, "M"))
            for position, day in enumerate(days)
            if day.day == 1 and len(days) - position > 15
        ),
    )


def _weekdays(days: Sequence[date]) -> SafeString:
    return format_html_join(
        "",
        '<text x="0" y="{}">{}</text>',
        ((TOP + row * CELL + SIDE - 2, format_date(days[row], "D")) for row in LABELED_WEEKDAYS),
    )


def _table(report: ReportDetails, viewer: Viewer) -> SafeString:
    months: dict[date, Counter[StatusGroup]] = {}
    for day, outcomes in sorted(report.counts_by_day.items()):
        months.setdefault(day.replace(day=1), Counter()).update(outcomes)
    columns: Mapping[StatusGroup, str] = {
        "succeeded": gettext("Succeeded"),
        "failed": gettext("Failed"),
        "skipped": gettext("Skipped"),
        "under_way": gettext("In progress"),
    }
    rows = [
        (
            linked(_runs(report, month, _end_of(month), viewer), format_date(month, "Y-m")),
            *(number(sums[outcome]) for outcome in columns),
        )
        for month, sums in months.items()
    ]
    return table_of(gettext("Calendar as a table"), [gettext("Month"), *columns.values()], rows)


def _end_of(month: date) -> date:
    return month.replace(day=monthrange(month.year, month.month)[1])
