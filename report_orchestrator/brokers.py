"""The host's own broker, with ticks: `Q_CLUSTER = {"broker_class": "report_orchestrator.brokers.ticking_broker", …}`.

Only for clusters that are not started by this app's `qcluster` command, which ticks by itself.

Django-Q checks its schedules every 30 seconds. Its pusher calls the broker several times a second, so shorter intervals are
kept there: of all pushers of all clusters, one claims the turn in the database and sends the tick.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, cast

from django.db import Error, close_old_connections
from django.utils.module_loading import import_string
from django_q.brokers import Broker
from django_q.conf import Conf

from report_orchestrator.adapters.database_clock import database_clock
from report_orchestrator.adapters.queue.django_q import send
from report_orchestrator.conf import get_settings
from report_orchestrator.models import SharedState
from report_orchestrator.models.connections import close_connections
from report_orchestrator.services.running.db_retry import with_conflict_retry
from report_orchestrator.services.timetable.effective_settings import effective_settings
from report_orchestrator.services.timetable.queue_schedules import Tick, ticks

AFTER_AN_ERROR = 5.0
"""Seconds without ticks after a database error."""
MARGIN = 0.01
"""Seconds added to the wait for a turn, so that it is never checked a moment too early."""

logger = logging.getLogger("report_orchestrator.brokers")


class TickingMixin:
    """Sends the ticks that are due before each `dequeue` of the broker."""

    _quiet_until = 0.0

    def dequeue(self) -> Any:
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + self._send_due()
        with sleeping_at_most(self._quiet_until - time.monotonic()):
            return super().dequeue()  # type: ignore[misc]  # the broker that this is mixed into

    def _send_due(self) -> float:
        """Send the ticks that are due; return the seconds until the next one.

        A database error must not end the pusher, which would lose the messages that it holds.
        """
        try:
            close_old_connections()
            return with_conflict_retry(partial(run_due_ticks, lambda tick: send(tick.task, name=tick.name)))
        except Error:
            close_connections()  # also to a server that has become read-only
            logger.warning("could not check scheduled ticks; retrying in %.0f s", AFTER_AN_ERROR, exc_info=True)
            return AFTER_AN_ERROR


@contextmanager
def sleeping_at_most(seconds: float) -> Iterator[None]:
    """Bound the sleep of a broker whose queue is empty, `Q_CLUSTER["poll"]`: the next tick must not wait for it."""
    poll = Conf.POLL
    Conf.POLL = min(poll, max(seconds, 0.0))
    try:
        yield
    finally:
        Conf.POLL = poll


def leave_ticks_to_cluster() -> None:
    """Let the brokers of this process and of those forked from it send no ticks, because the cluster ticks by itself."""
    TickingMixin._quiet_until = math.inf  # noqa: SLF001 - of this module


def run_due_ticks(run: Callable[[Tick], object]) -> float:
    """Run the ticks that are due and whose turn this process claims; return the seconds until the next one."""
    return min([_run_if_due(tick, run) for tick in ticks(effective_settings(get_settings()))])


def _run_if_due(tick: Tick, run: Callable[[Tick], object]) -> float:
    now = database_clock()
    following = tick.turn_after(now)
    if SharedState.objects.claim_turn(tick.state_name, now=now, until=following):
        run(tick)
    return (following - now).total_seconds() + MARGIN


def ticking_broker(list_key: str | None = None) -> Broker:
    """Return the broker that `Q_CLUSTER` configures by its own keys (`orm`, `redis`, …), with ticks."""
    return _ticking_class()(list_key=list_key or Conf.CLUSTER_NAME)


@lru_cache(maxsize=1)
def _ticking_class() -> type[Any]:
    broker = _host_broker()
    return type(f"Ticking{broker.__name__}", (TickingMixin, broker), {})


def _host_broker() -> type[Any]:
    """Return the broker class that Django-Q would choose, in its own order of keys."""
    if Conf.IRON_MQ:
        return cast("type[Any]", import_string("django_q.brokers.ironmq.IronMQBroker"))
    if isinstance(Conf.SQS, dict):
        return cast("type[Any]", import_string("django_q.brokers.aws_sqs.Sqs"))
    if Conf.ORM:
        return cast("type[Any]", import_string("django_q.brokers.orm.ORM"))
    if Conf.MONGO:
        return cast("type[Any]", import_string("django_q.brokers.mongo.Mongo"))
    return cast("type[Any]", import_string("django_q.brokers.redis_broker.Redis"))
