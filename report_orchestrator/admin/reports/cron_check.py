"""Explain a report's cron, or another that a person tries, and list its next times, or say why it is invalid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from report_orchestrator.admin.reports.report_page import time_rows
from report_orchestrator.admin.ui.phrases import cron_in_words
from report_orchestrator.domain.cron import times_between
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportSchedule
from report_orchestrator.services.reports.details import SEARCH_SPAN, TIMES_SHOWN
from report_orchestrator.services.timetable.cron_zone import zone_of

CHECKED_AT_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CronCheck:
    """`times` are rows of the table of times, in the report's own zone; `problem` is empty for a valid cron."""

    schedule: ReportSchedule
    cron: str
    is_tried: bool = False
    words: str = ""
    zone: str = ""
    times: Sequence[dict[str, str]] = ()
    problem: str = ""


def check_cron(schedule: ReportSchedule, now: datetime, tried: str = "") -> CronCheck:
    """Parse the report's cron, or the tried one, exactly as the scheduler does."""
    text, is_tried = tried or schedule.cron, bool(tried)
    try:
        cron, zone = parse_cron(text), zone_of(schedule)
        times = list(islice(times_between(cron, zone, after=now, until=now + SEARCH_SPAN), TIMES_SHOWN))
    except InvalidReportError as error:
        return CronCheck(schedule=schedule, cron=text, is_tried=is_tried, problem=error.message)
    return CronCheck(
        schedule=schedule,
        cron=text,
        is_tried=is_tried,
        words=cron_in_words(text),
        zone=str(zone),
        times=list(time_rows([at.astimezone(zone) for at in times], now)),
    )
