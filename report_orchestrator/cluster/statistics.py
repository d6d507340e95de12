"""Statistics for Django-Q's `qinfo`, written without reading the cache.

Django-Q keeps its list of clusters in the cache and reads it at each save. A cache returns pickles, so whoever can write
there would run code in the sentinel.
"""

import math
import time
from datetime import timedelta
from typing import Any

from django.db import Error
from django_q.conf import Conf
from django_q.status import Stat

from report_orchestrator.adapters.database_clock import database_clock
from report_orchestrator.models import SharedState
from report_orchestrator.models.connections import close_connections
from report_orchestrator.models.shared_state import CLUSTER_PREFIX

LIST_INTERVAL = 30.0  # seconds between two writes of the list of clusters
ALIVE_WITHIN = timedelta(minutes=1)


class StatisticsWriter:
    """Replaces a broker's `set_stat`. The list of clusters is read from the database, in which each one reports."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._listed_at = -math.inf

    def __call__(self, key: str, value: str, timeout: int) -> None:
        if not self._cache:
            return
        if time.monotonic() >= self._listed_at + LIST_INTERVAL:
            self._listed_at = time.monotonic()
            self._cache.set(Conf.Q_STAT, sorted({key, *_clusters()}), None)
        self._cache.set(key, value, timeout)


def _clusters() -> list[str]:
    """Return the keys of the clusters that have reported lately; none if the database cannot be read."""
    try:
        alive = SharedState.objects.filter(
            name__startswith=CLUSTER_PREFIX, marked_at__gte=database_clock() - ALIVE_WITHIN
        )
        return [Stat.get_key(name.removeprefix(CLUSTER_PREFIX)) for name in alive.values_list("name", flat=True)]
    except Error:
        close_connections()
        return []
