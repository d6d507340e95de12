"""Django-Q2 as the doorbell: short messages, and lines in its schedule table that are always valid and never anybody's truth."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import router, transaction
from django.db.models import QuerySet
from django_q.conf import Conf
from django_q.models import Schedule, Task
from django_q.status import Stat
from django_q.tasks import async_task

from report_orchestrator.adapters.host_clock import queue_time
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import QueueSchedule, ScheduleSync

TASKS = "report_orchestrator.tasks."
WORK = f"{TASKS}work"
BATCH = 1000

LONGEST_CRON = 100
"""What the queue's column holds. A longer one is kept by our own next time, or looked at every minute:
whoever is rung decides by our rules in any case."""
DAY = 1440  # minutes

CLOCKS_APART = timedelta(minutes=15)
"""How far the queue's clock may be from the database's. Zones are at least twice as far apart."""

logger = logging.getLogger("report_orchestrator.queue")

_COMPARED = (
    "func",
    "args",
    "kwargs",
    "hook",
    "intended_date_kwarg",
    "cluster",
    "schedule_type",
    "minutes",
    "cron",
    "repeats",
)


def send(task: str, *args: int | str, name: str = "", group: str = "") -> None:
    """Puts one message into the queue. It has no time limit of the queue's: leases and time-outs of our own bound the work."""
    async_task(task, *args, q_options={"timeout": -1, "task_name": name or None, "group": group or None})


def _bell(run_id: int, group: str) -> Callable[[], None]:
    """A function, not a partial: Django names the robust callback that failed by its `__qualname__`."""

    def ring() -> None:
        send(WORK, run_id, name=f"run {run_id}", group=group)

    return ring


class DjangoQ:
    """A `TaskQueue` over Django-Q2's broker and its `Schedule` table."""

    def __init__(self) -> None:
        self._is_silent = False

    def ring(self, run_ids: Sequence[int], *, group: str = "") -> None:
        """One message for each run, after the commit. A broker that fails costs speed only: the tick finds the runs."""
        for run_id in run_ids:
            transaction.on_commit(_bell(run_id, group), using=router.db_for_write(ReportRun), robust=True)

    def sync_schedules(
        self,
        wanted: Iterable[QueueSchedule],
        *,
        only: Collection[tuple[int | str, ...]] | None = None,
    ) -> ScheduleSync:
        """Makes our lines exactly those wanted, in bulk, touching only what differs. Lines that are right are not loaded."""
        with transaction.atomic(using=router.db_for_write(Schedule)):
            ours = Schedule.objects.filter(func__startswith=TASKS)
            if only is not None:
                ours = ours.filter(args__in=[repr(arguments) for arguments in only])
            comparison = _Comparison.of(ours)
            for line in wanted:
                comparison.take(line)
            return comparison.write()

    def move_schedule(self, name: str, next_run_at: datetime | None) -> None:
        """Corrects a line's next time; a line without one sleeps until it is given one."""
        Schedule.objects.filter(name=name, func__startswith=TASKS).update(next_run=queue_time(next_run_at))

    def workers_alive(self) -> int | None:
        """The workers of all clusters that have reported in the last seconds; None where the broker or the cache is away.

        That is said in the log once, and again only after an answer.
        """
        try:
            alive = sum(len(stat.workers) for stat in Stat.get_all())
        except Exception as error:  # noqa: BLE001 - each broker and cache has errors of its own, without a common root
            if not self._is_silent:
                # Its name alone: the text may quote an address with its password.
                logger.warning("workers could not be counted", extra={"error": type(error).__name__})
            self._is_silent = True
            return None
        self._is_silent = False
        return alive

    def workers_configured(self) -> int:
        """What `Q_CLUSTER` says, or Django-Q's own default."""
        return int(Conf.WORKERS)

    def forget_failures(self, *, before: datetime, most: int) -> int:
        """Removes failures of ours: those of the host's own tasks are the host's."""
        ours = Task.objects.filter(func__startswith=TASKS, stopped__lt=queue_time(before))
        keys = list(ours.values_list("pk", flat=True)[:most])
        Task.objects.filter(pk__in=keys).delete()
        return len(keys)


def _columns(wanted: QueueSchedule) -> tuple[object, ...]:
    """The values of `_COMPARED` that a line wants."""
    cron = wanted.cron if len(wanted.cron) <= LONGEST_CRON else ""
    minutes = wanted.minutes or (DAY if wanted.pinned else 1)
    arguments = repr(wanted.args) if wanted.args else None
    kind = Schedule.CRON if cron else Schedule.MINUTES
    return (wanted.task, arguments, None, None, None, None, kind, None if cron else minutes, cron or None, -1)


_Row = tuple[int, tuple[object, ...], datetime | None]
"""A line's primary key, its compared columns and its next time."""


@dataclass(slots=True, kw_only=True)
class _Comparison:
    """The lines that are there against those that are wanted."""

    rows: dict[str | None, _Row]
    """By name; what is left of them in the end is wanted by nobody."""
    removed: list[tuple[int, str]]
    created: list[Schedule] = field(default_factory=list)
    changed: dict[str, tuple[int, dict[str, object]]] = field(default_factory=dict)
    differing: dict[str, str] = field(default_factory=dict)
    unchanged: int = 0

    @classmethod
    def of(cls, lines: QuerySet[Schedule]) -> _Comparison:
        """Reads what is there; of lines with the same name the last stays."""
        rows: dict[str | None, _Row] = {}
        doubled: list[tuple[int, str]] = []
        for pk, name, next_run, *columns in lines.order_by("pk").values_list(
            "pk", "name", "next_run", *_COMPARED
        ):
            if name in rows:
                doubled.append((rows[name][0], str(name)))
            rows[name] = (pk, tuple(columns), next_run)
        return cls(rows=rows, removed=doubled)

    def take(self, wanted: QueueSchedule) -> None:
        """Compares one wanted line."""
        row = self.rows.pop(wanted.name, None)
        columns, next_run = _columns(wanted), queue_time(wanted.next_run_at)
        if row is None:
            named = dict(zip(_COMPARED, columns, strict=True))
            self.created.append(Schedule(name=wanted.name, next_run=next_run, **named))
            return
        pk, has, has_next = row
        values: dict[str, object] = {}
        said: list[str] = []
        if has != columns:
            for column, was, value in zip(_COMPARED, has, columns, strict=True):
                if was != value:
                    values[column] = value
                    said.append(f"{column}: {was!r} -> {value!r}")
        if (values or wanted.pinned or _sleeps_too_long(has_next, wanted)) and has_next != next_run:
            values["next_run"] = next_run
            said.append(f"next_run: {has_next} -> {next_run}")
        if values:
            self.changed[wanted.name] = (pk, values)
            self.differing[wanted.name] = "; ".join(said)
        else:
            self.unchanged += 1

    def write(self) -> ScheduleSync:
        """Writes what differs, and says it."""
        self.removed += [(pk, str(name)) for name, (pk, *_rest) in self.rows.items()]
        for batch in _batches(self.removed):
            Schedule.objects.filter(pk__in=[pk for pk, _name in batch]).delete()
        Schedule.objects.bulk_create(self.created, batch_size=BATCH)
        for some in _batches(list(self.changed.values())):
            _update(dict(some))
        return ScheduleSync(
            created=tuple(line.name for line in self.created),
            updated=self.differing,
            removed=tuple(name for _pk, name in self.removed),
            unchanged=self.unchanged,
        )


def _sleeps_too_long(next_run: datetime | None, line: QueueSchedule) -> bool:
    """Whether a line would ring later than it ever can by itself: a clock was set back, or the host changed `USE_TZ`."""
    if next_run is None or line.next_run_at is None:
        return next_run is None
    latest = queue_time(line.next_run_at + timedelta(minutes=line.minutes) + CLOCKS_APART)
    return latest is not None and next_run > latest


def _update(changes: Mapping[int, Mapping[str, object]]) -> None:
    lines = Schedule.objects.in_bulk(list(changes))
    for pk, line in lines.items():
        for column, value in changes[pk].items():
            setattr(line, column, value)
    Schedule.objects.bulk_update(lines.values(), [*_COMPARED, "next_run"], batch_size=200)


_T = TypeVar("_T")


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
