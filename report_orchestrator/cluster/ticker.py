"""The process that ticks: schedules due runs and polls Fireant by itself, independent of the queue and its workers.

A tick goes through neither the broker nor Django-Q's schedule table, so a backlog, an invalid schedule row or an
unavailable broker delays none. Ticks of one cluster run one after the other, so they never pile up on a slow database.
"""

import logging
import time
from collections.abc import Callable, Mapping
from ctypes import c_double
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import Error, close_old_connections
from django_q.conf import Conf
from django_q.signing import SignedPackage

from report_orchestrator import tasks
from report_orchestrator.adapters.database_clock import database_clock
from report_orchestrator.adapters.queue.django_q import DjangoQ, send
from report_orchestrator.brokers import AFTER_AN_ERROR, run_due_ticks
from report_orchestrator.cluster.channels import Flag, TaskChannel, Timer
from report_orchestrator.models import SharedState
from report_orchestrator.models.connections import close_connections
from report_orchestrator.models.shared_state import CLUSTER_PREFIX
from report_orchestrator.services.running.db_retry import with_conflict_retry
from report_orchestrator.services.timetable.queue_schedules import Tick
from report_orchestrator.wiring import get_runtime

LONGEST_ROUND = 600.0  # seconds, after which the process counts as stuck and is replaced
LONGEST_PAUSE = 5.0  # seconds between two heartbeats of the workers

logger = logging.getLogger("report_orchestrator.cluster")


def ticker(channel: TaskChannel, stop: Flag, timer: Timer, cluster: str, workers: c_double) -> None:
    """Tick until the flag is set, at least once. `workers` is the number of running workers, updated by the guard."""
    ticks = Ticker(channel=channel, cluster=cluster, workers=workers)
    pause = 0.0
    while True:
        timer.value = LONGEST_ROUND
        pause = ticks.run_round()
        timer.value = Timer.IDLE
        if stop.wait(pause):
            return


def record_end(cluster: str) -> None:
    """Record that a cluster has stopped as planned, so that health need not wait for its heartbeat to time out."""
    try:
        close_old_connections()
        _record(cluster, database_clock(), workers=0, ended=True)
    except Error:
        logger.warning("could not record the end of the cluster", exc_info=True)


def _record(cluster: str, now: datetime, **detail: object) -> None:
    SharedState.objects.record(f"{CLUSTER_PREFIX}{cluster}", now=now, detail=detail)


class UrgentBroker:
    """Puts messages before all others of this cluster. Keeps one for each worker; the next tick repeats those dropped."""

    list_key = "workers of this cluster"

    def __init__(self, channel: TaskChannel) -> None:
        self._urgent = channel.urgent

    def enqueue(self, package: str) -> None:
        if self._urgent.qsize() <= Conf.WORKERS:
            self._urgent.put(SignedPackage.loads(package) | {"cluster": Conf.CLUSTER_NAME})


@dataclass(kw_only=True)
class Ticker:
    """The ticks of one cluster."""

    channel: TaskChannel
    cluster: str
    workers: c_double
    broker: UrgentBroker = field(init=False)

    def __post_init__(self) -> None:
        self.broker = UrgentBroker(self.channel)

    def run_round(self) -> float:
        """Run the ticks whose turn this cluster claims; return the seconds until the next one, at most `LONGEST_PAUSE`."""
        try:
            close_old_connections()
            with_conflict_retry(self.report)
            pause = with_conflict_retry(partial(run_due_ticks, self.run))
        except Error:
            close_connections()  # also to a server that has become read-only
            logger.warning("could not check scheduled ticks; retrying in %.0f s", AFTER_AN_ERROR, exc_info=True)
            return AFTER_AN_ERROR
        return min(pause, LONGEST_PAUSE)

    def run(self, tick: Tick) -> None:
        """Run a tick here, or send a long one to a worker. An error is logged; the tick runs again at its next turn."""
        run: Callable[[], Any] | None = self._here.get(tick.task)
        began_at = time.monotonic()
        try:
            run() if run else send(tick.task, name=tick.name)
        except Exception as error:
            close_connections()
            logger.exception(
                "tick failed: %s", tick.name, extra={"event": "tick_failed", "tick": tick.name, "error": str(error)}
            )
        logger.debug(
            "ticked: %s",
            tick.name,
            extra={"event": "ticked", "tick": tick.name, "duration_s": round(time.monotonic() - began_at, 3)},
        )

    @property
    def _here(self) -> Mapping[str, Callable[[], Any]]:
        prefix = "report_orchestrator.tasks."
        return {
            f"{prefix}tick": self.run_upkeep,
            f"{prefix}cron_sensor": tasks.cron_sensor,
            f"{prefix}decide_window": tasks.decide_window,
        }

    def run_upkeep(self) -> None:
        """Run for a few seconds only: while Fireant is slow, the other ticks and heartbeats must not wait for all polls."""
        runtime = replace(get_runtime(), queue=DjangoQ(broker=self.broker))
        tasks.run_upkeep(runtime, longest=timedelta(seconds=LONGEST_PAUSE))

    def report(self) -> None:
        """Record the number of running workers, and request a heartbeat from one unless the last request is still queued."""
        now = database_clock()
        _record(self.cluster, now, workers=int(self.workers.value))
        if self.channel.urgent.empty():
            send(f"{tasks.__name__}.heartbeat", name="heartbeat", broker=self.broker)
