"""The rules that a report runs by, and where each of them comes from."""

from __future__ import annotations

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
"""The settings that decide how one report's runs go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: its setting, its value, and who says so."""

    setting: str
    value: str | int | float | timedelta
    source: Source


def policies_of(schedule: ReportSchedule, in_force: Settings) -> list[Rule]:
    """The rules as this process knows them; a worker that was started with another environment goes by its own."""
    return [_rule(name, schedule, in_force) for name in SHOWN]


def _rule(name: str, schedule: ReportSchedule, in_force: Settings) -> Rule:
    if name == "OVERLAP" and schedule.overlap:
        return Rule(setting=name, value=schedule.overlap, source="report")
    field = FIELDS[name]
    value = getattr(in_force, field)
    synced = value != getattr(get_settings(), field)
    return Rule(setting=name, value=value, source="synced" if synced else origin_of(name))
