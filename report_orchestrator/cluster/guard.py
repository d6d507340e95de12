"""The sentinel: Django-Q2's own, over channels without locks. It stops within a bounded time."""

import logging
import math
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from multiprocessing import active_children
from typing import Any

from django_q import cluster
from django_q.brokers import Broker
from django_q.conf import Conf
from django_q.monitor import monitor
from django_q.pusher import pusher
from django_q.scheduler import scheduler
from django_q.status import Stat
from django_q.worker import worker

from report_orchestrator.brokers import leave_ticks_to_cluster
from report_orchestrator.cluster.channels import Channel, Flag, ResultChannel, TaskChannel, Timer, shared_number
from report_orchestrator.cluster.children import Child, await_any
from report_orchestrator.cluster.restart_backoff import RestartBackoff
from report_orchestrator.cluster.scheduler_broker import SchedulerBroker
from report_orchestrator.cluster.statistics import StatisticsWriter
from report_orchestrator.cluster.ticker import LONGEST_ROUND, record_end, ticker
from report_orchestrator.models.connections import close_connections
from report_orchestrator.services.running.db_retry import with_db_retry

logger = logging.getLogger("report_orchestrator.cluster")


def monitor_with_retry(results: ResultChannel, broker: Any) -> None:
    """Run Django-Q2's monitor, which ends if it cannot acknowledge a message: retry while the database is unavailable."""
    acknowledge = broker.acknowledge
    broker.acknowledge = lambda task_id: with_db_retry(partial(acknowledge, task_id))
    monitor(results, broker)


ROLES = {worker: "worker", pusher: "pusher", monitor_with_retry: "monitor", ticker: "ticker"}
SCHEDULER_INTERVAL = 30.0  # seconds, as in Django-Q2
PUSHER_GRACE = 3.0  # seconds for a pusher to queue the messages that it has fetched
MONITOR_GRACE = 5.0  # seconds for a monitor to store waiting results
STATUS_INTERVAL = 0.5  # seconds between two status reports while the cluster ends


class Guard(cluster.Sentinel):  # type: ignore[misc]  # django-q2 has no types
    """Starts the children, replaces those that die, calls the scheduler, and ends all of them.

    A dead child loses only its own task, so it alone is replaced and the others continue.
    """

    pool: list[Child]
    monitor: Child
    pusher: Child
    ticker: Child | None = None

    def __init__(self, stop_event: Flag, start_event: Flag, *args: Any, grace: timedelta | None, **kwargs: Any) -> None:
        """`grace` is the time that started tasks have once the cluster stops; None is unlimited."""
        # Those of `multiprocessing` need `/dev/shm`, and are not used anyway.
        cluster.Queue, cluster.Event = Channel, Flag
        super().__init__(stop_event, start_event, *args, **kwargs, start=False)
        if (
            type(self.broker).set_stat is Broker.set_stat
        ):  # Redis keeps statistics itself, and reads nothing to write them
            self.broker.set_stat = StatisticsWriter(self.broker.cache)
        signal.signal(signal.SIGTERM, lambda _number, _frame: stop_event.set())
        self.grace = math.inf if grace is None else grace.total_seconds()
        self.backoffs: defaultdict[str, RestartBackoff] = defaultdict(RestartBackoff)
        self.event_out = Flag()
        self.workers_alive = shared_number(0)
        self.task_queue = TaskChannel(Conf.QUEUE_LIMIT or 0, lifted=self.event_out)
        self.result_queue = ResultChannel()

    @classmethod
    def run(cls, *args: Any, **kwargs: Any) -> None:
        """Run until the cluster stops; leave no child, also after an error."""
        try:
            cls(*args, **kwargs).start()
        finally:
            for child in active_children():  # `multiprocessing` would wait for them
                child.kill()

    @property
    def children(self) -> list[Child]:
        return [*self.pool, *filter(None, (self.monitor, self.pusher, self.ticker))]

    def spawn_cluster(self) -> None:
        leave_ticks_to_cluster()
        super().spawn_cluster()
        self.count_workers()
        self.spawn_ticker()

    def spawn_ticker(self) -> None:
        timer = Timer()
        name, stop = str(self.cluster_id), self.event_out
        self.ticker = self.spawn_process(ticker, self.task_queue, stop, timer, name, self.workers_alive)
        self.ticker.timer = timer

    def count_workers(self) -> None:
        self.workers_alive.value = len(_alive(self.pool))

    def spawn_worker(self) -> None:
        self.spawn_process(worker, self.task_queue, self.result_queue, Timer(), self.timeout)

    def spawn_monitor(self) -> Child:
        return self.spawn_process(monitor_with_retry, self.result_queue, self.broker)

    def spawn_process(self, target: Callable[..., object], *args: Any) -> Child:
        """Start a child that runs a role function of Django-Q2."""
        child = Child(ROLES[target], target, args)
        child.daemon = target is not worker or Conf.DAEMONIZE_WORKERS
        child.start()
        if target is worker:
            child.timer = args[2]
            self.pool.append(child)
        _log(logging.INFO, "child_started", child)
        return child

    def guard(self) -> None:
        """Supervise the children until the cluster is asked to stop."""
        self.start_event.set()
        logger.info("cluster running", extra={"event": "cluster_running", "queue": self.queue_name()})
        schedule_at = time.monotonic() + SCHEDULER_INTERVAL
        while True:
            self.replace_dead()
            self.count_workers()
            if Conf.SCHEDULER and time.monotonic() >= schedule_at:
                scheduler(broker=SchedulerBroker(self.broker))
                close_connections()  # it logs its errors, and would stay with a server that has become read-only
                schedule_at = time.monotonic() + SCHEDULER_INTERVAL
            Stat(self).save()
            await_any([self.stop_event, *_alive(self.children)], Conf.GUARD_CYCLE)
            if self.stop_event.is_set():
                break
        self.stop()

    def replace_dead(self) -> None:
        """Replace dead children and workers over their time limit, with backoff for repeated early deaths."""
        for child in self.children:
            if child.is_alive() and not _is_over_time(child):
                continue
            if child.replace_at is None:
                child.replace_at = time.monotonic() + self.write_off(child)
            if time.monotonic() >= child.replace_at:
                self.replace(child)

    def replace(self, child: Child) -> None:
        if child is not self.ticker:
            self.reincarnate(child)
            return
        child.terminate()
        self.spawn_ticker()

    def write_off(self, child: Child) -> float:
        """Log the end of a child; return the seconds to wait before its replacement starts."""
        if _is_over_time(child):
            _log(logging.ERROR, f"{child.role}_timed_out", child)
            return 0.0
        if _has_ended_as_planned(child):
            _log(logging.INFO, "child_ended", child)
            return 0.0
        pause = self.backoffs[child.role].wait_after(child.age)
        _log(logging.ERROR, "child_lost", child, exit_code=child.exitcode, replaced_in_s=pause)
        return pause

    def stop(self) -> None:
        """Stop the children in order, so that started tasks finish and are stored within the grace."""
        deadline = time.monotonic() + self.grace
        logger.info("cluster ending", extra={"event": "cluster_ending"})
        self.event_out.set()
        tickers = [self.ticker] if self.ticker else []
        if math.isinf(self.grace):
            self.await_end(tickers, time.monotonic() + LONGEST_ROUND)
        self.await_end([self.pusher, *tickers], min(deadline, time.monotonic() + PUSHER_GRACE))
        self.task_queue.close()
        self.await_end(self.pool, deadline)
        self.pool = []
        self.result_queue.close()
        self.await_end([self.monitor], time.monotonic() + MONITOR_GRACE)
        Stat(self).save()
        record_end(str(self.cluster_id))

    def await_end(self, children: Sequence[Child], deadline: float) -> None:
        """Wait for these children to end; kill those that have not by the deadline."""
        while (alive := _alive(children)) and (left := deadline - time.monotonic()) > 0:
            Stat(self).save()
            await_any(alive, min(left, STATUS_INTERVAL))
        for child in _alive(children):
            _log(logging.WARNING, "child_cut_short", child)
            child.cut_short()


def _alive(children: Iterable[Child]) -> list[Child]:
    return [child for child in children if child.is_alive()]


def _is_over_time(child: Child) -> bool:
    return child.role in {"worker", "ticker"} and child.timer.value == Timer.OVER


def _has_ended_as_planned(child: Child) -> bool:
    """Return True for a worker that was recycled and for a pusher whose broker failed."""
    return child.exitcode == 0 and (child.role != "worker" or child.timer.value == Timer.RECYCLED)


def _log(level: int, event: str, child: Child, **fields: object) -> None:
    logger.log(level, event.replace("_", " "), extra={"event": event, "role": child.role, "pid": child.pid, **fields})
