"""The lines that each approach wants in the queue's schedule table, and keeping the table like that without a restart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from report_orchestrator.conf import Settings
from report_orchestrator.domain.cron import next_time, parse_cron
from report_orchestrator.models import Mark, ReportSchedule, ScheduleState
from report_orchestrator.ports import Ports, QueueSchedule, ScheduleSync
from report_orchestrator.services.announce import database, schedule_event

TASKS = "report_orchestrator.tasks"
SETTINGS_MARK = "schedules"
PREFIX = "report orchestrator: "
LONGEST_MINUTES = 32767
"""What the queue's column of minutes can hold."""


def sync_schedules(*, ports: Ports, settings: Settings) -> ScheduleSync:
    """Leaves exactly the lines of these settings, puts them in force for all processes, and says what differed. Idempotent."""
    now = ports.clock()
    # Before the reports are read: an edit that comes meanwhile marks the lines as stale again, and that must stand.
    Mark.objects.note(SETTINGS_MARK, now=now, detail={"in_force": _shaping(settings)})
    synced = ports.queue.sync_schedules(
        list(wanted_schedules(settings, now, report_model=ports.reports.label))
    )
    if synced.changed:
        schedule_event(
            "schedules_synced",
            approach=settings.scheduling_approach,
            lines_created=len(synced.created),
            lines_updated=len(synced.updated),
            lines_removed=len(synced.removed),
        )
    return synced


def _shaping(settings: Settings) -> dict[str, str | float]:
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
    shaping = {} if mark is None else mark.detail.get("in_force", {})
    changes: dict[str, Any] = {
        name: timedelta(seconds=value) if isinstance(getattr(settings, name), timedelta) else value
        for name, value in shaping.items()
        if name in _shaping(settings)  # what another version of this package wrote may have other names
    }
    return replace(settings, **changes)


def sync_if_stale(*, ports: Ports, settings: Settings) -> ScheduleSync | None:
    """Brings the lines in step where a report changed since, or where they were never made: cheap enough for every tick."""
    mark = Mark.objects.filter(name=SETTINGS_MARK).first()
    if mark is not None and "in_force" in mark.detail and not mark.detail.get("stale"):
        return None
    return sync_schedules(ports=ports, settings=settings)


def reconcile_soon() -> None:
    """Has the next tick bring the lines in step, after a report changed."""
    with transaction.atomic(using=database()):
        mark = Mark.objects.select_for_update().filter(name=SETTINGS_MARK).first()
        if mark is not None and not mark.detail.get("stale"):
            mark.detail = {**mark.detail, "stale": True}
            mark.save(update_fields=["detail"])


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
            yield from map(pipeline_schedule, _active_reports(report_model))


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


def _active_reports(report_model: str) -> Iterator[ReportSchedule]:
    active = ReportSchedule.objects.filter(
        report_model=report_model, state=ScheduleState.ACTIVE, paused_at__isnull=True
    ).order_by("pk")
    return active.iterator(chunk_size=1000)


def pipeline_schedule(schedule: ReportSchedule) -> QueueSchedule:
    """One report's own line, under the name by which a person looks for it."""
    return QueueSchedule(
        name=pipeline_name(schedule),
        task=f"{TASKS}.run_report",
        args=(schedule.pk,),
        cron=schedule.cron,
        next_run_at=schedule.next_run_at,
        pinned=True,
    )


def pipeline_name(schedule: ReportSchedule) -> str:
    """`report 42: Windstorm accumulation`, as long as the queue's column allows."""
    return f"report {schedule.report_key}: {schedule.name}"[:100]


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
