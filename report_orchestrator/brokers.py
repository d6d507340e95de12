"""The host's own broker, with ticks in between: `Q_CLUSTER = {"broker_class": "report_orchestrator.brokers.ticking_broker", …}`.

Django-Q looks at its schedules every 30 seconds. Its pusher asks the broker for work several times a second, so that is where
shorter intervals are kept: of all pushers of all clusters one wins a turn in the database and rings.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from typing import Any, cast

from django.db import Error, close_old_connections
from django.utils.module_loading import import_string
from django_q.brokers import Broker
from django_q.conf import Conf

from report_orchestrator.adapters.database import database_clock
from report_orchestrator.adapters.django_q import send
from report_orchestrator.conf import get_settings
from report_orchestrator.models import Mark
from report_orchestrator.services.approaches import Bell, bells, in_force

AFTER_AN_ERROR = 5.0
"""Seconds in which the ticks are not looked at when the database was away."""
MARGIN = 0.01
"""Seconds behind a turn, so that the look at it does not come a moment too early."""

logger = logging.getLogger("report_orchestrator.brokers")


class TickingMixin:
    """Rings the bells whose turn has come, then asks the broker for work as always."""

    _quiet_until = 0.0

    def dequeue(self) -> Any:
        """What the broker has, as `Broker.dequeue`."""
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + self._ring_due()
        return super().dequeue()  # type: ignore[misc]  # the broker that this is mixed into

    def _ring_due(self) -> float:
        """Rings what is due; returns for how many seconds there is nothing to look for.

        A database that is away for a moment must not end the pusher, which would take its broker's messages with it.
        """
        try:
            close_old_connections()
            return min(_ring_if_due(bell) for bell in bells(in_force(get_settings())))
        except Error:
            logger.warning("the ticks could not be looked at", exc_info=True)
            return AFTER_AN_ERROR


def _ring_if_due(bell: Bell) -> float:
    """Rings where this pusher wins the turn; returns the seconds until the next one."""
    now = database_clock()
    following = bell.turn_after(now)
    if Mark.objects.win(bell.mark, now=now, until=following):
        send(bell.task, name=bell.name)
    return (following - now).total_seconds() + MARGIN


def ticking_broker(list_key: str | None = None) -> Broker:
    """The broker that `Q_CLUSTER` asks for with its own keys (`orm`, `redis`, …), ticking."""
    return _ticking_class()(list_key=list_key or Conf.CLUSTER_NAME)


@lru_cache(maxsize=1)
def _ticking_class() -> type[Any]:
    broker = _host_broker()
    return type(f"Ticking{broker.__name__}", (TickingMixin, broker), {})


def _host_broker() -> type[Any]:
    """The class that Django-Q itself would have chosen, in its own order of keys."""
    if Conf.IRON_MQ:
        return cast("type[Any]", import_string("django_q.brokers.ironmq.IronMQBroker"))
    if isinstance(Conf.SQS, dict):
        return cast("type[Any]", import_string("django_q.brokers.aws_sqs.Sqs"))
    if Conf.ORM:
        return cast("type[Any]", import_string("django_q.brokers.orm.ORM"))
    if Conf.MONGO:
        return cast("type[Any]", import_string("django_q.brokers.mongo.Mongo"))
    return cast("type[Any]", import_string("django_q.brokers.redis_broker.Redis"))
