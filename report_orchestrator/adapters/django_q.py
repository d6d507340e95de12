"""Django-Q2 as the doorbell: short messages, and lines in its schedule table that are always valid and never anybody's truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import router, transaction
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

    def ring(self, run_ids: Sequence[int], *, group: str = "") -> None:
        """One message for each run, after the commit. A broker that fails costs speed only: the tick finds the runs."""
        for run_id in run_ids:
            transaction.on_commit(_bell(run_id, group), using=router.db_for_write(ReportRun), robust=True)

    def sync_schedules(self, wanted: Sequence[QueueSchedule]) -> ScheduleSync:
        """Makes our lines exactly those wanted, in bulk, touching only what differs."""
        with transaction.atomic(using=router.db_for_write(Schedule)):
            ours = list(Schedule.objects.filter(func__startswith=TASKS))
            existing = {line.name: line for line in ours}
            kept = {line.pk for line in existing.values()}
            doubled = [line for line in ours if line.pk not in kept]
            names = {line.name for line in wanted}
            removed = [line for name, line in existing.items() if name not in names] + doubled
            created = [_line(line) for line in wanted if line.name not in existing]
            differing = dict(_differences(wanted, existing))
            Schedule.objects.filter(pk__in=[line.pk for line in removed]).delete()
            Schedule.objects.bulk_create(created, batch_size=BATCH)
            Schedule.objects.bulk_update(
                [existing[name] for name in differing], [*_COMPARED, "next_run"], batch_size=200
            )
        return ScheduleSync(
            created=tuple(line.name for line in created),
            updated=differing,
            removed=tuple(str(line.name) for line in removed),
            unchanged=len(names) - len(created) - len(differing),
        )

    def move_schedule(self, name: str, next_run_at: datetime | None) -> None:
        """Corrects a line's next time; a line without one sleeps until it is given one."""
        Schedule.objects.filter(name=name, func__startswith=TASKS).update(next_run=queue_time(next_run_at))

    def workers_alive(self) -> int:
        """The workers of all clusters that have reported in the last seconds."""
        return sum(len(stat.workers) for stat in Stat.get_all())

    def workers_configured(self) -> int:
        """What `Q_CLUSTER` says, or Django-Q's own default."""
        return int(Conf.WORKERS)

    def forget_failures(self, *, before: datetime, most: int) -> int:
        """Removes failures of ours: those of the host's own tasks are the host's."""
        ours = Task.objects.filter(func__startswith=TASKS, stopped__lt=queue_time(before))
        keys = list(ours.values_list("pk", flat=True)[:most])
        Task.objects.filter(pk__in=keys).delete()
        return len(keys)


def _line(wanted: QueueSchedule) -> Schedule:
    line = Schedule(name=wanted.name, next_run=queue_time(wanted.next_run_at))
    for column, value in _columns(wanted).items():
        setattr(line, column, value)
    return line


def _columns(wanted: QueueSchedule) -> Mapping[str, object]:
    cron = wanted.cron if len(wanted.cron) <= LONGEST_CRON else ""
    minutes = wanted.minutes or (DAY if wanted.pinned else 1)
    return {
        "func": wanted.task,
        "args": repr(wanted.args) if wanted.args else None,
        "kwargs": None,
        "hook": None,
        "intended_date_kwarg": None,
        "cluster": None,
        "schedule_type": Schedule.CRON if cron else Schedule.MINUTES,
        "minutes": None if cron else minutes,
        "cron": cron or None,
        "repeats": -1,
    }


def _differences(
    wanted: Sequence[QueueSchedule], existing: Mapping[str, Schedule]
) -> Iterator[tuple[str, str]]:
    """Changes the lines that differ, and says what differed in each."""
    for line in wanted:
        row = existing.get(line.name)
        if row is None:
            continue
        columns = _columns(line)
        said = [
            f"{column}: {getattr(row, column)!r} -> {value!r}"
            for column, value in columns.items()
            if getattr(row, column) != value
        ]
        for column, value in columns.items():
            setattr(row, column, value)
        next_run = queue_time(line.next_run_at)
        if (said or line.pinned or _sleeps_too_long(row, line)) and row.next_run != next_run:
            said.append(f"next_run: {row.next_run} -> {next_run}")
            row.next_run = next_run
        if said:
            yield line.name, "; ".join(said)


def _sleeps_too_long(row: Schedule, line: QueueSchedule) -> bool:
    """Whether a line would ring later than it ever can by itself: a clock was set back, or the host changed `USE_TZ`."""
    if row.next_run is None or line.next_run_at is None:
        return row.next_run is None
    latest = queue_time(line.next_run_at + timedelta(minutes=line.minutes) + CLOCKS_APART)
    return bool(row.next_run > latest)
