"""What a report's cron means and when it fires next, or what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from report_orchestrator.admin.words import cron_in_words
from report_orchestrator.domain.cron import next_time, parse_cron
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportSchedule
from report_orchestrator.services.timing import zone_of

CHECKED_AT_MOST = 50
TIMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CronCheck:
    """One report's cron. `problem` is empty for a good one; `times` are in the report's own zone."""

    schedule: ReportSchedule
    words: str = ""
    times: tuple[str, ...] = ()
    problem: str = ""


def checked(schedule: ReportSchedule, now: datetime) -> CronCheck:
    """Reads a cron as the scheduler does."""
    try:
        cron, zone = parse_cron(schedule.cron), zone_of(schedule)
        times, after = [], now
        for _ in range(TIMES):
            after = next_time(cron, zone, after=after)
            times.append(f"{after.astimezone(zone):%Y-%m-%d %H:%M %Z}")
    except InvalidReportError as error:
        return CronCheck(schedule=schedule, problem=error.message)
    return CronCheck(schedule=schedule, words=cron_in_words(schedule.cron), times=tuple(times))
