"""Start a real cluster, observe it from outside, and send messages to it."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import psutil
import pytest
import redis
from django_q import core_signing as signing
from django_q.conf import Conf
from django_q.signing import PickleSerializer

from tests.demo.environment import Environment
from tests.support.console import ask
from tests.support.database_servers import select

SOON = 10.0  # seconds for work to go on after a kill


START = 60.0  # seconds for a cluster to start on a busy machine


AT_ONCE = 10.0  # seconds for a process to be gone on a slow machine


GRACE = 1  # seconds that the clusters here give a started task


CHILDREN = ("worker", "pusher", "monitor", "ticker")


T = TypeVar("T")


STARTED = re.compile(r"child started role='(\w+)' pid=(\d+)")


def leave_mark(path: str) -> None:
    """Write the worker's process ID to a file, atomically."""
    draft = Path(f"{path}.draft")
    draft.write_text(str(os.getpid()))
    draft.rename(path)


def hold(path: str, until: str) -> None:
    """Is busy until a file is there, then leaves its mark."""
    leave_mark(f"{path}.begun")
    while not Path(until).exists():
        time.sleep(0.02)
    leave_mark(path)


def await_that(condition: Callable[[], T], what: str, seconds: float = SOON) -> T:
    """Wait until a condition is true; return its value."""
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
    """Return the living processes of a cluster's session, including its main process."""

    def belongs(pid: int) -> bool:
        try:
            return os.getsid(pid) == leader and is_alive(pid)
        except ProcessLookupError:
            return False

    return {pid for pid in psutil.pids() if belongs(pid)}


@dataclass(kw_only=True)
class Cluster:
    """A running cluster: its processes and their activity."""

    environment: Environment
    main: subprocess.Popen[bytes]
    log_begins_at: int
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.environment.folder / uuid4().hex
        self.folder.mkdir()

    @property
    def log(self) -> str:
        """Return the log since the start."""
        return (self.environment.folder / "qcluster.log").read_text()[self.log_begins_at :]

    def alive(self, role: str) -> list[int]:
        """Return the processes with this role."""
        if role == "main":
            return [self.main.pid]
        return [int(pid) for name, pid in STARTED.findall(self.log) if name == role and is_alive(int(pid))]

    def kill(self, role: str, pid: int | None = None) -> int:
        """Kill a process with this role; return once it and everything that must end with it is gone."""
        victim = pid or self.alive(role)[0]
        doomed = {victim, *([p for child in CHILDREN for p in self.alive(child)] if role == "sentinel" else [])}
        assert is_alive(victim)
        os.kill(victim, signal.SIGKILL)
        await_that(lambda: not any(map(is_alive, doomed)), f"the {role} and what it started are gone", AT_ONCE)
        return victim

    def enqueue(self, task: Callable[..., None], *args: str | float, timeout: int = -1) -> None:
        """Send a message to the broker as Django-Q2 does."""
        function = f"{task.__module__}.{task.__qualname__}"
        name = uuid4().hex
        package = {"id": name, "name": name, "func": function, "args": args, "kwargs": {}}
        options = {"started": datetime.now(UTC), "timeout": timeout, "ack_failure": True}
        put(self.environment, package | options)

    def mark(self) -> Path:
        """Return a new path for a task's mark."""
        return self.folder / uuid4().hex

    def hold(self) -> tuple[int, Path, Path]:
        """Makes a worker busy: which one, its mark, and the file that lets it go."""
        mark, until = self.mark(), self.mark()
        self.enqueue(hold, str(mark), str(until))
        begun = Path(f"{mark}.begun")
        await_that(begun.exists, "a worker is busy")
        return int(begun.read_text()), mark, until

    def stop_ticks(self) -> None:
        """Postpone all ticks by an hour, and let the pending ones finish."""
        postponed = "defaults={'due_at': now() + timedelta(hours=1), 'marked_at': now()}"
        ask(
            self.environment,
            f"[SharedState.objects.update_or_create(name=f'bell: report_orchestrator.tasks.{{task}}', {postponed})"
            " for task in ('tick', 'cron_sensor', 'rediscover')] and None",
        )
        await_that(lambda: not waiting(self.environment), "the ticks are given out")
        self.prove_work()

    def prove_work(self) -> float:
        """Run a task; return its duration in seconds."""
        mark, began_at = self.mark(), time.monotonic()
        self.enqueue(leave_mark, str(mark))
        await_that(mark.exists, "a task that was enqueued after the fault is done")
        return time.monotonic() - began_at

    def await_end(self, seconds: float) -> int:
        """Wait for the end and return the exit status. No process may remain."""
        status = self.main.wait(seconds)
        await_that(lambda: not session(self.main.pid), "no orphan is left", AT_ONCE)
        return status

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the main process; return the exit status."""
        self.main.send_signal(number)
        return self.await_end(GRACE + SOON)


def put(environment: Environment, message: Mapping[str, object]) -> None:
    """Put one message into the environment's queue, signed as its cluster signs."""
    package = signing.dumps(message, key=Conf.SECRET_KEY, salt=environment.queue, serializer=PickleSerializer)
    if environment.variables["Q_BROKER"] == "redis":
        with redis.Redis.from_url(environment.variables["REDIS_URL"]) as client:
            client.rpush(f"django_q:{environment.queue}:q", package)
    else:
        insert = 'INSERT INTO django_q_ormq ("key", payload, "lock") VALUES ({0}, {0}, {0}) RETURNING id'
        query(environment, insert, environment.queue, package, datetime(2026, 1, 1, tzinfo=UTC))


def waiting(environment: Environment) -> int:
    """Return the number of messages that no cluster has fetched."""
    if environment.variables["Q_BROKER"] == "redis":
        with redis.Redis.from_url(environment.variables["REDIS_URL"]) as client:
            return int(client.llen(f"django_q:{environment.queue}:q"))
    return query(environment, 'SELECT count(*) FROM django_q_ormq WHERE "lock" < {0}', datetime.now(UTC))


def query(environment: Environment, statement: str, *values: str | datetime) -> int:
    """Return the single number of a statement; `{0}` stands for each value."""
    database = environment.variables["DATABASE_URL"]
    if not database.startswith("sqlite"):
        quoted = statement.replace('"', "`") if database.startswith("mysql") else statement
        [number] = select(database, quoted.format("%s"), values) or (0,)
    else:
        texts = [f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value for value in values]
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"), timeout=20)) as file, file:
            [number] = file.execute(statement.format("?"), texts).fetchone()
    return int(number)


@contextmanager
def running(environment: Environment, *command: str) -> Iterator[Cluster]:
    """Yield a working cluster; end it with all its processes."""
    environment.overrides["SHUTDOWN_GRACE_SECONDS"] = str(GRACE)
    log = environment.folder / "qcluster.log"
    log.touch()
    begins_at = len(log.read_text())
    with environment.running("qcluster", *(command or ("qcluster",))) as main:
        cluster = Cluster(environment=environment, main=main, log_begins_at=begins_at)
        await_that(lambda: "cluster running" in cluster.log or main.poll() is not None, "it has started", START)
        yield cluster
