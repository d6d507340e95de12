"""All texts, charts and links of the dashboard, as its template shows them."""

from collections.abc import Iterator
from datetime import tzinfo
from functools import partial

from django.utils import timezone
from django.utils.translation import gettext, ngettext

from report_orchestrator.admin.dashboard.count_rows import limit_rows, unfinished_rows
from report_orchestrator.admin.dashboard.health_cards import health_cards
from report_orchestrator.admin.dashboard.hour_charts import (
    busiest_minutes,
    day_chart,
    day_summary,
    forecast_chart,
    forecast_summary,
    next_hours_address,
)
from report_orchestrator.admin.dashboard.problems import find_problems
from report_orchestrator.admin.dashboard.signs import GOOD, worst
from report_orchestrator.admin.dashboard.verdict import news_text, verdict_text
from report_orchestrator.admin.ui.definitions import failed_means, late_means
from report_orchestrator.admin.ui.format import Sign
from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.admin.ui.live import LivePage, time_of_day
from report_orchestrator.admin.ui.outcomes import legend
from report_orchestrator.admin.ui.phrases import number
from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.monitoring.dashboard import Dashboard, read_dashboard
from report_orchestrator.services.monitoring.live_reads import SharedReads, stamp_of
from report_orchestrator.wiring import get_ports

SECONDS = 5
"""Between two questions of the script whether runs changed."""
DASHBOARDS = SharedReads(seconds=2)
"""For the script's refreshes: however many people watch, it is read once."""


def read_board(viewer: Viewer, *, is_refresh: bool = False) -> dict[str, object]:
    """Return the template's values: as they are now, for a refresh as they were at most two seconds ago.

    Raises:
        ConfigurationError: a setting is invalid.
    """
    zone = timezone.get_current_timezone()
    read = partial(_read_stamped, zone)
    stamp, at, dashboard = DASHBOARDS.get(str(zone), read) if is_refresh else read()
    address, news = viewer.live_address(), news_text(dashboard)
    live = LivePage(address=address, stamp=stamp, seconds=SECONDS, news=news, at=at)
    return {**make_board(dashboard, viewer), "live": live}


def _read_stamped(zone: tzinfo) -> tuple[str, str, Dashboard]:
    """Read the stamp before the values: a change in between is noticed at the next question."""
    runtime = get_ports()
    stamp, at = stamp_of(ReportRun.objects.all()), time_of_day()
    return stamp, at, read_dashboard(runtime.clock(), zone, get_settings(), report_model=runtime.reports.label)


def make_board(dashboard: Dashboard, viewer: Viewer) -> dict[str, object]:
    cards, problems = health_cards(dashboard), find_problems(dashboard, viewer)
    verdict = worst([*(card.sign for card in cards), *(problem.sign for problem in problems)])
    snapshot = dashboard.snapshot
    return {
        "verdict": verdict,
        "sentence": verdict_text(dashboard),
        "problems": problems,
        "no_problems": _no_problems(verdict, snapshot.paused_reports),
        "reminders": [
            (text, viewer.list_address(ReportSchedule, condition=condition))
            for condition, text in _reminders(snapshot.paused_reports, snapshot.reports_in_shadow)
        ],
        "cards": cards,
        "day": day_chart(dashboard, viewer),
        "day_summary": day_summary(dashboard),
        "legend": legend(with_expected=True),
        "forecast": forecast_chart(dashboard, viewer),
        "forecast_summary": forecast_summary(dashboard),
        "busiest": busiest_minutes(dashboard, viewer),
        "timeline": viewer.timeline_address(),
        "next_hours": next_hours_address(dashboard, viewer),
        "unfinished_rows": unfinished_rows(dashboard, viewer),
        "limit_rows": limit_rows(dashboard),
        "meanings": [failed_means(), late_means(snapshot.settings)],
        "pause_all_address": None if snapshot.pause else viewer.all_address("pause_all"),
    }


def _no_problems(verdict: Sign, paused: int) -> str:
    if verdict != GOOD:
        return gettext("No runs failed in the last 24 hours, and no reports are late. See the health cards above.")
    if paused:
        return gettext("Nothing. No runs failed in the last 24 hours, and no reports are late.")
    return gettext("Nothing. No runs failed in the last 24 hours, and no reports are late or paused.")


def _reminders(paused: int, in_shadow: int) -> Iterator[tuple[str, str]]:
    """Yield what people did on purpose and may forget, with the condition of its list: no problem."""
    if paused:
        text = ngettext("{count} report is paused.", "{count} reports are paused.", paused)
        yield "paused", text.format(count=number(paused))
    if in_shadow:
        text = ngettext(
            "{count} report is in shadow: another system runs it.",
            "{count} reports are in shadow: another system runs them.",
            in_shadow,
        )
        yield "shadow", text.format(count=number(in_shadow))
