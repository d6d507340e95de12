"""The rows that Django-Q's schedule table should hold, and the ticks that our cluster or broker runs more often."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from report_orchestrator.conf import Settings
from report_orchestrator.domain.cron import next_time
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.models import ReportSchedule, ScheduleState
from report_orchestrator.models.shared_state import TURN_PREFIX
from report_orchestrator.ports import QueueSchedule
from report_orchestrator.services.timetable.due_times import next_window

TASKS = "report_orchestrator.tasks"
PREFIX = "report orchestrator: "
LONGEST_NAME = 100
"""Characters of the table's column `name`."""
LONGEST_MINUTES = 32767
"""The maximum of the table's column `minutes`."""


def wanted_schedules(settings: Settings, now: datetime, *, report_model: str) -> Iterator[QueueSchedule]:
    """Return the schedules of the configured approach for the reports of one model."""
    yield from _common_schedules(settings, now)
    match settings.scheduling_approach:
        case "sensor":
            yield _every(settings.cron_sensor_interval, "cron sensor", "cron_sensor", now)
        case "schedule":
            yield window_schedule(settings, now)
        case "pipeline":
            yield from pipeline_schedules(report_model)


def count_pipeline_schedules(settings: Settings, now: datetime, *, report_model: str) -> int:
    """Return the number of schedules that `wanted_schedules` returns in the pipeline approach."""
    return len(_common_schedules(settings, now)) + _scheduled_reports(report_model).count()


def _common_schedules(settings: Settings, now: datetime) -> Sequence[QueueSchedule]:
    """Return the schedules that all approaches have."""
    return (
        _every(settings.discovery_sensor_interval, "discovery", "run_discovery", now),
        _every(timedelta(minutes=1), "tick", "tick", now),
    )


def _every(interval: timedelta, name: str, task: str, now: datetime) -> QueueSchedule:
    """Round up to the table's whole minutes; our broker ticks at shorter intervals."""
    minutes = min(max(1, math.ceil(interval.total_seconds() / 60)), LONGEST_MINUTES)
    return QueueSchedule(name=PREFIX + name, task=f"{TASKS}.{task}", minutes=minutes, next_run_at=now)


def window_schedule(settings: Settings, now: datetime) -> QueueSchedule:
    """Return the row of the schedule approach, with its next time by our own cron rules."""
    return QueueSchedule(
        name=PREFIX + "schedule",
        task=f"{TASKS}.decide_window",
        cron=settings.schedule_cron_expression,
        next_run_at=next_window(now, settings),
    )


def pipeline_schedules(report_model: str, keys: Collection[int] | None = None) -> Iterator[QueueSchedule]:
    """Return the rows of the pipeline approach: all active reports, or those with these primary keys."""
    active = _scheduled_reports(report_model)
    if keys is not None:
        active = active.filter(pk__in=keys)
    rows = active.order_by("pk").values_list("pk", "report_key", "name", "cron", "next_run_at")
    for pk, key, name, cron, next_run_at in rows.iterator(chunk_size=1000):
        yield QueueSchedule(
            name=pipeline_name(pk, key, name),
            group=pipeline_group(pk),
            task=f"{TASKS}.run_report",
            args=(pk,),
            cron=cron,
            next_run_at=next_run_at,
            pinned=True,
        )


def _scheduled_reports(report_model: str) -> QuerySet[ReportSchedule]:
    return ReportSchedule.objects.filter(report_model=report_model, state=ScheduleState.ACTIVE, paused_at__isnull=True)


def pipeline_name(pk: int, key: str, name: str) -> str:
    """Return the name of a report's row, `report 42: Windstorm accumulation #7`: cut to the column, unique by its number."""
    number = f" #{pk}"
    return f"report {key}: {name}"[: LONGEST_NAME - len(number)] + number


def pipeline_group(pk: int) -> str:
    """Return the group of a report's tasks: process titles show it to all users of the machine, so it has no name."""
    return f"report #{pk}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A task that our cluster or broker runs by itself, independent of the queue's schedule table."""

    task: str
    name: str
    interval: timedelta = timedelta(0)
    cron: str = ""
    """If set, it replaces the interval."""

    @property
    def state_name(self) -> str:
        return TURN_PREFIX + self.task

    def turn_after(self, now: datetime) -> datetime:
        """Return the next whole multiple of the interval, so that ticks fall on full minutes, when reports are due."""
        if self.cron:
            return next_time(parse_cron(self.cron), timezone.get_default_timezone(), after=now)
        return now + self.interval - (now - EPOCH) % self.interval


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHORTEST_TICK = timedelta(seconds=1)
LONGEST_UPKEEP = timedelta(seconds=3)
"""Upkeep costs two index look-ups, so it may run this often; a retry starts at most this late."""


def ticks(settings: Settings) -> list[Tick]:
    upkeep = max(SHORTEST_TICK, min(settings.poll_interval, LONGEST_UPKEEP))
    result = [
        Tick(task=f"{TASKS}.tick", name="tick", interval=upkeep),
        Tick(task=f"{TASKS}.rediscover", name="discovery", interval=settings.discovery_sensor_interval),
    ]
    match settings.scheduling_approach:
        case "sensor":
            interval = max(SHORTEST_TICK, settings.cron_sensor_interval)
            result.append(Tick(task=f"{TASKS}.cron_sensor", name="cron sensor", interval=interval))
        case "schedule":
            cron = settings.schedule_cron_expression
            result.append(Tick(task=f"{TASKS}.decide_window", name="schedule", cron=cron))
    return result
