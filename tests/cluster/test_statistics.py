"""A cluster's statistics reach Django-Q's `qinfo`, and nothing is read from the cache for them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.cache import caches
from django.db import OperationalError
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.status import Stat
from pytest_django import Settings as DjangoSettings

from report_orchestrator.cluster import statistics
from report_orchestrator.cluster.channels import Flag
from report_orchestrator.cluster.guard import Guard
from report_orchestrator.cluster.statistics import StatisticsWriter
from report_orchestrator.models import SharedState
from tests.support.planted_pickle import MakesFolder

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _cache(settings: DjangoSettings, tmp_path: Path) -> Iterator[None]:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path / "cache"),
        }
    }
    yield
    caches["default"].clear()


@pytest.fixture
def _signals() -> Iterator[None]:
    """Restore the handlers that a sentinel takes."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
def test_a_sentinel_reads_no_planted_pickle(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    caches["default"].set(Conf.Q_STAT, MakesFolder(planted))
    guard = Guard(Flag(), Flag(), "7", grace=timedelta(0))
    guard.broker.set_stat(Stat.get_key("7"), "value", 3)
    assert not planted.exists()
    assert caches["default"].get(Conf.Q_STAT) == [Stat.get_key("7")]


def test_all_clusters_that_report_are_listed() -> None:
    now = datetime.now(UTC)
    for cluster, ago in [("a", 1), ("b", 20), ("gone", 61)]:
        SharedState.objects.record(f"cluster: {cluster}", now=now - timedelta(seconds=ago))
    for cluster in "abc":
        StatisticsWriter(get_broker().cache)(Stat.get_key(cluster), f"value of {cluster}", 60)
    assert caches["default"].get(Conf.Q_STAT) == [Stat.get_key(cluster) for cluster in "abc"]
    assert get_broker().get_stats(f"{Conf.Q_STAT}:*") == ["value of a", "value of b", "value of c"]


def test_without_the_database_a_cluster_lists_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(statistics, "database_clock", fail)
    StatisticsWriter(get_broker().cache)(Stat.get_key("a"), "value", 60)
    assert get_broker().get_stats(f"{Conf.Q_STAT}:*") == ["value"]
