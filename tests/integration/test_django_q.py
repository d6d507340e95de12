"""Django-Q as the doorbell: its schedule table, its messages, the ticking broker, and the marks by which brokers take turns."""

from __future__ import annotations

import ast
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest
import redis
from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django_q.brokers import Broker
from django_q.brokers.orm import ORM
from django_q.brokers.redis_broker import Redis
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage
from pytest_django import Settings as DjangoSettings

from report_orchestrator import brokers
from report_orchestrator.adapters.django_q import TASKS, WORK, DjangoQ
from report_orchestrator.adapters.host_clock import queue_time
from report_orchestrator.conf import SETTING
from report_orchestrator.models import Mark
from report_orchestrator.ports import QueueSchedule
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.reconciling import sync_schedules
from report_orchestrator.testing import START, FakeClock, FakePorts, geo_report
from tests.conftest import SettingsFactory
from tests.host.api.seed import REPORTS

LATER = START + timedelta(minutes=10)
KEPT_START, KEPT_LATER = queue_time(START), queue_time(LATER)
TICK = QueueSchedule(name="our tick", task=f"{TASKS}tick", minutes=1, next_run_at=START)
CRON = QueueSchedule(
    name="report 7: Flood",
    task=f"{TASKS}run_report",
    args=(7,),
    cron="30 2 * * *",
    next_run_at=LATER,
    pinned=True,
)
queue = DjangoQ()


def line(name: str) -> Schedule:
    return Schedule.objects.get(name=name)


def columns(name: str) -> tuple[object, ...]:
    row = line(name)
    return row.func, row.args, row.schedule_type, row.minutes, row.cron, row.repeats, row.next_run


def everything() -> list[tuple[object, ...]]:
    return list(Schedule.objects.order_by("pk").values_list())


def messages() -> list[tuple[str, tuple[object, ...]]]:
    """The function and the arguments of each message in the ORM broker's table, oldest first."""
    tasks = [message.task for message in OrmQ.objects.order_by("pk")]
    return [(task["func"], task["args"]) for task in tasks]


def broken_broker(list_key: str | None = None) -> NoReturn:
    raise ConnectionError("the broker is away")


def in_threads(count: int, act: Callable[[], object]) -> list[object]:
    """What each of many threads got, all of them let go at once, each on a connection of its own."""
    barrier = threading.Barrier(count)
    got: list[object] = []

    def run() -> None:
        try:
            barrier.wait(10)
            got.append(act())
        except BaseException as error:  # noqa: BLE001 - shown by the test's own comparison
            got.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return got


@pytest.mark.django_db
class TestSchedules:
    def test_missing_lines_are_created(self) -> None:
        synced = queue.sync_schedules([TICK, CRON])
        assert (synced.created, synced.updated, synced.removed, synced.unchanged) == (
            ("our tick", "report 7: Flood"),
            {},
            (),
            0,
        )
        assert columns("our tick") == (f"{TASKS}tick", None, Schedule.MINUTES, 1, None, -1, KEPT_START)
        assert columns("report 7: Flood") == (
            f"{TASKS}run_report",
            "(7,)",
            Schedule.CRON,
            None,
            "30 2 * * *",
            -1,
            KEPT_LATER,
        )

    def test_the_queue_reads_the_arguments_that_were_meant(self) -> None:
        wanted = QueueSchedule(name="two", task=f"{TASKS}work", args=(7, "it's"), minutes=1)
        queue.sync_schedules([wanted, CRON])
        assert ast.literal_eval(line("two").args) == (7, "it's")
        assert ast.literal_eval(line("report 7: Flood").args) == (7,)

    def test_a_second_time_changes_nothing(self) -> None:
        queue.sync_schedules([TICK, CRON])
        before = everything()
        synced = queue.sync_schedules([TICK, CRON])
        assert not synced.changed
        assert synced.unchanged == 2
        assert everything() == before

    def test_what_differs_is_changed_and_told(self) -> None:
        queue.sync_schedules([TICK, CRON])
        slower = QueueSchedule(name="our tick", task=f"{TASKS}tick", minutes=5, next_run_at=LATER)
        synced = queue.sync_schedules([slower, CRON])
        assert synced.updated == {"our tick": f"minutes: 1 -> 5; next_run: {KEPT_START} -> {KEPT_LATER}"}
        assert synced.unchanged == 1
        assert columns("our tick") == (f"{TASKS}tick", None, Schedule.MINUTES, 5, None, -1, KEPT_LATER)

    def test_a_line_that_turns_from_minutes_to_a_cron_keeps_nothing_of_them(self) -> None:
        queue.sync_schedules([TICK])
        queue.sync_schedules([QueueSchedule(name="our tick", task=f"{TASKS}tick", cron="0 * * * *")])
        row = line("our tick")
        assert (row.schedule_type, row.minutes, row.cron) == (Schedule.CRON, None, "0 * * * *")

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("func", f"{TASKS}run_discovery"),
            ("args", "(8,)"),
            ("kwargs", "run_id=8"),
            ("hook", "somewhere.else"),
            ("intended_date_kwarg", "when"),
            ("schedule_type", Schedule.DAILY),
            ("cron", "0 0 * * *"),
            ("repeats", 0),
        ],
    )
    def test_what_a_person_changed_in_our_line_is_put_back(self, column: str, value: object) -> None:
        queue.sync_schedules([TICK, CRON])
        before = everything()
        Schedule.objects.filter(name=CRON.name).update(**{column: value})
        synced = queue.sync_schedules([TICK, CRON])
        assert f"{column}: {value!r} -> " in synced.updated[CRON.name]
        assert everything() == before

    def test_a_time_that_the_queue_moved_on_is_its_own(self) -> None:
        queue.sync_schedules([TICK])
        Schedule.objects.update(next_run=KEPT_LATER)
        assert not queue.sync_schedules([TICK]).changed
        assert line("our tick").next_run == KEPT_LATER

    def test_a_pinned_time_is_always_ours(self) -> None:
        queue.sync_schedules([CRON])
        Schedule.objects.update(next_run=KEPT_START)
        synced = queue.sync_schedules([CRON])
        assert synced.updated == {"report 7: Flood": f"next_run: {KEPT_START} -> {KEPT_LATER}"}
        assert line("report 7: Flood").next_run == KEPT_LATER

    def test_a_line_that_lost_its_time_is_given_it_again(self) -> None:
        queue.sync_schedules([TICK])
        Schedule.objects.update(next_run=None)
        assert queue.sync_schedules([TICK]).updated == {"our tick": f"next_run: None -> {KEPT_START}"}
        assert line("our tick").next_run == KEPT_START

    def test_our_lines_that_nobody_wants_are_removed(self) -> None:
        queue.sync_schedules([TICK, CRON])
        synced = queue.sync_schedules([TICK])
        assert (synced.removed, synced.unchanged) == (("report 7: Flood",), 1)
        assert list(Schedule.objects.values_list("name", flat=True)) == ["our tick"]

    def test_lines_of_others_are_left_alone(self) -> None:
        Schedule.objects.create(name="our tick", func="host.tasks.tick", schedule_type=Schedule.DAILY)
        Schedule.objects.create(name="nightly", func="report_orchestrator_of_theirs.tasks.tick")
        Schedule.objects.create(func="host.tasks.nameless")
        before = everything()
        queue.sync_schedules([TICK])
        synced = queue.sync_schedules([])
        assert synced.removed == ("our tick",)
        assert everything() == before

    def test_a_doubled_line_is_removed_and_told(self) -> None:
        queue.sync_schedules([TICK])
        for _ in range(2):
            Schedule.objects.create(name="our tick", func=f"{TASKS}tick", schedule_type="I", minutes=1)
        synced = queue.sync_schedules([TICK])
        assert Schedule.objects.count() == 1
        assert synced.changed

    def test_a_doubled_line_that_nobody_wants_goes_altogether(self) -> None:
        for _ in range(2):
            Schedule.objects.create(name="our tick", func=f"{TASKS}tick")
        queue.sync_schedules([])
        assert not Schedule.objects.exists()

    def test_a_line_of_ours_without_a_name_is_removed(self) -> None:
        Schedule.objects.create(func=f"{TASKS}tick")
        queue.sync_schedules([TICK])
        assert list(Schedule.objects.values_list("name", flat=True)) == ["our tick"]

    def test_only_lines_with_the_given_arguments_are_looked_at(self) -> None:
        queue = DjangoQ()
        first = QueueSchedule(name="report 1: A", task=f"{TASKS}run_report", args=(1,), cron="0 1 * * *")
        second = replace(first, name="report 2: B", args=(2,))
        queue.sync_schedules([first, second])
        renamed = replace(second, name="report 2: C")
        synced = queue.sync_schedules([renamed], only=[(2,)])
        assert (synced.created, synced.removed) == (("report 2: C",), ("report 2: B",))
        assert set(Schedule.objects.values_list("name", flat=True)) == {"report 1: A", "report 2: C"}

    def test_many_lines_take_few_queries(self, django_assert_max_num_queries: Any) -> None:
        wanted = [
            QueueSchedule(name=f"line {number}", task=f"{TASKS}tick", minutes=1, next_run_at=START)
            for number in range(500)
        ]
        with django_assert_max_num_queries(12):
            assert len(queue.sync_schedules(wanted).created) == 500
        with django_assert_max_num_queries(8):
            assert queue.sync_schedules(wanted).unchanged == 500

    def test_a_host_without_time_zones_is_given_its_own_time(self, settings: DjangoSettings) -> None:
        settings.TIME_ZONE = "Europe/Amsterdam"
        settings.USE_TZ = False
        queue.sync_schedules([TICK])
        assert line("our tick").next_run == datetime(2026, 7, 1, 14)  # noqa: DTZ001 - two hours ahead of UTC
        queue.move_schedule("our tick", LATER)
        assert line("our tick").next_run == datetime(2026, 7, 1, 14, 10)  # noqa: DTZ001
        pinned = QueueSchedule(
            name="our tick", task=f"{TASKS}tick", minutes=1, next_run_at=LATER, pinned=True
        )
        assert not queue.sync_schedules([pinned]).changed

    def test_a_line_is_moved_or_put_to_sleep(self) -> None:
        Schedule.objects.create(name="report 7: Flood", func="host.tasks.flood", next_run=KEPT_START)
        queue.sync_schedules([CRON])
        ours = Schedule.objects.filter(func__startswith=TASKS)
        queue.move_schedule("report 7: Flood", LATER + timedelta(days=1))
        assert ours.get().next_run == queue_time(LATER + timedelta(days=1))
        queue.move_schedule("report 7: Flood", None)
        assert ours.get().next_run is None
        assert line_of_host().next_run == KEPT_START

    @pytest.mark.parametrize(
        "cron", sorted({seed.cron or "" for seed in REPORTS if seed.expected == "active"})
    )
    def test_the_queue_itself_finds_every_line_valid(self, fakes: FakePorts, cron: str) -> None:
        self.assert_valid_lines(fakes, cron)

    def test_a_cron_longer_than_the_queues_column_does_not_stop_the_others(self, fakes: FakePorts) -> None:
        self.assert_valid_lines(fakes, ",".join(str(minute) for minute in range(60)) + " * * * *")

    @staticmethod
    def assert_valid_lines(fakes: FakePorts, cron: str) -> None:
        fakes.reports.add(geo_report("1", name="Wind " * 60), cron=cron)
        discover(ports=fakes.ports)
        pipeline = SettingsFactory.make(SCHEDULING_APPROACH="pipeline")
        sync_schedules(ports=fakes.ports, settings=pipeline)
        queue.sync_schedules(list(fakes.queue.lines.values()))
        assert Schedule.objects.count() == 3
        for row in Schedule.objects.all():
            row.full_clean()


def line_of_host() -> Schedule:
    return Schedule.objects.exclude(func__startswith=TASKS).get()


@pytest.mark.django_db(transaction=True)
class TestBells:
    def test_a_message_is_sent_after_the_commit_only(self) -> None:
        with transaction.atomic():
            queue.ring([7, 8])
            assert messages() == []
        assert messages() == [(WORK, (7,)), (WORK, (8,))]

    def test_a_rollback_sends_nothing(self) -> None:
        with transaction.atomic():
            queue.ring([7])
            transaction.set_rollback(True)
        assert messages() == []

    def test_outside_a_transaction_it_is_sent_at_once(self) -> None:
        queue.ring([7])
        assert messages() == [(WORK, (7,))]

    def test_nothing_to_ring_for_sends_nothing(self) -> None:
        queue.ring([])
        assert messages() == []

    def test_the_queue_puts_no_limit_of_time_on_the_work(self) -> None:
        queue.ring([7])
        task = OrmQ.objects.get().task
        assert (task["timeout"], task["name"]) == (-1, "run 7")

    def test_a_broker_that_fails_does_not_fail_the_caller(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Conf, "BROKER_CLASS", f"{__name__}.broken_broker")
        queue.ring([7])
        with transaction.atomic():
            queue.ring([7, 8])
            Mark.objects.note("kept", now=START)
        assert Mark.objects.filter(name="kept").exists()

    def test_the_message_of_a_failed_broker_does_not_keep_back_the_next(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refusals = iter([True, False])
        real = ORM.enqueue

        def enqueue(broker: Any, task: str) -> Any:
            if next(refusals):
                raise ConnectionError("the broker is away")
            return real(broker, task)

        monkeypatch.setattr(ORM, "enqueue", enqueue)
        with transaction.atomic():
            queue.ring([7, 8])
        assert messages() == [(WORK, (8,))]

    def test_nobody_is_alive_where_no_cluster_reports(self, settings: DjangoSettings) -> None:
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
        assert queue.workers_alive() == 0


def bell_counts() -> dict[str, int]:
    """How many messages of each tick were sent."""
    counts = {"tick": 0, "cron_sensor": 0}
    for function, _arguments in messages():
        if function != WORK:
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
    """What the pusher gets when it asks, once the broker's own quiet time is over."""
    broker._quiet_until = 0.0
    return broker.dequeue()


@pytest.mark.django_db(transaction=True)
class TestTickingBroker:
    def test_of_two_brokers_one_rings_in_each_interval(self, clock: FakeClock) -> None:
        one, other = brokers.ticking_broker(), brokers.ticking_broker()
        for _ in range(3):
            pull(one)
            pull(other)
        assert bell_counts() == {"tick": 1, "cron_sensor": 1}
        clock.advance(seconds=2.9)
        pull(other)
        assert bell_counts() == {"tick": 1, "cron_sensor": 1}
        clock.advance(seconds=0.1)
        pull(other)
        pull(one)
        assert bell_counts() == {"tick": 2, "cron_sensor": 1}
        clock.advance(seconds=57)
        pull(one)
        pull(other)
        assert bell_counts() == {"tick": 3, "cron_sensor": 2}

    def test_a_bell_rings_on_the_minute_whenever_its_cluster_was_started(self, clock: FakeClock) -> None:
        broker = brokers.ticking_broker()
        clock.advance(seconds=17.4)
        assert broker._ring_due() == pytest.approx(0.6 + brokers.MARGIN)
        clock.advance(seconds=42.5)
        pull(broker)
        assert bell_counts() == {"tick": 2, "cron_sensor": 1}
        clock.advance(seconds=0.1)  # 12:01:00
        pull(broker)
        assert bell_counts() == {"tick": 3, "cron_sensor": 2}

    def test_of_many_brokers_at_the_same_moment_one_rings(self, clock: FakeClock) -> None:
        for _ in range(2):
            in_threads(6, lambda: brokers.ticking_broker()._ring_due())
            clock.advance(seconds=60)
        assert bell_counts() == {"tick": 2, "cron_sensor": 2}

    def test_it_gives_what_the_broker_has(self, clock: FakeClock) -> None:
        queue.ring([7])
        [(_key, payload), *_ticks] = pull(brokers.ticking_broker())
        assert SignedPackage.loads(payload)["args"] == (7,)

    def test_it_looks_for_ticks_only_now_and_then(self, clock: FakeClock) -> None:
        broker = brokers.ticking_broker()
        broker.dequeue()
        Mark.objects.all().delete()
        broker.dequeue()
        assert not Mark.objects.exists()

    @pytest.mark.parametrize("approach", ["schedule", "pipeline"])
    def test_only_the_sensor_approach_has_a_cron_sensor(
        self, clock: FakeClock, settings: DjangoSettings, approach: str
    ) -> None:
        setattr(settings, SETTING, {**getattr(settings, SETTING), "SCHEDULING_APPROACH": approach})
        pull(brokers.ticking_broker())
        assert bell_counts() == {"tick": 1, "cron_sensor": 0}

    @pytest.mark.parametrize("error", [OperationalError, InterfaceError])
    def test_a_database_that_is_away_for_a_moment_does_not_end_the_pusher(
        self,
        clock: FakeClock,
        monkeypatch: pytest.MonkeyPatch,
        log_lines: list[logging.LogRecord],
        error: type[Exception],
    ) -> None:
        queue.ring([7])

        def away() -> NoReturn:
            raise error("the server closed the connection")

        monkeypatch.setattr(brokers, "database_clock", away)
        broker = brokers.ticking_broker()
        [(_key, payload)] = pull(broker)
        assert SignedPackage.loads(payload)["args"] == (7,)
        [warning] = log_lines
        assert (warning.levelname, warning.getMessage()) == ("WARNING", "the ticks could not be looked at")

        monkeypatch.setattr(brokers, "database_clock", clock)
        pull(broker)
        assert bell_counts() == {"tick": 1, "cron_sensor": 1}

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
    """Lets the brokers' class be chosen anew, before and after."""
    brokers._ticking_class.cache_clear()
    yield
    brokers._ticking_class.cache_clear()


@pytest.fixture
def redis_queue(redis_url: str, other_broker: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """Django-Q over Redis, with a queue that nobody else has."""
    name = f"test-{secrets.token_hex(8)}"
    monkeypatch.setattr(Conf, "ORM", None)
    monkeypatch.setattr(Conf, "REDIS", redis_url)
    monkeypatch.setattr(Conf, "CLUSTER_NAME", name)
    with redis.Redis.from_url(redis_url) as client:
        yield client
        client.delete(f"django_q:{name}:q")


@pytest.fixture
def log_lines() -> Iterator[list[logging.LogRecord]]:
    """What the brokers write to the log."""
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keeping()
    brokers.logger.addHandler(handler)
    yield records
    brokers.logger.removeHandler(handler)


class TestMarks:
    @pytest.mark.django_db
    def test_a_turn_is_won_once_until_it_is_due_again(self) -> None:
        def win(at: datetime) -> bool:
            return Mark.objects.win("turn", now=at, until=at + timedelta(seconds=5))

        seconds = (0, 0, 4.9, 5, 5, 9.9, 60)
        won = [win(START + timedelta(seconds=second)) for second in seconds]
        assert won == [True, False, False, True, False, False, True]

    @pytest.mark.django_db
    def test_turns_of_other_names_are_apart(self) -> None:
        assert all(Mark.objects.win(name, now=START, until=LATER) for name in ("one", "other"))

    @pytest.mark.django_db
    def test_a_note_replaces_the_one_before(self) -> None:
        Mark.objects.note("discovery", now=START, detail={"examined": 3})
        Mark.objects.note("discovery", now=LATER, detail={"examined": 4})
        mark = Mark.objects.get()
        assert (str(mark), mark.marked_at, mark.detail) == ("discovery", LATER, {"examined": 4})

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("is_there", [False, True], ids=["new", "due"])
    def test_of_many_askers_at_once_one_wins(self, *, is_there: bool) -> None:
        if is_there:
            Mark.objects.win("turn", now=START - timedelta(days=1), until=START)
        won = in_threads(8, lambda: Mark.objects.win("turn", now=START, until=LATER))
        assert sorted(won, key=str) == [False] * 7 + [True]

    @pytest.mark.django_db(transaction=True)
    def test_who_holds_a_mark_is_alone_until_its_transaction_ends(self) -> None:
        Mark.objects.note("count", now=START, detail={"n": 0})

        def count_five_times() -> None:
            for _ in range(5):
                with transaction.atomic():
                    Mark.objects.hold("mutex: count", now=START)
                    mark = Mark.objects.get(name="count")
                    mark.detail = {"n": mark.detail["n"] + 1}
                    mark.save()

        assert in_threads(4, count_five_times) == [None] * 4
        assert Mark.objects.get(name="count").detail == {"n": 20}

    @pytest.mark.django_db
    def test_a_hold_outlives_the_row_being_there_already(self) -> None:
        with transaction.atomic():
            Mark.objects.hold("mutex", now=START)
            Mark.objects.hold("mutex", now=datetime(2026, 7, 2, tzinfo=UTC))
        assert connection.needs_rollback is False
        assert Mark.objects.get().marked_at == datetime(2026, 7, 2, tzinfo=UTC)
