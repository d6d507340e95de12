"""Explain a report's cron and list its next times, or say why it is invalid."""

from dataclasses import dataclass
from datetime import datetime

from report_orchestrator.admin.ui.phrases import cron_in_words
from report_orchestrator.domain.cron import next_time
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportSchedule
from report_orchestrator.services.timetable.cron_zone import zone_of

CHECKED_AT_MOST = 50
TIMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CronCheck:
    """`times` are in the report's own zone; `problem` is empty for a valid cron."""

    schedule: ReportSchedule
    words: str = ""
    times: tuple[str, ...] = ()
    problem: str = ""


def check_cron(schedule: ReportSchedule, now: datetime) -> CronCheck:
    """Parse the cron exactly as the scheduler does."""
    try:
        cron, zone = parse_cron(schedule.cron), zone_of(schedule)
        times, after = [], now
        for _ in range(TIMES):
            after = next_time(cron, zone, after=after)
            times.append(f"{after.astimezone(zone):%Y-%m-%d %H:%M %Z}")
    except InvalidReportError as error:
        return CronCheck(schedule=schedule, problem=error.message)
    return CronCheck(schedule=schedule, words=cron_in_words(schedule.cron), times=tuple(times))
