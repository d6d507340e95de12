"""Real clusters with faults in every role: they continue, leave no orphans, and end on request."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.demo.environment import Environment
from tests.support.clusters import (
    AT_ONCE,
    CHILDREN,
    GRACE,
    SOON,
    Cluster,
    await_that,
    is_alive,
    leave_mark,
    running,
    session,
    waiting,
)
from tests.support.console import ask

pytestmark = pytest.mark.slow

LONG = 60.0  # seconds, of a task that no test waits for
ROLES = (*CHILDREN, "sentinel")
SEED = 20260701


# --- tasks that the clusters run ---------------------------------------------------------------------------------


def hold_against_all(path: str) -> None:
    """Ignore every exception."""
    leave_mark(path)
    while True:
        try:
            time.sleep(LONG)
        except BaseException:  # noqa: BLE001, S112 - that is its purpose
            continue


def die() -> None:
    """End the worker as a crash does."""
    os.kill(os.getpid(), signal.SIGKILL)


# --- a cluster, watched ------------------------------------------------------------------------------------------


def in_shell(before: str) -> tuple[str, ...]:
    """The command that runs a cluster after a line of Python."""
    code = f"{before}; from django.core.management import call_command; call_command('qcluster')"
    return ("shell", "-v0", "-c", code)


@pytest.fixture(scope="module")
def lasting(any_environment: Environment) -> Iterator[Cluster]:
    """Yield one cluster for all faults of this module; it may leave no orphans."""
    with running(any_environment) as cluster:
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
    lasting.stop_ticks()  # a tick would take one of the two places, and leave a message in the pusher's hand
    holds = [lasting.hold() for _ in range(2)]
    marks = [lasting.mark() for _ in range(2)]
    for mark in marks:
        lasting.enqueue(leave_mark, str(mark))
    await_that(lambda: not waiting(lasting.environment), "the broker has given everything out")
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
    reported = lasting.environment.manage("shell", "-v0", "-c", code).strip()
    pids = [lasting.alive(role)[0] for role in ("main", "sentinel", "pusher", "monitor")]
    workers = sorted(lasting.alive("worker"))
    assert reported in [str([(*pids, workers, status)]) for status in ("Idle", "Working")]


def test_work_goes_on_after_many_kills_of_anybody(lasting: Cluster) -> None:
    dice = random.Random(f"{SEED} {lasting.environment.variables['Q_BROKER']}")
    for role in dice.sample(ROLES * 2, 2 * len(ROLES)):  # five sentinels killed in a row would end the cluster
        if dice.random() < 0.5:
            lasting.enqueue(time.sleep, dice.random())
        lasting.kill(role, await_that(partial(lasting.alive, role), f"a {role} is there")[-1])
        lasting.prove_work()


@pytest.mark.parametrize("busy", [False, True])
def test_nothing_outlives_the_main_process(sqlite_environment: Environment, *, busy: bool) -> None:
    with running(sqlite_environment) as cluster:
        if busy:
            cluster.hold()
        assert len(session(cluster.main.pid)) == 7
        os.kill(cluster.main.pid, signal.SIGKILL)
        assert cluster.await_end(AT_ONCE) == -signal.SIGKILL
    with running(sqlite_environment) as successor:
        successor.prove_work()
        assert successor.end() == 0


def test_a_sentinel_that_keeps_dying_ends_the_cluster_with_status_1(sqlite_environment: Environment) -> None:
    with running(sqlite_environment) as cluster:
        for _ in range(5):
            await_that(lambda: cluster.alive("sentinel"), "a sentinel is there")
            cluster.kill("sentinel")
        assert cluster.await_end(AT_ONCE) == 1
        assert "The cluster stopped: its sentinel died 5 times in a row" in cluster.log


def test_a_sentinel_that_fails_leaves_no_child(sqlite_environment: Environment) -> None:
    failing = (
        "from report_orchestrator.cluster import guard, restart_backoff; restart_backoff.FIRST_WAIT = 0; "
        "guard.SCHEDULER_INTERVAL = 0; guard.scheduler = lambda broker: 1 / 0"
    )
    with running(sqlite_environment, *in_shell(failing)) as cluster:
        assert cluster.await_end(SOON) == 1
        assert cluster.log.count("ZeroDivisionError") == 5


def test_tasks_that_kill_their_worker_slow_its_successors_down(sqlite_environment: Environment) -> None:
    # On a busy machine a worker is not young any more when it fetches its first task.
    young = "from report_orchestrator.cluster import restart_backoff; restart_backoff.YOUNG = 600.0"
    with running(sqlite_environment, *in_shell(young)) as cluster:
        for _ in range(4):
            cluster.enqueue(die)
        await_that(lambda: cluster.log.count("child lost role='worker'") == 4, "all of them killed", 60)
        assert re.findall(r"role='worker' .*replaced_in_s=(\S+)", cluster.log) == ["0.0", "0.5", "1.0", "2.0"]
        cluster.prove_work()


# --- told to end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_an_idle_cluster_ends_at_once(sqlite_environment: Environment, number: signal.Signals) -> None:
    with running(sqlite_environment) as cluster:
        began_at = time.monotonic()
        assert cluster.end(number) == 0
        assert time.monotonic() - began_at < AT_ONCE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_started_task_is_finished_even_if_the_signal_reaches_every_process(
    sqlite_environment: Environment, number: signal.Signals
) -> None:
    with running(sqlite_environment) as cluster:
        _busy, mark, until = cluster.hold()
        os.killpg(cluster.main.pid, number)
        await_that(lambda: "cluster ending" in cluster.log, "it ends")
        until.touch()
        assert cluster.await_end(GRACE + AT_ONCE) == 0
        assert mark.exists()
        assert "child cut short" not in cluster.log


def test_a_task_that_takes_too_long_is_cut_short_after_the_grace(sqlite_environment: Environment) -> None:
    with running(sqlite_environment) as cluster:
        busy, mark, _until = cluster.hold()
        began_at = time.monotonic()
        assert cluster.end() == 0
        assert GRACE <= time.monotonic() - began_at < GRACE + AT_ONCE
        assert not mark.exists()
        assert f"child cut short role='worker' pid={busy}" in cluster.log


def test_a_cluster_with_a_hung_sentinel_ends(sqlite_environment: Environment) -> None:
    impatient = "from report_orchestrator.cluster import main; main.MARGIN = 1"
    with running(sqlite_environment, *in_shell(impatient)) as cluster:
        os.kill(cluster.alive("sentinel")[0], signal.SIGSTOP)
        assert cluster.end() == 0
        assert "child cut short role='sentinel'" in cluster.log


def test_a_cluster_that_cannot_start_says_so_with_status_1(tmp_path: Path, sqlite_environment: Environment) -> None:
    nowhere = Environment(
        folder=tmp_path,
        overrides=sqlite_environment.overrides
        | {
            "DATABASE_URL": sqlite_environment.variables["DATABASE_URL"],
            "Q_BROKER": "redis",
            "REDIS_URL": "redis://127.0.0.1:1",
        },
    )
    with running(nowhere) as cluster:
        assert cluster.await_end(SOON) == 1
        assert "The cluster could not be started" in cluster.log


def test_run_once_does_what_waits_and_ends(sqlite_environment: Environment) -> None:
    with running(sqlite_environment) as cluster:
        cluster.stop_ticks()
        assert cluster.end() == 0
    mark = cluster.mark()
    cluster.enqueue(leave_mark, str(mark))
    with running(sqlite_environment, "qcluster", "--run-once", "--name", sqlite_environment.queue) as cluster:
        assert cluster.await_end(SOON) == 0
    assert mark.exists()


def test_run_once_lets_the_ticker_finish_its_round(sqlite_environment: Environment) -> None:
    slow = (
        "import time; from report_orchestrator import tasks; from report_orchestrator.cluster import guard; "
        "guard.PUSHER_GRACE = 0.2; sensor = tasks.cron_sensor; "
        "tasks.cron_sensor = lambda: (time.sleep(2), sensor(), print('the round is over', flush=True))"
    )
    command = in_shell(slow)
    once = (*command[:-1], command[-1].replace("'qcluster'", "'qcluster', run_once=True"))
    turns = "SharedState.objects.filter(name__startswith='bell')"
    ask(sqlite_environment, f"{turns}.delete()")
    with running(sqlite_environment, *once) as cluster:
        assert cluster.await_end(SOON) == 0
        assert "the round is over" in cluster.log
        assert "child cut short role='ticker'" not in cluster.log


def test_a_cluster_that_ended_is_known_as_stopped(sqlite_environment: Environment) -> None:
    lost_before = "SharedState.objects.filter(name__startswith='cluster: ')"  # by other tests
    ask(sqlite_environment, f"{lost_before}.delete()")
    with running(sqlite_environment) as cluster:
        cluster.prove_work()
        assert cluster.end() == 0
    worker = json.loads(sqlite_environment.manage("orchestrator_status", "--format", "json"))["workers"]
    assert worker["hint"] == "No qcluster is running: start manage.py qcluster."


# --- time-outs and recycling -------------------------------------------------------------------------------------


def test_a_task_over_its_time_is_ended_and_no_neighbour_with_it(sqlite_environment: Environment) -> None:
    with running(sqlite_environment, *in_shell("from django_q.conf import Conf; Conf.WORKERS = 3")) as cluster:
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


def test_a_recycled_worker_is_replaced_alone(sqlite_environment: Environment) -> None:
    with running(sqlite_environment, *in_shell("from django_q.conf import Conf; Conf.RECYCLE = 2")) as cluster:
        others = {role: cluster.alive(role) for role in ("pusher", "monitor", "sentinel")}
        for _ in range(8):
            cluster.prove_work()
        await_that(lambda: cluster.log.count("child ended role='worker'") >= 3, "three are replaced")
        assert "child lost" not in cluster.log
        assert {role: cluster.alive(role) for role in others} == others
