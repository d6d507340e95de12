"""Use Django-Q2 only to wake workers: short messages, and schedule rows. The run table alone decides what runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from django.db import Error as AnyDatabaseError
from django.db import router, transaction
from django.db.models import Q, QuerySet
from django_q.conf import Conf
from django_q.models import Schedule, Task
from django_q.tasks import async_task

from report_orchestrator.adapters.queue.message_slots import claim_message_slots, free_message_slot, reported_workers
from report_orchestrator.adapters.queue.timestamps import queue_time
from report_orchestrator.models import ReportRun
from report_orchestrator.models.upsert import upsert
from report_orchestrator.ports import QueueSchedule, ScheduleSync

TASKS = "report_orchestrator.tasks."
WORK = f"{TASKS}work"
URGENT = "urgent"
"""Second argument of a message that waits in no slot of the queue, but before it."""
BATCH = 1000

LONGEST_CRON = 100
"""Characters that the queue's column holds. A longer cron is replaced by our own next time or a minute's interval;
the task decides by our rules anyway.
"""
DAY = 1440  # minutes

CLOCKS_APART = timedelta(minutes=15)
"""Greatest difference between the queue's clock and the database's. Zones differ by at least twice as much."""

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


OPTIONS: Mapping[str, object] = {
    "timeout": -1,  # our leases and time-outs bound the work
    "ack_failure": True,  # a tick repeats the work; the message need not come again
    "save": False,  # the run table is the history, and the host's successes are not displaced
    "cached": False,
    "sync": False,  # never work in a request or in the scheduler
}
"""Options of our messages, whatever `Q_CLUSTER` says for the host's own."""
KEYWORDS = repr({"q_options": OPTIONS})
"""The keyword arguments of our schedule rows."""
ARGUMENTS = r"^\([0-9]+,\)$"
"""Arguments of a report's own row: its primary key."""
OPTIONS_OF_REPORT = {key: value for key, value in OPTIONS.items() if key != "save"}
"""Those of a report's own row, whose history `save_limit` keeps."""
KEYWORDS_OF_REPORT = repr({"q_options": OPTIONS_OF_REPORT})
GROUP_OF_REPORT = r", 'group': '[^']+'\}\}$"
"""The end of the keyword arguments of a report's own row, which otherwise begin like `KEYWORDS_OF_REPORT`."""


class Broker(Protocol):
    """The part of Django-Q's brokers that sending needs."""

    list_key: str

    def enqueue(self, package: str) -> object: ...


def send(task: str, *args: int | str, name: str = "", group: str = "", broker: Broker | None = None) -> None:
    """Put one message into the queue, or into this broker."""
    options = {**OPTIONS, "task_name": name or None, "group": group or None, "broker": broker}
    async_task(task, *args, q_options=options)


def _message(run_id: int, group: str, broker: Broker | None) -> Callable[[], None]:
    """A function rather than a partial: Django logs a failed robust callback by its `__qualname__`."""

    def send_message() -> None:
        if broker is not None:
            send(WORK, run_id, URGENT, name=f"run {run_id}", group=group, broker=broker)
            return
        try:
            send(WORK, run_id, name=f"run {run_id}", group=group)
        except Exception:
            free_message_slot()
            raise

    return send_message


class DjangoQ:
    """A `TaskQueue` over Django-Q2's broker and its `Schedule` table."""

    def __init__(self, broker: Broker | None = None) -> None:
        """`broker` takes the messages in place of the broker that `Q_CLUSTER` names."""
        self._broker = broker
        self._is_silent = False

    def notify(self, run_ids: Sequence[int], *, group: str = "") -> None:
        """Send messages for the runs after the commit, as far as slots are free. A message lets its worker take all runs that
        may start, so more would only hold up the host's tasks. A failing broker costs only speed: the tick finds the runs.
        """
        alias = router.db_for_write(ReportRun)

        def send_messages() -> None:
            most = claim_message_slots(len(run_ids)) if self._broker is None else len(run_ids)
            for run_id in run_ids[:most]:
                transaction.on_commit(_message(run_id, group, self._broker), using=alias, robust=True)

        if run_ids:
            transaction.on_commit(send_messages, using=alias, robust=True)

    def sync_schedules(
        self, wanted: Iterable[QueueSchedule], *, only: Collection[tuple[int | str, ...]] | None = None
    ) -> ScheduleSync:
        """Make our rows equal to the wanted ones, in bulk. Only differences are written; correct rows are not loaded."""
        with transaction.atomic(using=router.db_for_write(Schedule)):
            ours = _schedules().filter(func__startswith=TASKS)
            if only is not None:
                ours = ours.filter(args__in=[repr(arguments) for arguments in only])
            comparison = _Comparison.of(ours)
            for row in wanted:
                comparison.take(row)
            return comparison.write()

    def move_schedule(self, name: str, next_run_at: datetime | None) -> None:
        """Set a row's next time; without one it does not fire."""
        named = _schedules().filter(name=name, func__startswith=TASKS).values_list("pk", "name")
        # MySQL also finds the names that differ in case: those of other reports.
        keys = [pk for pk, found in named if found == name]
        _schedules().filter(pk__in=keys).update(next_run=queue_time(next_run_at))

    def count_schedules(self) -> int:
        """Return the number of our rows whose constant columns are as we write them."""
        written = _schedules().filter(
            func__startswith=TASKS,
            hook=None,
            intended_date_kwarg=None,
            cluster=None,
            schedule_type__in=(Schedule.CRON, Schedule.MINUTES),
            repeats=-1,
        )
        grouped = Q(kwargs__startswith=KEYWORDS_OF_REPORT[:-2], kwargs__regex=GROUP_OF_REPORT)
        keywords = Q(kwargs__in=(KEYWORDS, KEYWORDS_OF_REPORT)) | grouped
        return written.filter(keywords, Q(args=None) | Q(args__regex=ARGUMENTS)).count()

    def workers_alive(self) -> int | None:
        """Return the number of workers of all our clusters that reported lately; None if the database fails.

        Statistics in Django-Q's cache are not read: a cache returns pickles, and whoever can write there would run code
        here. The failure is logged once, and again only after a success.
        """
        try:
            alive = reported_workers()
        except AnyDatabaseError as error:
            if not self._is_silent:
                # Its name alone: the text may quote an address with its password.
                logger.warning("workers could not be counted", extra={"error": type(error).__name__})
            self._is_silent = True
            return None
        self._is_silent = False
        return alive

    def workers_configured(self) -> int:
        """Return the workers of `Q_CLUSTER`, or Django-Q's default."""
        return int(Conf.WORKERS)

    def prune_failures(self, *, before: datetime, most: int) -> int:
        """Remove failures of our own tasks only; the host's stay.

        Where listeners to deletions get the rows, their pickles are not read: whoever writes the table would run code.
        """
        ours = Task.objects.using(router.db_for_write(Task)).filter(
            func__startswith=TASKS, stopped__lt=queue_time(before)
        )
        keys = list(ours.values_list("pk", flat=True)[:most])
        Task.objects.filter(pk__in=keys).only("pk").delete()
        return len(keys)


def _schedules() -> QuerySet[Schedule]:
    """Return the rows where they are written: a replica may lack those that were just changed."""
    return QuerySet(Schedule, using=router.db_for_write(Schedule))


def _columns(wanted: QueueSchedule) -> tuple[object, ...]:
    """Return the values of `_COMPARED` for a wanted row."""
    cron = wanted.cron if len(wanted.cron) <= LONGEST_CRON else ""
    minutes = wanted.minutes or (DAY if wanted.pinned else 1)
    arguments = repr(wanted.args) if wanted.args else None
    kind = Schedule.CRON if cron else Schedule.MINUTES
    keywords = _keywords_of_report(wanted) if wanted.args else KEYWORDS
    return (wanted.task, arguments, keywords, None, None, None, kind, None if cron else minutes, cron or None, -1)


def _keywords_of_report(wanted: QueueSchedule) -> str:
    return repr({"q_options": OPTIONS_OF_REPORT | {"group": wanted.group}}) if wanted.group else KEYWORDS_OF_REPORT


_Row = tuple[int, tuple[object, ...], datetime | None]
"""A row's primary key, its compared columns and its next time."""


@dataclass(slots=True, kw_only=True)
class _Comparison:
    """Compares existing rows with the wanted ones."""

    rows: dict[str | None, _Row]
    """By name; the rows left at the end are not wanted."""
    removed: list[tuple[int, str]]
    created: list[Schedule] = field(default_factory=list)
    changed: dict[str, tuple[int, dict[str, object]]] = field(default_factory=dict)
    differing: dict[str, str] = field(default_factory=dict)
    unchanged: int = 0

    @classmethod
    def of(cls, stored: QuerySet[Schedule]) -> _Comparison:
        """Read the existing rows; of duplicate names the last one is kept."""
        rows: dict[str | None, _Row] = {}
        doubled: list[tuple[int, str]] = []
        for pk, name, next_run, *columns in stored.order_by("pk").values_list("pk", "name", "next_run", *_COMPARED):
            if name in rows:
                doubled.append((rows[name][0], str(name)))
            rows[name] = (pk, tuple(columns), next_run)
        return cls(rows=rows, removed=doubled)

    def take(self, wanted: QueueSchedule) -> None:
        row = self.rows.pop(wanted.name, None)
        columns, next_run = _columns(wanted), queue_time(wanted.next_run_at)
        if row is None:
            named = dict(zip(_COMPARED, columns, strict=True))
            self.created.append(Schedule(name=wanted.name, next_run=next_run, **named))
            return
        pk, has, has_next = row
        values: dict[str, object] = {}
        differences: list[str] = []
        if has != columns:
            for column, was, value in zip(_COMPARED, has, columns, strict=True):
                if was != value:
                    values[column] = value
                    differences.append(f"{column}: {was!r} -> {value!r}")
        if (values or wanted.pinned or _sleeps_too_long(has_next, wanted)) and has_next != next_run:
            values["next_run"] = next_run
            differences.append(f"next_run: {has_next} -> {next_run}")
        if values:
            self.changed[wanted.name] = (pk, values)
            self.differing[wanted.name] = "; ".join(differences)
        else:
            self.unchanged += 1

    def write(self) -> ScheduleSync:
        """Write the differences and return them."""
        self.removed += [(pk, str(name)) for name, (pk, *_rest) in self.rows.items()]
        for batch in _batches(self.removed):
            _schedules().filter(pk__in=[pk for pk, _name in batch]).delete()
        _schedules().bulk_create(self.created, batch_size=BATCH)
        for some in _batches(list(self.changed.values())):
            _update(dict(some))
        return ScheduleSync(
            created=tuple(row.name for row in self.created),
            updated=self.differing,
            removed=tuple(name for _pk, name in self.removed),
            unchanged=self.unchanged,
        )


def _sleeps_too_long(next_run: datetime | None, row: QueueSchedule) -> bool:
    """Return True if a row would fire later than it ever should: a clock was set back, or the host changed `USE_TZ`."""
    if next_run is None or row.next_run_at is None:
        return next_run is None
    latest = queue_time(row.next_run_at + timedelta(minutes=row.minutes) + CLOCKS_APART)
    return latest is not None and next_run > latest


def _update(changes: Mapping[int, Mapping[str, object]]) -> None:
    # Locked, so that none is deleted, or moved on by Django-Q's scheduler, before it is written.
    rows = list(_schedules().select_for_update().filter(pk__in=list(changes)).order_by("pk"))
    for row in rows:
        for column, value in changes[row.pk].items():
            setattr(row, column, value)
    upsert(*rows, update=[*_COMPARED, "next_run"], batch_size=BATCH)


_T = TypeVar("_T")


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
