"""A report's cron in its zone."""

import zoneinfo
from datetime import date, datetime, tzinfo
from functools import cache

from django.utils import timezone

from report_orchestrator.domain.cron import CronExpression, named_date, next_time
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.printable import quoted
from report_orchestrator.exceptions import InvalidCronError, InvalidReportError
from report_orchestrator.models import ReportSchedule


def zone_of(schedule: ReportSchedule) -> tzinfo:
    """Return the zone of a report's cron. Raises `InvalidReportError` if there is no such zone."""
    return named_zone(schedule.timezone, str(schedule))


def zone_or_default(schedule: ReportSchedule) -> tzinfo:
    """Return a report's zone; the project's where the report's does not exist."""
    try:
        return zone_of(schedule)
    except InvalidReportError:
        return timezone.get_default_timezone()


def named_zone(name: str, report: str) -> tzinfo:
    """Return a zone by its name, which may be an old one; the project's own for a blank name.

    Raises:
        InvalidReportError: there is no such zone, or the name is that of a file only: those in `right` count leap seconds,
            and `localtime` depends on the machine.
    """
    name = name.strip()
    if not name:
        return timezone.get_default_timezone()
    try:
        zone = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _invalid_zone(name, report, "does not exist", "a name such as Europe/Amsterdam") from error
    if name in _zones():
        return zone
    plain = name.partition("/")[2]
    advice = plain if plain in _zones() else "a name such as Europe/Amsterdam"
    raise _invalid_zone(name, report, "is not the name of a time zone", advice)


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - {"Factory", "localtime"}


def _invalid_zone(name: str, report: str, problem: str, advice: str) -> InvalidReportError:
    return InvalidReportError(
        f"{report} has the time zone {quoted(name)}, which {problem}. Use {advice}, "
        "or leave it empty for the time zone of the project.",
        code=ErrorCode.INVALID_TIMEZONE,
    )


def read_cron(cron: str, *, report: str) -> CronExpression:
    """Parse a report's cron.

    Raises:
        InvalidCronError: it is invalid; the message names the report.
    """
    try:
        return parse_cron(cron)
    except InvalidCronError as error:
        raise InvalidCronError(f"{report}: {error.message}") from error


def next_run_at(schedule: ReportSchedule) -> datetime:
    """Return the first time of an active report after the last one decided.

    Raises:
        InvalidReportError: its cron or its zone is invalid.
    """
    return next_time_after(schedule.decided_until, schedule.cron, schedule.timezone, report=str(schedule))


def next_run_at_or_due(schedule: ReportSchedule) -> datetime:
    """Return `next_run_at`. A report with an invalid cron or zone is due at once: the next tick quarantines it."""
    try:
        return next_run_at(schedule)
    except InvalidReportError:
        return schedule.decided_until


def next_time_after(instant: datetime, cron: str, timezone_name: str, *, report: str = "") -> datetime:
    """Return the first time of a cron in a zone after an instant. Raises as `next_run_at`, with `report` in its message."""
    return next_time(read_cron(cron, report=report), named_zone(timezone_name, report), after=instant)


def run_date_of(schedule: ReportSchedule, scheduled_for: datetime) -> date:
    """Return the date of a run in the report's zone: of the wall time that its cron names, if it has one."""
    zone = zone_or_default(schedule)
    if not schedule.cron:
        return scheduled_for.astimezone(zone).date()
    return named_date(parse_cron(schedule.cron), zone, scheduled_for)
