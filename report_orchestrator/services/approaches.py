"""Which approach is in force, and the lines and ticks that it wants."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from report_orchestrator.conf import Settings
from report_orchestrator.domain.cron import next_time, parse_cron
from report_orchestrator.models import Mark, ReportSchedule, ScheduleState
from report_orchestrator.ports import QueueSchedule

TASKS = "report_orchestrator.tasks"
SETTINGS_MARK = "schedules"
PREFIX = "report orchestrator: "
LONGEST_MINUTES = 32767
"""What the queue's column of minutes can hold."""


def shaping(settings: Settings) -> dict[str, str | float]:
    """The settings that shape the lines, as JSON carries them."""
    return {
        "scheduling_approach": settings.scheduling_approach,
        "schedule_cron_expression": settings.schedule_cron_expression,
        "schedule_interval": settings.schedule_interval.total_seconds(),
        "cron_sensor_interval": settings.cron_sensor_interval.total_seconds(),
        "discovery_sensor_interval": settings.discovery_sensor_interval.total_seconds(),
    }


def in_force(settings: Settings) -> Settings:
    """The settings with the approach that was synced last, by a starting qcluster or by the command.

    So a switch takes effect in clusters that are running, and clusters that were started with different settings do not
    undo each other's lines at every tick.
    """
    mark = Mark.objects.filter(name=SETTINGS_MARK).first()
    synced = {} if mark is None else mark.detail.get("in_force", {})
    changes: dict[str, Any] = {
        name: timedelta(seconds=value) if isinstance(getattr(settings, name), timedelta) else value
        for name, value in synced.items()
        if name in shaping(settings)  # what another version of this package wrote may have other names
    }
    return replace(settings, **changes)


def wanted_schedules(settings: Settings, now: datetime, *, report_model: str) -> Iterator[QueueSchedule]:
    """The lines of the configured approach, for the reports of one model. `discovery` and `tick` belong to all of them."""
    yield _every(settings.discovery_sensor_interval, "discovery", "run_discovery", now)
    yield _every(timedelta(minutes=1), "tick", "tick", now)
    match settings.scheduling_approach:
        case "sensor":
            yield _every(settings.cron_sensor_interval, "cron sensor", "cron_sensor", now)
        case "schedule":
            yield window_schedule(settings, now)
        case "pipeline":
            yield from report_lines(report_model)


def _every(interval: timedelta, name: str, task: str, now: datetime) -> QueueSchedule:
    """The queue counts in minutes; shorter intervals are kept by the broker's own ticking."""
    minutes = min(max(1, math.ceil(interval.total_seconds() / 60)), LONGEST_MINUTES)
    return QueueSchedule(name=PREFIX + name, task=f"{TASKS}.{task}", minutes=minutes, next_run_at=now)


def window_schedule(settings: Settings, now: datetime) -> QueueSchedule:
    """The line of the schedule approach, with its next time by our own rules."""
    cron = parse_cron(settings.schedule_cron_expression)
    return QueueSchedule(
        name=PREFIX + "schedule",
        task=f"{TASKS}.decide_window",
        cron=settings.schedule_cron_expression,
        next_run_at=next_time(cron, timezone.get_default_timezone(), after=now),
    )


def report_lines(report_model: str, keys: Collection[int] | None = None) -> Iterator[QueueSchedule]:
    """The pipeline's lines of all active reports, or of those with these primary keys."""
    active = ReportSchedule.objects.filter(
        report_model=report_model, state=ScheduleState.ACTIVE, paused_at__isnull=True
    )
    if keys is not None:
        active = active.filter(pk__in=keys)
    rows = active.order_by("pk").values_list("pk", "report_key", "name", "cron", "next_run_at")
    for pk, key, name, cron, next_run_at in rows.iterator(chunk_size=1000):
        yield QueueSchedule(
            name=pipeline_name(key, name),
            task=f"{TASKS}.run_report",
            args=(pk,),
            cron=cron,
            next_run_at=next_run_at,
            pinned=True,
        )


def pipeline_name(key: str, name: str) -> str:
    """The name by which a person finds a report's line: `report 42: Windstorm accumulation`, as long as the queue allows."""
    return f"report {key}: {name}"[:100]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bell:
    """A tick shorter than the queue's own cycle: which task, how often."""

    task: str
    name: str
    interval: timedelta

    @property
    def mark(self) -> str:
        """The name of the turn that all pushers compete for."""
        return f"bell: {self.task}"

    def turn_after(self, now: datetime) -> datetime:
        """The next whole multiple of the interval: a bell of five seconds rings on the minute too, when reports are due."""
        return now + self.interval - (now - EPOCH) % self.interval


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHORTEST_BELL = timedelta(seconds=1)
LONGEST_UPKEEP = timedelta(seconds=3)
"""Upkeep looks at two indexes; this often it costs next to nothing, and a retry is never much later than it was due."""


def bells(settings: Settings) -> list[Bell]:
    """The ticks that the broker keeps."""
    upkeep = max(SHORTEST_BELL, min(settings.poll_interval, LONGEST_UPKEEP))
    found = [Bell(task=f"{TASKS}.tick", name="tick", interval=upkeep)]
    if settings.scheduling_approach == "sensor":
        found.append(
            Bell(
                task=f"{TASKS}.cron_sensor",
                name="cron sensor",
                interval=max(SHORTEST_BELL, settings.cron_sensor_interval),
            )
        )
    return found
