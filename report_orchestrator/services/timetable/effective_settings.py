"""The scheduling settings that all clusters follow: those that were synced last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from report_orchestrator.conf import Settings
from report_orchestrator.models import SharedState, StateName

DECIDING = ("scheduling_approach", "schedule_cron_expression", "schedule_interval", "cron_sensor_interval")
"""The settings that determine when times are decided, and which are then on time."""


def schedule_settings(settings: Settings) -> dict[str, str | float]:
    """Return the settings that determine the queue's schedules, as JSON values; durations in seconds."""
    return {
        "scheduling_approach": settings.scheduling_approach,
        "schedule_cron_expression": settings.schedule_cron_expression,
        "schedule_interval": settings.schedule_interval.total_seconds(),
        "cron_sensor_interval": settings.cron_sensor_interval.total_seconds(),
        "discovery_sensor_interval": settings.discovery_sensor_interval.total_seconds(),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """The last change of the approach, its cron or its interval, at `at`. By the earlier ones, times after
    `on_time_since` were on time then.
    """

    at: datetime
    on_time_since: datetime

    @classmethod
    def from_state(cls, state: SharedState | None) -> Switch | None:
        switch = None if state is None else state.detail.get("switch")
        return switch and cls(**{name: datetime.fromisoformat(instant) for name, instant in switch.items()})

    def as_json(self) -> dict[str, str]:
        return {"at": self.at.isoformat(), "on_time_since": self.on_time_since.isoformat()}


def effective_settings(settings: Settings, *, states: Mapping[str, SharedState] | None = None) -> Settings:
    """Return the settings with the schedule settings that a starting qcluster or the command synced last.

    So a switch takes effect in running clusters, and clusters started with different settings do not undo each other's
    schedules at every tick. `states` are shared states already read, by name; without them the database is read.
    """
    if states is None:
        states = SharedState.objects.in_bulk([StateName.SCHEDULES])
    state = states.get(StateName.SCHEDULES)
    synced = {} if state is None else state.detail.get("in_force", {})
    known = schedule_settings(settings)  # another version of this package may have stored other names
    changes: dict[str, Any] = {
        name: timedelta(seconds=value) if isinstance(getattr(settings, name), timedelta) else value
        for name, value in synced.items()
        if name in known
    }
    return replace(settings, **changes)
