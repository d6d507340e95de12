"""The sentinel: Django-Q2's own, over channels without locks, with an end in bounded time."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from multiprocessing import active_children
from typing import Any

from django_q.cluster import Sentinel
from django_q.conf import Conf
from django_q.monitor import monitor
from django_q.pusher import pusher
from django_q.scheduler import scheduler
from django_q.status import Stat
from django_q.worker import worker

from report_orchestrator.cluster.channels import Channel, Flag, ResultChannel, Timer
from report_orchestrator.cluster.children import Child, await_any
from report_orchestrator.cluster.pace import Pace

logger = logging.getLogger("report_orchestrator.cluster")

ROLES = {worker: "worker", pusher: "pusher", monitor: "monitor"}
SCHEDULER_INTERVAL = 30.0  # seconds, as in Django-Q2
PUSHER_PATIENCE = 3.0  # seconds for a pusher to put aside what it has fetched
MONITOR_PATIENCE = 5.0  # seconds for a monitor to store the results that wait
LOOK = 0.5  # seconds between two status reports while the cluster ends


class Guard(Sentinel):  # type: ignore[misc]  # django-q2 has no types
    """Starts the children, replaces those that die, calls the scheduler, and ends all of them.

    A child that dies takes nothing along but what it was working on, so it alone is replaced and its neighbours go on.
    """

    pool: list[Child]
    monitor: Child
    pusher: Child

    def __init__(
        self, stop_event: Flag, start_event: Flag, *args: Any, grace: timedelta | None, **kwargs: Any
    ) -> None:
        """`grace` is how long started tasks may go on once the cluster ends; None: to their end."""
        super().__init__(stop_event, start_event, *args, **kwargs, start=False)
        signal.signal(signal.SIGTERM, lambda _number, _frame: stop_event.set())
        self.grace = math.inf if grace is None else grace.total_seconds()
        self.paces: defaultdict[str, Pace] = defaultdict(Pace)
        self.event_out = Flag()
        self.task_queue = Channel(Conf.QUEUE_LIMIT or 0, lifted=self.event_out)
        self.result_queue = ResultChannel()

    @classmethod
    def run(cls, *args: Any, **kwargs: Any) -> None:
        """Guards until the end. Whatever happens, no child is left."""
        try:
            cls(*args, **kwargs).start()
        finally:
            for child in active_children():  # `multiprocessing` would wait for them
                child.kill()

    @property
    def children(self) -> list[Child]:
        """All that were started and not yet replaced."""
        return [*self.pool, *filter(None, (self.monitor, self.pusher))]

    def spawn_worker(self) -> None:
        """Starts a worker with a timer of its own."""
        self.spawn_process(worker, self.task_queue, self.result_queue, Timer(), self.timeout)

    def spawn_process(self, target: Callable[..., object], *args: Any) -> Child:
        """Starts a child in the role that a function of Django-Q2 is."""
        child = Child(ROLES[target], target, args)
        child.daemon = target is not worker or Conf.DAEMONIZE_WORKERS
        child.start()
        if target is worker:
            child.timer = args[2]
            self.pool.append(child)
        _log(logging.INFO, "child_started", child)
        return child

    def guard(self) -> None:
        """Looks after the children until the end is asked for."""
        self.start_event.set()
        logger.info("cluster running", extra={"event": "cluster_running", "queue": self.queue_name()})
        schedule_at = time.monotonic() + SCHEDULER_INTERVAL
        while True:
            self.replace_dead()
            if Conf.SCHEDULER and time.monotonic() >= schedule_at:
                scheduler(broker=self.broker)
                schedule_at = time.monotonic() + SCHEDULER_INTERVAL
            Stat(self).save()
            await_any([self.stop_event, *_alive(self.children)], Conf.GUARD_CYCLE)
            if self.stop_event.is_set():
                break
        self.stop()

    def replace_dead(self) -> None:
        """Replaces each child that died or whose task is over its time; one that keeps dying young, a little later."""
        for child in self.children:
            if child.is_alive() and not _is_over_time(child):
                continue
            if child.replace_at is None:
                child.replace_at = time.monotonic() + self.write_off(child)
            if time.monotonic() >= child.replace_at:
                self.reincarnate(child)

    def write_off(self, child: Child) -> float:
        """Says what became of a child. Returns how many seconds to wait before another takes its place."""
        if _is_over_time(child):
            _log(logging.ERROR, "worker_timed_out", child)
            return 0.0
        if _has_ended_as_planned(child):
            _log(logging.INFO, "child_ended", child)
            return 0.0
        pause = self.paces[child.role].wait_after(child.age)
        _log(logging.ERROR, "child_lost", child, exit_code=child.exitcode, replaced_in_s=pause)
        return pause

    def stop(self) -> None:
        """Ends the children in order, so that what was started is finished and stored, within the grace."""
        deadline = time.monotonic() + self.grace
        logger.info("cluster ending", extra={"event": "cluster_ending"})
        self.event_out.set()
        self.await_end([self.pusher], min(deadline, time.monotonic() + PUSHER_PATIENCE))
        self.task_queue.close()
        self.await_end(self.pool, deadline)
        self.pool = []
        self.result_queue.close()
        self.await_end([self.monitor], time.monotonic() + MONITOR_PATIENCE)
        Stat(self).save()

    def await_end(self, children: Sequence[Child], deadline: float) -> None:
        """Waits until these children have ended; kills those that have not by the deadline."""
        while (alive := _alive(children)) and (left := deadline - time.monotonic()) > 0:
            Stat(self).save()
            await_any(alive, min(left, LOOK))
        for child in _alive(children):
            _log(logging.WARNING, "child_cut_short", child)
            child.cut_short()


def _alive(children: Iterable[Child]) -> list[Child]:
    return [child for child in children if child.is_alive()]


def _is_over_time(child: Child) -> bool:
    return child.role == "worker" and child.timer.value == Timer.OVER


def _has_ended_as_planned(child: Child) -> bool:
    """A worker ends after so many tasks, and a pusher when its broker failed: both by themselves."""
    return child.exitcode == 0 and (child.role != "worker" or child.timer.value == Timer.RECYCLED)


def _log(level: int, event: str, child: Child, **fields: object) -> None:
    logger.log(
        level, event.replace("_", " "), extra={"event": event, "role": child.role, "pid": child.pid, **fields}
    )
