"""A cluster ticks by itself: bounded, without the broker, and through errors."""

from __future__ import annotations

import ctypes
import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django_q.conf import Conf
from django_q.models import OrmQ

from report_orchestrator import brokers, tasks
from report_orchestrator.adapters.queue.django_q import TASKS, DjangoQ, send
from report_orchestrator.brokers import AFTER_AN_ERROR
from report_orchestrator.cluster import ticker as ticking
from report_orchestrator.cluster.channels import TaskChannel
from report_orchestrator.cluster.ticker import LONGEST_PAUSE, Ticker, UrgentBroker, record_end
from report_orchestrator.models import ReportRun, SharedState
from report_orchestrator.ports import JobState, JobStatus
from report_orchestrator.services.monitoring.overdue import HEARTBEAT_TIMEOUT
from report_orchestrator.services.scheduling.create_runs import Created
from report_orchestrator.services.timetable.queue_schedules import Tick
from report_orchestrator.services.upkeep import tick as upkeep
from report_orchestrator.testing import FakePorts
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ticker() -> Ticker:
    return Ticker(channel=TaskChannel(), cluster="one", workers=ctypes.c_double(3))


def urgent(ticker: Ticker) -> list[str]:
    """Take the urgent messages; return their functions."""
    return [ticker.channel.get()["func"] for _ in range(ticker.channel.urgent.qsize())]


def test_a_round_ticks_here_and_leaves_only_discovery_to_the_queue(ticker: Ticker) -> None:
    assert 0 < ticker.run_round() <= LONGEST_PAUSE
    assert urgent(ticker) == [f"{TASKS}heartbeat"]
    assert [message.func() for message in OrmQ.objects.all()] == [f"{TASKS}rediscover"]
    names = set(SharedState.objects.values_list("name", flat=True))
    assert {"tick", f"bell: {TASKS}tick", f"bell: {TASKS}cron_sensor", "cluster: one"} <= names


def test_workers_are_reported_and_clusters_that_ended_are_removed(ticker: Ticker) -> None:
    now = datetime.now(UTC)
    SharedState.objects.record("cluster: old", now=now - timedelta(days=2), detail={"workers": 9})
    ticker.run_round()
    assert DjangoQ().workers_alive() == 3
    assert not SharedState.objects.filter(name="cluster: old").exists()


def test_a_cluster_that_stops_says_so(ticker: Ticker) -> None:
    ticker.run_round()
    record_end("one")
    assert SharedState.objects.get(name="cluster: one").detail == {"workers": 0, "ended": True}
    assert DjangoQ().workers_alive() == 0


def test_a_database_that_is_away_does_not_delay_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> datetime:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(ticking, "database_clock", away)
    record_end("one")


def test_busy_workers_get_one_request_for_a_heartbeat(ticker: Ticker) -> None:
    for _ in range(3):
        ticker.run_round()
    assert urgent(ticker) == [f"{TASKS}heartbeat"]


def test_a_heartbeat_is_written_now_and_then() -> None:
    tasks.heartbeat()
    first = SharedState.objects.get(name="worker").marked_at
    tasks.heartbeat()
    assert SharedState.objects.get(name="worker").marked_at == first


def test_messages_beyond_one_for_each_worker_and_a_heartbeat_are_dropped(
    ticker: Ticker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conf, "WORKERS", 2)
    for number in range(5):
        send(f"{TASKS}work", number, broker=UrgentBroker(ticker.channel))
    assert len(urgent(ticker)) == 3
    assert not OrmQ.objects.exists()


def test_a_waiting_heartbeat_leaves_a_single_worker_its_run(ticker: Ticker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "WORKERS", 1)
    ticker.report()
    send(f"{TASKS}work", 7, broker=ticker.broker)
    assert urgent(ticker) == [f"{TASKS}heartbeat", f"{TASKS}work"]


def test_a_failing_tick_is_logged_and_the_next_one_runs(
    ticker: Ticker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> int:
        raise RuntimeError("a bad row")

    monkeypatch.setattr(tasks, "cron_sensor", fail)
    monkeypatch.setattr(logging.getLogger("report_orchestrator"), "propagate", True)
    ticker.run(Tick(task=f"{TASKS}cron_sensor", name="cron sensor"))
    ticker.run(Tick(task=f"{TASKS}tick", name="tick"))
    assert {record.getMessage() for record in caplog.records if record.levelname == "ERROR"} == {
        "tick failed: cron sensor"
    }
    assert SharedState.objects.filter(name="tick").exists()


@pytest.mark.parametrize("name", ["tick", "cron_sensor"])
def test_a_tick_that_lost_against_another_transaction_runs_again_at_once(
    ticker: Ticker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    calls: list[str] = []

    def lose_once(**_kwargs: object) -> Created:
        calls.append(name)
        if len(calls) == 1:
            raise OperationalError("deadlock detected") from SerializationError()
        return Created()

    monkeypatch.setattr(upkeep, "tick", lose_once)
    monkeypatch.setattr(tasks, "open_due_runs", lose_once)
    monkeypatch.setattr(logging.getLogger("report_orchestrator"), "propagate", True)
    ticker.run(Tick(task=f"{TASKS}{name}", name=name))
    assert len(calls) == 2
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


class SerializationError(Exception):
    sqlstate = "40001"


def test_a_database_that_is_away_is_tried_again(ticker: Ticker, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> datetime:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(ticking, "database_clock", away)
    assert ticker.run_round() == AFTER_AN_ERROR


def test_the_hosts_broker_sends_no_ticks_in_our_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers.TickingMixin, "_quiet_until", 0.0)
    monkeypatch.setattr(Conf, "POLL", 0)
    brokers.leave_ticks_to_cluster()
    brokers.ticking_broker().dequeue()
    assert not OrmQ.objects.exists()
    assert not SharedState.objects.exists()


def test_polls_of_a_slow_fireant_leave_the_other_ticks_their_turn(
    ticker: Ticker, new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SettingsFactory.make(POLL_CONCURRENCY=1)
    for number in range(9):
        columns = {"status": "deferred", "step": "job_completion_status", "wake_at": fakes.clock(), "attempt": 1}
        ReportRun.objects.filter(pk=new_run().pk).update(**columns, fireant_job_id=str(number))

    def answer_at_the_last_moment(job_id: str) -> JobStatus:
        fakes.clock.now += settings.timeout
        return JobStatus(state=JobState.RUNNING, reported="Running")

    monkeypatch.setattr(type(fakes.fireant), "status", lambda _fireant, job_id: answer_at_the_last_moment(job_id))
    monkeypatch.setattr(ticking, "get_runtime", lambda: fakes.runtime(settings))
    began_at = fakes.clock()
    ticker.run_upkeep()
    assert began_at < fakes.clock() < began_at + HEARTBEAT_TIMEOUT
