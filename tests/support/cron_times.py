"""Times of a cron, in a zone or in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from report_orchestrator.domain.cron import next_time, times_between
from report_orchestrator.domain.cron_parser import parse_cron


def local_times(cron: str, zone: ZoneInfo, after: str, until: str) -> list[str]:
    """The times in (after, until], both on the zone's clock, as ISO 8601 with the offset there."""
    return [
        instant.astimezone(zone).isoformat(timespec="minutes")
        for instant in times_between(
            parse_cron(cron),
            zone,
            after=datetime.fromisoformat(after).replace(tzinfo=zone),
            until=datetime.fromisoformat(until).replace(tzinfo=zone),
        )
    ]


def utc_times(cron: str, after: str, count: int) -> list[str]:
    expression, instant = parse_cron(cron), datetime.fromisoformat(after).replace(tzinfo=UTC)
    times = []
    for _ in range(count):
        instant = next_time(expression, UTC, after=instant)
        times.append(instant.strftime("%Y-%m-%d %H:%M"))
    return times


def dates(cron: str, after: str, count: int) -> list[str]:
    return [time.removesuffix(" 00:00") for time in utc_times(f"0 0 {cron}", after, count)]
