"""The charts of the last 24 hours and of the next 12."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from report_orchestrator.admin.ui.charts import Bar, Part, bars, table_of
from report_orchestrator.admin.ui.links import Viewer, interval
from report_orchestrator.admin.ui.outcomes import LEGEND, LOOKS, describe_outcomes
from report_orchestrator.admin.ui.phrases import clock, isolated, number
from report_orchestrator.admin.ui.readonly import linked
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.monitoring.dashboard import Dashboard
from report_orchestrator.services.monitoring.hourly_outcomes import HOUR, HourCounts, StatusGroup, sum_hours

LABELED_EVERY = 3  # hours
NEXT_HOURS = 3
MINUTE = timedelta(minutes=1)
BY_NEXT_RUN = 6
"""The position of the column "next run" in the list of reports."""


def day_chart(dashboard: Dashboard, viewer: Viewer) -> SafeString:
    """Return the bars of the last 24 hours, each a link to its runs, followed by their values as a table."""
    most = max(hour.expected for hour in dashboard.hours)
    chart = bars(
        [_hour_bar(hour, position, _runs(hour, viewer)) for position, hour in enumerate(dashboard.hours)],
        name="ro-day",
        title=gettext("Last 24 hours"),
        description=day_summary(dashboard),
        scale=gettext("{count} per hour").format(count=number(most)) if most else "",
    )
    headers = [gettext("Hour"), *(str(label) for _look, label in LEGEND)]
    rows = [
        (linked(_runs(hour, viewer), _span(hour)), *map(number, (*_counts(hour).values(), hour.expected)))
        for hour in dashboard.hours
    ]
    return chart + table_of(gettext("Last 24 hours as a table"), headers, rows)


def day_summary(dashboard: Dashboard) -> str:
    total = sum_hours(dashboard.hours, dashboard.hours[0].start)
    return f"{_describe(total)}. {gettext('Manual runs are not counted.')}"


def _runs(hour: HourCounts, viewer: Viewer) -> str | None:
    """Return the address of the hour's runs, if any of its times has one."""
    if hour.expected == hour.without_run:
        return None
    return viewer.list_address(ReportRun, due=interval(hour.start, hour.start + HOUR))


def _hour_bar(hour: HourCounts, position: int, address: str | None) -> Bar:
    counts = _counts(hour)
    return Bar(
        parts=[Part(look=LOOKS[group], value=count) for group, count in counts.items()],
        whole=hour.expected,
        mark="✗" if hour.failed else "!" if hour.without_run else "",
        label="" if position % LABELED_EVERY else clock(hour.start),
        is_minor=position % (2 * LABELED_EVERY) != 0,
        title=f"{_span(hour)}: {_describe(hour)}",
        address=address,
    )


def _counts(hour: HourCounts) -> Mapping[StatusGroup, int]:
    """The counts in the order of a bar's parts, from the bottom up."""
    return {"succeeded": hour.succeeded, "under_way": hour.under_way, "skipped": hour.skipped, "failed": hour.failed}


def _describe(hour: HourCounts) -> str:
    if not hour.expected:
        return gettext("No runs due")
    return ngettext("{count} run due: {outcomes}", "{count} runs due: {outcomes}", hour.expected).format(
        count=number(hour.expected), outcomes=describe_outcomes(_counts(hour)) or gettext("none created yet")
    )


def _span(hour: HourCounts) -> str:
    return isolated(f"{clock(hour.start)}–{clock(hour.start + HOUR)}")  # noqa: RUF001 - an en dash, as in all spans


def forecast_chart(dashboard: Dashboard, viewer: Viewer) -> SafeString:
    """Return the bars of the next 12 hours, each a link to its reports, followed by their values as a table."""
    forecast = dashboard.forecast
    most = max((count for _start, count in forecast.hours), default=0)
    chart = bars(
        [
            Bar(
                parts=(Part(look="due", value=count),),
                label="" if position % 2 else clock(start),
                is_minor=position % 4 != 0,
                mark=number(count) if count and count == most else "",
                title=gettext("{hour}: {count} due").format(hour=clock(start), count=number(count)),
                address=_reports(start, count, viewer),
            )
            for position, (start, count) in enumerate(forecast.hours)
        ],
        name="ro-ahead",
        title=gettext("Next 12 hours"),
        description=forecast_summary(dashboard),
        scale="",
    )
    rows = [(linked(_reports(start, count, viewer), clock(start)), number(count)) for start, count in forecast.hours]
    return chart + table_of(gettext("Next 12 hours as a table"), [gettext("Hour from"), gettext("Due")], rows)


def _reports(start: datetime, count: int, viewer: Viewer) -> str | None:
    """Return the address of the reports that are due in the hour."""
    return viewer.list_address(ReportSchedule, due=interval(start, start + HOUR)) if count else None


def busiest_minutes(dashboard: Dashboard, viewer: Viewer) -> list[tuple[str, str | None]]:
    """Return the minutes at which several reports are due, fullest first, with the addresses of their lists."""
    return [
        (
            gettext("{time} ({count} at once)").format(count=number(count), time=clock(at)),
            viewer.list_address(ReportSchedule, due=interval(at, at + MINUTE)),
        )
        for at, count in dashboard.forecast.peaks
        if count > 1
    ]


def next_hours_address(dashboard: Dashboard, viewer: Viewer) -> str | None:
    """Return the address of the reports due in the next `NEXT_HOURS` hours, by their next time."""
    now = dashboard.snapshot.now
    return viewer.list_address(ReportSchedule, due=interval(now, now + NEXT_HOURS * HOUR), o=BY_NEXT_RUN)


def forecast_summary(dashboard: Dashboard) -> str:
    forecast = dashboard.forecast
    if not forecast.total:
        return gettext("No runs due.")
    text = ngettext("{count} run due.", "{count} runs due.", forecast.total)
    if dashboard.snapshot.pause is not None:
        text = ngettext(
            "{count} run due if scheduling resumes.", "{count} runs due if scheduling resumes.", forecast.total
        )
    return text.format(count=number(forecast.total))
