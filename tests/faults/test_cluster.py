"""Real clusters, hurt in every role: they work on, leave no orphan, and end when they are told to."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import psutil
import psycopg
import pytest
import redis
from django_q import core_signing as signing
from django_q.conf import Conf
from django_q.signing import PickleSerializer

from tests.demo.place import Place

pytestmark = pytest.mark.acceptance

SOON = 10.0  # seconds for work to go on after a kill
AT_ONCE = 3.0  # seconds for a process to be gone
GRACE = 1  # seconds that the clusters here give a started task
LONG = 60.0  # seconds, of a task that no test waits for
CHILDREN = ("worker", "pusher", "monitor")
ROLES = (*CHILDREN, "sentinel")
SEED = 20260701

T = TypeVar("T")
STARTED = re.compile(r"child started role='(\w+)' pid=(\d+)")


# --- tasks that the clusters run ---------------------------------------------------------------------------------


def leave_mark(path: str) -> None:
    """Says which process worked, whole or not at all."""
    draft = Path(f"{path}.draft")
    draft.write_text(str(os.getpid()))
    draft.rename(path)


def hold(path: str, until: str) -> None:
    """Is busy until a file is there, then leaves its mark."""
    leave_mark(f"{path}.begun")
    while not Path(until).exists():
        time.sleep(0.02)
    leave_mark(path)


def hold_against_all(path: str) -> None:
    """Lets no exception end it."""
    leave_mark(path)
    while True:
        try:
            time.sleep(LONG)
        except BaseException:  # noqa: BLE001, S112 - that is its purpose
            continue


def die() -> None:
    """Ends its worker as a crash does."""
    os.kill(os.getpid(), signal.SIGKILL)


# --- a cluster, watched ------------------------------------------------------------------------------------------


def await_that(condition: Callable[[], T], what: str, seconds: float = SOON) -> T:
    """The first true value of a condition."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    pytest.fail(f"within {seconds} s not: {what}")


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def session(leader: int) -> set[int]:
    """The living processes of a cluster's session, its main process among them."""

    def belongs(pid: int) -> bool:
        try:
            return os.getsid(pid) == leader and is_alive(pid)
        except ProcessLookupError:
            return False

    return {pid for pid in psutil.pids() if belongs(pid)}


@dataclass(kw_only=True)
class Cluster:
    """A running cluster: who is in it, and what it does."""

    place: Place
    main: subprocess.Popen[bytes]
    log_begins_at: int
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.place.folder / uuid4().hex
        self.folder.mkdir()

    @property
    def log(self) -> str:
        """What it has logged since its start."""
        return (self.place.folder / "qcluster.log").read_text()[self.log_begins_at :]

    def alive(self, role: str) -> list[int]:
        """The processes in that role."""
        if role == "main":
            return [self.main.pid]
        return [int(pid) for name, pid in STARTED.findall(self.log) if name == role and is_alive(int(pid))]

    def kill(self, role: str, pid: int | None = None) -> int:
        """Kills a process in that role; returns when it is gone, and with it all that must not outlive it."""
        victim = pid or self.alive(role)[0]
        doomed = {
            victim,
            *([p for child in CHILDREN for p in self.alive(child)] if role == "sentinel" else []),
        }
        assert is_alive(victim)
        os.kill(victim, signal.SIGKILL)
        await_that(
            lambda: not any(map(is_alive, doomed)), f"the {role} and what it started are gone", AT_ONCE
        )
        return victim

    def enqueue(self, task: Callable[..., None], *args: str | float, timeout: int = -1) -> None:
        """Puts a message where the broker looks, as Django-Q2 would."""
        function = f"{task.__module__}.{task.__qualname__}"
        name = uuid4().hex
        package = {"id": name, "name": name, "func": function, "args": args, "kwargs": {}}
        options = {"started": datetime.now(UTC), "timeout": timeout, "ack_failure": True}
        put(self.place, package | options)

    def mark(self) -> Path:
        """A new place for a task's mark."""
        return self.folder / uuid4().hex

    def hold(self) -> tuple[int, Path, Path]:
        """Makes a worker busy: which one, its mark, and the file that lets it go."""
        mark, until = self.mark(), self.mark()
        self.enqueue(hold, str(mark), str(until))
        begun = Path(f"{mark}.begun")
        await_that(begun.exists, "a worker is busy")
        return int(begun.read_text()), mark, until

    def silence_bells(self) -> None:
        """Has no tick be rung for an hour, and those that were rung be done."""
        self.place.manage(
            "shell",
            "-v0",
            "-c",
            "from datetime import timedelta; from django.utils import timezone; "
            "from report_orchestrator.models import Mark; now = timezone.now(); "
            "[Mark.objects.update_or_create(name=f'bell: report_orchestrator.tasks.{task}', "
            "defaults={'due_at': now + timedelta(hours=1), 'marked_at': now}) for task in ('tick', 'cron_sensor')]",
        )
        await_that(lambda: not waiting(self.place), "the ticks are given out")
        self.prove_work()

    def prove_work(self) -> float:
        """Has a task done; returns how many seconds that took."""
        mark, began_at = self.mark(), time.monotonic()
        self.enqueue(leave_mark, str(mark))
        await_that(mark.exists, "a task that was enqueued after the fault is done")
        return time.monotonic() - began_at

    def await_end(self, seconds: float) -> int:
        """Its exit status. Nothing of it may be left."""
        status = self.main.wait(seconds)
        await_that(lambda: not session(self.main.pid), "no orphan is left", AT_ONCE)
        return status

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal to the main process; returns the exit status."""
        self.main.send_signal(number)
        return self.await_end(GRACE + SOON)


def put(place: Place, message: Mapping[str, object]) -> None:
    """One message into the queue of a place, signed with the queue's name as its cluster signs."""
    package = signing.dumps(message, key=Conf.SECRET_KEY, salt=place.queue, serializer=PickleSerializer)
    if place.environment["Q_BROKER"] == "redis":
        with redis.Redis.from_url(place.environment["REDIS_URL"]) as client:
            client.rpush(f"django_q:{place.queue}:q", package)
    else:
        insert = "INSERT INTO django_q_ormq (key, payload, lock) VALUES ({0}, {0}, {0}) RETURNING id"
        query(place, insert, place.queue, package, datetime(2026, 1, 1, tzinfo=UTC))


def waiting(place: Place) -> int:
    """How many messages no cluster has fetched."""
    if place.environment["Q_BROKER"] == "redis":
        with redis.Redis.from_url(place.environment["REDIS_URL"]) as client:
            return int(client.llen(f"django_q:{place.queue}:q"))
    return query(place, "SELECT count(*) FROM django_q_ormq WHERE lock < {0}", datetime.now(UTC))


def query(place: Place, statement: str, *values: str | datetime) -> int:
    """The one number that a statement returns; `{0}` stands for each value."""
    database = place.environment["DATABASE_URL"]
    if database.startswith("postgres"):
        with psycopg.connect(database) as server:
            [number] = server.execute(statement.format("%s"), values).fetchone() or (0,)
    else:
        texts = [f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value for value in values]
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"), timeout=20)) as file, file:
            [number] = file.execute(statement.format("?"), texts).fetchone()
    return int(number)


@contextmanager
def running(place: Place, *command: str) -> Iterator[Cluster]:
    """A cluster that has begun to work, ended with all that belongs to it."""
    place.overrides["SHUTDOWN_GRACE_SECONDS"] = str(GRACE)
    log = place.folder / "qcluster.log"
    log.touch()
    begins_at = len(log.read_text())
    with place.running("qcluster", *(command or ("qcluster",))) as main:
        cluster = Cluster(place=place, main=main, log_begins_at=begins_at)
        await_that(lambda: "cluster running" in cluster.log or main.poll() is not None, "it has started")
        yield cluster


def in_shell(before: str) -> tuple[str, ...]:
    """The command that runs a cluster after a line of Python."""
    code = f"{before}; from django.core.management import call_command; call_command('qcluster')"
    return ("shell", "-v0", "-c", code)


@pytest.fixture(scope="module")
def lasting(any_place: Place) -> Iterator[Cluster]:
    """One cluster that takes all blows of this module, one after the other; no orphan may be left of it."""
    with running(any_place) as cluster:
        yield cluster
        began_at = time.monotonic()
        assert cluster.end() == 0
        assert time.monotonic() - began_at < AT_ONCE


# --- killed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_work_goes_on_after_an_idle_process_is_killed(lasting: Cluster, role: str) -> None:
    lasting.prove_work()
    dead = lasting.kill(role)
    lasting.prove_work()
    await_that(lambda: len(lasting.alive(role)) == (2 if role == "worker" else 1), f"another {role} is there")
    assert dead not in lasting.alive(role)


@pytest.mark.parametrize("role", ROLES)
def test_work_goes_on_after_a_process_is_killed_in_the_midst_of_work(lasting: Cluster, role: str) -> None:
    busy, mark, until = lasting.hold()
    lasting.kill(role, busy if role == "worker" else None)
    lasting.prove_work()
    until.touch()
    if role in {"pusher", "monitor"}:
        await_that(mark.exists, "the task that was under way is finished")
        assert mark.read_text() == str(busy)


def test_a_killed_worker_takes_no_neighbour_along(lasting: Cluster) -> None:
    busy, mark, until = lasting.hold()
    lasting.kill("worker", next(pid for pid in lasting.alive("worker") if pid != busy))
    lasting.prove_work()
    until.touch()
    await_that(mark.exists, "the neighbour's task is finished")
    assert mark.read_text() == str(busy)


def test_what_waits_for_a_worker_outlives_everybody_but_the_sentinel(lasting: Cluster) -> None:
    await_that(lambda: len(lasting.alive("worker")) == 2, "both workers are there")
    lasting.silence_bells()  # a tick would take one of the two places, and leave a message in the pusher's hand
    holds = [lasting.hold() for _ in range(2)]
    marks = [lasting.mark() for _ in range(2)]
    for mark in marks:
        lasting.enqueue(leave_mark, str(mark))
    await_that(lambda: not waiting(lasting.place), "the broker has given everything out")
    for role in CHILDREN:
        lasting.kill(role)
    for _busy, _mark, until in holds:
        until.touch()
    await_that(lambda: all(mark.exists() for mark in marks), "what waited is done")


def test_django_q_still_knows_who_is_there(lasting: Cluster) -> None:
    code = (
        "from django_q.status import Stat; "
        "print([(s.pid, s.sentinel, s.pusher, s.monitor, sorted(s.workers), str(s.status)) for s in Stat.get_all()])"
    )
    await_that(lambda: len(lasting.alive("worker")) == 2, "both workers are there")
    told = lasting.place.manage("shell", "-v0", "-c", code).strip()
    pids = [lasting.alive(role)[0] for role in ("main", "sentinel", "pusher", "monitor")]
    workers = sorted(lasting.alive("worker"))
    assert told in [str([(*pids, workers, status)]) for status in ("Idle", "Working")]


def test_work_goes_on_after_many_kills_of_anybody(lasting: Cluster) -> None:
    dice = random.Random(f"{SEED} {lasting.place.folder.name}")
    for _ in range(10):
        role = dice.choice(ROLES)
        if dice.random() < 0.5:
            lasting.enqueue(time.sleep, dice.random())
        lasting.kill(role, await_that(partial(lasting.alive, role), f"a {role} is there")[-1])
        lasting.prove_work()


@pytest.mark.parametrize("busy", [False, True])
def test_nothing_outlives_the_main_process(sqlite_place: Place, *, busy: bool) -> None:
    with running(sqlite_place) as cluster:
        if busy:
            cluster.hold()
        assert len(session(cluster.main.pid)) == 6
        os.kill(cluster.main.pid, signal.SIGKILL)
        assert cluster.await_end(AT_ONCE) == -signal.SIGKILL
    with running(sqlite_place) as successor:
        successor.prove_work()
        assert successor.end() == 0


def test_a_sentinel_that_keeps_dying_ends_the_cluster_with_status_1(sqlite_place: Place) -> None:
    with running(sqlite_place) as cluster:
        for _ in range(5):
            await_that(lambda: cluster.alive("sentinel"), "a sentinel is there")
            cluster.kill("sentinel")
        assert cluster.await_end(AT_ONCE) == 1
        assert "The cluster is lost: its sentinel died 5 times in a row" in cluster.log


def test_a_sentinel_that_fails_leaves_no_child(sqlite_place: Place) -> None:
    failing = (
        "from report_orchestrator.cluster import guard, pace; pace.FIRST_WAIT = 0; "
        "guard.SCHEDULER_INTERVAL = 0; guard.scheduler = lambda broker: 1 / 0"
    )
    with running(sqlite_place, *in_shell(failing)) as cluster:
        assert cluster.await_end(SOON) == 1
        assert cluster.log.count("ZeroDivisionError") == 5


def test_tasks_that_kill_their_worker_slow_its_successors_down(sqlite_place: Place) -> None:
    with running(sqlite_place) as cluster:
        for _ in range(4):
            cluster.enqueue(die)
        await_that(lambda: cluster.log.count("child lost role='worker'") == 4, "all of them killed")
        assert re.findall(r"role='worker' .*replaced_in_s=(\S+)", cluster.log) == ["0.0", "0.5", "1.0", "2.0"]
        cluster.prove_work()


# --- told to end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_cluster_ends_at_once(sqlite_place: Place, number: signal.Signals) -> None:
    with running(sqlite_place) as cluster:
        began_at = time.monotonic()
        assert cluster.end(number) == 0
        assert time.monotonic() - began_at < AT_ONCE


def test_a_started_task_is_finished_even_if_the_signal_reaches_every_process(sqlite_place: Place) -> None:
    with running(sqlite_place) as cluster:
        _busy, mark, until = cluster.hold()
        os.killpg(cluster.main.pid, signal.SIGTERM)
        await_that(lambda: "cluster ending" in cluster.log, "it ends")
        until.touch()
        assert cluster.await_end(GRACE + AT_ONCE) == 0
        assert mark.exists()
        assert "child cut short" not in cluster.log


def test_a_task_that_takes_too_long_is_cut_short_after_the_grace(sqlite_place: Place) -> None:
    with running(sqlite_place) as cluster:
        busy, mark, _until = cluster.hold()
        began_at = time.monotonic()
        assert cluster.end() == 0
        assert GRACE <= time.monotonic() - began_at < GRACE + AT_ONCE
        assert not mark.exists()
        assert f"child cut short role='worker' pid={busy}" in cluster.log


def test_a_cluster_with_a_hung_sentinel_ends(sqlite_place: Place) -> None:
    impatient = "from report_orchestrator.cluster import main; main.MARGIN = 1"
    with running(sqlite_place, *in_shell(impatient)) as cluster:
        os.kill(cluster.alive("sentinel")[0], signal.SIGSTOP)
        assert cluster.end() == 0
        assert "child cut short role='sentinel'" in cluster.log


def test_a_cluster_that_cannot_start_says_so_with_status_1(tmp_path: Path, sqlite_place: Place) -> None:
    nowhere = Place(
        folder=tmp_path,
        overrides=sqlite_place.overrides
        | {
            "DATABASE_URL": sqlite_place.environment["DATABASE_URL"],
            "Q_BROKER": "redis",
            "REDIS_URL": "redis://127.0.0.1:1",
        },
    )
    with running(nowhere) as cluster:
        assert cluster.await_end(SOON) == 1
        assert "The cluster could not be started" in cluster.log


def test_run_once_does_what_waits_and_ends(sqlite_place: Place) -> None:
    with running(sqlite_place) as cluster:
        cluster.silence_bells()
        assert cluster.end() == 0
    mark = cluster.mark()
    cluster.enqueue(leave_mark, str(mark))
    with running(sqlite_place, "qcluster", "--run-once", "--name", sqlite_place.queue) as cluster:
        assert cluster.await_end(SOON) == 0
    assert mark.exists()


# --- time-outs and recycling -------------------------------------------------------------------------------------


def test_a_task_over_its_time_is_ended_and_no_neighbour_with_it(sqlite_place: Place) -> None:
    with running(sqlite_place, *in_shell("from django_q.conf import Conf; Conf.WORKERS = 3")) as cluster:
        busy, mark, until = cluster.hold()
        cluster.enqueue(time.sleep, LONG, timeout=1)
        stubborn = cluster.mark()
        cluster.enqueue(hold_against_all, str(stubborn), timeout=1)
        await_that(lambda: cluster.log.count("worker timed out") == 2, "both are ended")
        assert "Task exceeded maximum timeout value (1 seconds)" in cluster.log
        await_that(lambda: not is_alive(int(stubborn.read_text())), "the stubborn one is gone", AT_ONCE)
        cluster.prove_work()
        until.touch()
        await_that(mark.exists, "the neighbour's task is finished")
        assert mark.read_text() == str(busy)


def test_a_recycled_worker_is_replaced_alone(sqlite_place: Place) -> None:
    with running(sqlite_place, *in_shell("from django_q.conf import Conf; Conf.RECYCLE = 2")) as cluster:
        others = {role: cluster.alive(role) for role in ("pusher", "monitor", "sentinel")}
        for _ in range(8):
            cluster.prove_work()
        await_that(lambda: cluster.log.count("child ended role='worker'") >= 3, "three are replaced")
        assert "child lost" not in cluster.log
        assert {role: cluster.alive(role) for role in others} == others
