"""A report's cron in its zone."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, tzinfo

from django.utils import timezone

from report_orchestrator.domain.cron import CronExpression, next_time, parse_cron
from report_orchestrator.exceptions import InvalidCronError, InvalidReportError
from report_orchestrator.models import ReportSchedule


def zone_of(schedule: ReportSchedule) -> tzinfo:
    """The zone that a report's cron is read in.

    Raises:
        InvalidReportError: the report names a zone that does not exist.
    """
    return named_zone(schedule.timezone, str(schedule))


def named_zone(name: str, report: str) -> tzinfo:
    """A zone by its name; the project's own where the name is empty.

    Raises:
        InvalidReportError: there is no such zone.
    """
    if not name:
        return timezone.get_default_timezone()
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidReportError(
            f"{report} has the time zone '{name}', which does not exist. Use a name such as Europe/Amsterdam, "
            "or leave it empty for the project's own.",
            code="invalid_timezone",
        ) from error


def read_cron(cron: str, *, report: str) -> CronExpression:
    """A report's cron.

    Raises:
        InvalidCronError: it cannot be read; the message names the report.
    """
    try:
        return parse_cron(cron)
    except InvalidCronError as error:
        raise InvalidCronError(f"{report}: {error.message}") from error


def first_run_at(cron: str, timezone_name: str, *, report: str, after: datetime) -> datetime:
    """When a report is due first after an instant.

    Raises:
        InvalidReportError: its cron or its zone cannot be read.
    """
    return next_time(read_cron(cron, report=report), named_zone(timezone_name, report), after=after)


def next_run_at(schedule: ReportSchedule, *, after: datetime) -> datetime:
    """When a known report is due next.

    Raises:
        InvalidReportError: its cron or its zone cannot be read.
    """
    return first_run_at(schedule.cron, schedule.timezone, report=str(schedule), after=after)
