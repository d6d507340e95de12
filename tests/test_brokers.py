"""Brokers take turns to give out ticks: one message in each interval, however many clusters there are."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import redis
from django.db import InterfaceError, OperationalError
from django_q.brokers import Broker
from django_q.brokers.redis_broker import Redis
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from pytest_django import Settings as DjangoSettings

from report_orchestrator import brokers
from report_orchestrator.adapters.queue.django_q import TASKS, DjangoQ
from report_orchestrator.conf import SETTING
from report_orchestrator.models import SharedState
from report_orchestrator.testing import FakeClock
from tests.support.queue_messages import messages
from tests.support.threads import at_once


def tick_counts() -> dict[str, int]:
    """Return the number of messages of each tick."""
    counts = {"tick": 0, "cron_sensor": 0}
    for function, _arguments in messages():
        if function.removeprefix(TASKS) in counts:
            counts[function.removeprefix(TASKS)] += 1
    return counts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The database's clock, as the brokers see it; and a queue that does not sleep when it is empty."""
    clock = FakeClock()
    monkeypatch.setattr(brokers, "database_clock", clock)
    monkeypatch.setattr(Conf, "POLL", 0)
    return clock


def pull(broker: Any) -> Any:
    """Return the pusher's next message, after the broker's own quiet time."""
    broker._quiet_until = 0.0
    return broker.dequeue()


@pytest.mark.django_db(transaction=True)
class TestTickingBroker:
    def test_of_two_brokers_one_sends_in_each_interval(self, clock: FakeClock) -> None:
        one, other = brokers.ticking_broker(), brokers.ticking_broker()
        for _ in range(3):
            pull(one)
            pull(other)
        assert tick_counts() == {"tick": 1, "cron_sensor": 1}
        clock.advance(seconds=2.9)
        pull(other)
        assert tick_counts() == {"tick": 1, "cron_sensor": 1}
        clock.advance(seconds=0.1)
        pull(other)
        pull(one)
        assert tick_counts() == {"tick": 2, "cron_sensor": 1}
        clock.advance(seconds=57)
        pull(one)
        pull(other)
        assert tick_counts() == {"tick": 3, "cron_sensor": 2}

    def test_a_tick_is_sent_on_the_minute_whenever_its_cluster_was_started(self, clock: FakeClock) -> None:
        broker = brokers.ticking_broker()
        clock.advance(seconds=17.4)
        assert broker._send_due() == pytest.approx(0.6 + brokers.MARGIN)
        clock.advance(seconds=42.5)
        pull(broker)
        assert tick_counts() == {"tick": 2, "cron_sensor": 1}
        clock.advance(seconds=0.1)  # 12:01:00
        pull(broker)
        assert tick_counts() == {"tick": 3, "cron_sensor": 2}

    def test_of_many_brokers_at_the_same_moment_one_sends(self, clock: FakeClock) -> None:
        for _ in range(2):
            at_once(*6 * [lambda: brokers.ticking_broker()._send_due()])
            clock.advance(seconds=60)
        assert tick_counts() == {"tick": 2, "cron_sensor": 2}

    def test_it_gives_what_the_broker_has(self, clock: FakeClock) -> None:
        DjangoQ().notify([7])
        [(_key, payload), *_ticks] = pull(brokers.ticking_broker())
        assert SignedPackage.loads(payload)["args"] == (7,)

    def test_it_looks_for_ticks_only_now_and_then(self, clock: FakeClock) -> None:
        broker = brokers.ticking_broker()
        broker.dequeue()
        SharedState.objects.all().delete()
        broker.dequeue()
        assert not SharedState.objects.exists()

    def test_ticks_do_not_wait_for_a_queue_that_is_polled_rarely(
        self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr("django_q.brokers.orm.sleep", slept.append)
        monkeypatch.setattr(Conf, "POLL", 60)
        broker = brokers.ticking_broker()
        while broker.dequeue():
            pass
        assert len(slept) == 1
        assert 0 < slept[0] <= 3 + brokers.MARGIN
        assert Conf.POLL == 60

    def test_without_ticks_the_queue_is_polled_as_its_host_asks(
        self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr("django_q.brokers.orm.sleep", slept.append)
        monkeypatch.setattr(Conf, "POLL", 60)
        monkeypatch.setattr(brokers.TickingMixin, "_quiet_until", math.inf)
        assert brokers.ticking_broker().dequeue() is None
        assert slept == [60]

    @pytest.mark.parametrize("approach", ["schedule", "pipeline"])
    def test_only_the_sensor_approach_has_a_cron_sensor(
        self, clock: FakeClock, settings: DjangoSettings, approach: str
    ) -> None:
        setattr(settings, SETTING, {**getattr(settings, SETTING), "SCHEDULING_APPROACH": approach})
        pull(brokers.ticking_broker())
        assert tick_counts() == {"tick": 1, "cron_sensor": 0}

    @pytest.mark.parametrize("error", [OperationalError, InterfaceError])
    def test_a_database_that_is_away_for_a_moment_does_not_end_the_pusher(
        self,
        clock: FakeClock,
        monkeypatch: pytest.MonkeyPatch,
        log_lines: list[logging.LogRecord],
        error: type[Exception],
    ) -> None:
        DjangoQ().notify([7])

        def away() -> NoReturn:
            raise error("the server closed the connection")

        monkeypatch.setattr(brokers, "database_clock", away)
        broker = brokers.ticking_broker()
        [(_key, payload)] = pull(broker)
        assert SignedPackage.loads(payload)["args"] == (7,)
        [warning] = log_lines
        assert (warning.levelname, warning.getMessage()) == (
            "WARNING",
            "could not check scheduled ticks; retrying in 5 s",
        )

        monkeypatch.setattr(brokers, "database_clock", clock)
        pull(broker)
        assert tick_counts() == {"tick": 1, "cron_sensor": 1}

    def test_a_host_of_another_broker_is_not_given_redis(
        self, monkeypatch: pytest.MonkeyPatch, other_broker: None
    ) -> None:
        monkeypatch.setattr(Conf, "ORM", None)
        monkeypatch.setattr(Conf, "SQS", {"aws_region": "eu-west-1"})
        try:
            given: Broker | None = brokers.ticking_broker()
        except Exception:  # noqa: BLE001 - any refusal will do
            given = None
        assert not isinstance(given, Redis)

    def test_it_ticks_over_redis_too(
        self, clock: FakeClock, redis_queue: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = brokers.ticking_broker(), brokers.ticking_broker()
        assert isinstance(one, Redis)
        assert pull(one) is not None
        assert pull(other) is not None
        assert pull(one) is not None
        assert one.queue_size() == 0
        clock.advance(seconds=5)
        [(_acknowledgement, payload)] = pull(other)
        assert SignedPackage.loads(payload)["func"] == f"{TASKS}tick"
        assert one.queue_size() == 0
        assert not OrmQ.objects.exists()
        for broker in (one, other):
            broker.connection.close()


@pytest.fixture
def other_broker() -> Iterator[None]:
    """Reset the choice of the broker class, before and after."""
    brokers._ticking_class.cache_clear()
    yield
    brokers._ticking_class.cache_clear()


@pytest.fixture
def redis_queue(redis_url: str, other_broker: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """Yield Django-Q over Redis with a queue of its own."""
    name = f"test-{secrets.token_hex(8)}"
    monkeypatch.setattr(Conf, "ORM", None)
    monkeypatch.setattr(Conf, "REDIS", redis_url)
    monkeypatch.setattr(Conf, "CLUSTER_NAME", name)
    with redis.Redis.from_url(redis_url) as client:
        yield client
        client.delete(f"django_q:{name}:q")


@pytest.fixture
def log_lines() -> Iterator[list[logging.LogRecord]]:
    """Return the brokers' log lines."""
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keeping()
    brokers.logger.addHandler(handler)
    yield records
    brokers.logger.removeHandler(handler)
