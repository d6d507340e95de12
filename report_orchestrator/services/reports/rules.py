"""The settings that a report runs by, and their sources."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from report_orchestrator.conf import FIELDS, Settings, get_settings, origin_of
from report_orchestrator.models import ReportSchedule

Source: TypeAlias = Literal["report", "synced", "dict", "environment", "default"]

SHOWN = (
    "SCHEDULING_APPROACH",
    "OVERLAP",
    "MISSED_RUNS",
    "MAX_LOOKBACK_SECONDS",
    "MAX_RETRIES",
    "RETRY_BACKOFF_SECONDS",
    "POLL_INTERVAL_SECONDS",
    "MAX_POLL_ATTEMPTS",
    "LEASE_SECONDS",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    setting: str
    value: str | int | float | timedelta
    source: Source


def report_rules(schedule: ReportSchedule, effective_settings: Settings) -> list[Rule]:
    """Return the rules as this process knows them; a worker with another environment follows its own."""
    configured = get_settings()
    rules = []
    for name in SHOWN:
        value = getattr(effective_settings, FIELDS[name])
        source: Source = origin_of(name)
        if name == "OVERLAP" and schedule.overlap:
            value, source = schedule.overlap, "report"
        elif value != getattr(configured, FIELDS[name]):
            source = "synced"
        rules.append(Rule(setting=name, value=value, source=source))
    return rules
