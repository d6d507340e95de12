"""The database or the broker restarts, or the broker loses its messages: the cluster reconnects and does nothing
twice. So it does while the database is read-only.

The servers are shared, so a proxy simulates the restart: it closes all connections and refuses new ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
import redis

from report_orchestrator.domain.runs import Step
from tests.demo.environment import Environment
from tests.host.api.seed import REPORTS
from tests.support.cluster_state import assert_done_once, await_ends, await_that, forget_runs, report_keys
from tests.support.database_servers import set_read_only
from tests.support.environments import environment_on_server_with_redis
from tests.support.lease_probe import held, hold_in_each_step
from tests.support.prepared_environments import migrated, seeded
from tests.support.tcp_proxy import Wire

pytestmark = pytest.mark.slow

NAMES = [seed.name for seed in REPORTS if seed.expected == "active"]
RUNS = 10
OUTAGE = 3.0  # seconds
LONG = 30.0  # seconds for a busy machine to get going
BOUND = 60  # seconds for everything to end after an outage


@dataclass(frozen=True, kw_only=True)
class Wired:
    """An environment as its cluster sees it, through the proxies, and as the tests see it, directly."""

    cluster: Environment
    watched: Environment
    database: Wire
    broker: Wire
    queue: redis.Redis


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str) -> Iterator[Wired]:
    """Yield PostgreSQL and Redis, each behind a proxy, with seeded and paused reports."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("wired")
        environment = stack.enter_context(environment_on_server_with_redis(folder, postgres_url, redis_url))
        seeded(migrated(environment))
        database, broker = stack.enter_context(Wire(postgres_url)), stack.enter_context(Wire(redis_url))
        near = {
            name: environment.variables[name].replace(postgres_url, database.url)
            for name in ("DATABASE_URL", "REPORTS_DATABASE_URL")
        }
        cluster = replace(environment, overrides=environment.overrides | near | {"REDIS_URL": broker.url})
        queue = stack.enter_context(redis.Redis.from_url(redis_url))
        yield Wired(cluster=cluster, watched=environment, database=database, broker=broker, queue=queue)


def restart(wires: Collection[Wire], while_away: Callable[[], object]) -> list[int]:
    """Cut these proxies for a while; return the number of closed connections of each."""
    cut = [wire.cut() for wire in wires]
    while_away()
    time.sleep(OUTAGE)
    for wire in wires:
        wire.mend()
    return cut


def fail_over(wired: Wired, while_read_only: Callable[[], object]) -> None:
    """Lead all connections to a server that is read-only for a while, as a demoted one; those made meanwhile stay so."""
    urls = [wired.watched.variables[name] for name in ("DATABASE_URL", "REPORTS_DATABASE_URL")]
    set_read_only(urls, read_only=True)
    wired.database.cut()
    wired.database.mend()
    while_read_only()
    time.sleep(OUTAGE)
    set_read_only(urls, read_only=False)


def test_what_is_under_way_survives_a_read_only_database_and_is_done_once(wired: Wired) -> None:
    forget_runs(wired.watched)
    marks = hold_in_each_step(wired.cluster, NAMES)
    keys = report_keys(wired.watched, NAMES[:RUNS])
    with (
        wired.cluster.fireant("--seconds-queued", "0", "--seconds-running", "2", "--quiet"),
        wired.cluster.running("qcluster", "qcluster"),
    ):
        wired.watched.manage("run_report", *keys)
        await_that(lambda: held(marks) == len(Step), "a run is inside each step", LONG)
        fail_over(wired, (marks / "go").touch)
        runs = await_ends(wired.watched, RUNS, BOUND)
        assert_done_once(wired.watched, runs)
    assert [run["crashes"] for run in runs] == [0] * RUNS
    assert not any(run["twice"] for run in runs)
    assert {result for run in runs for _step, result in run["steps"]} == {"completed"}
    log = (wired.cluster.folder / "qcluster.log").read_text()
    assert "child lost" not in log
    assert "Failed '" not in log


@pytest.mark.parametrize("what", ["database", "broker and its messages", "everything"])
def test_what_is_under_way_survives_a_restart_and_is_done_once(wired: Wired, what: str) -> None:
    forget_runs(wired.watched)
    marks = hold_in_each_step(wired.cluster, NAMES)
    wires = {"database": [wired.database], "everything": [wired.database, wired.broker]}.get(what, [wired.broker])

    def go_on() -> None:
        if wired.broker in wires:
            wired.queue.flushdb()
        (marks / "go").touch()

    keys = report_keys(wired.watched, NAMES[:RUNS])
    with (
        wired.cluster.fireant("--seconds-queued", "0", "--seconds-running", "2", "--quiet"),
        wired.cluster.running("qcluster", "qcluster"),
    ):
        wired.watched.manage("run_report", *keys)
        await_that(lambda: held(marks) == len(Step), "a run is inside each step", LONG)
        cut = restart(wires, go_on)
        runs = await_ends(wired.watched, RUNS, BOUND)
        assert min(cut) > 0
        assert len(runs) == RUNS
        assert_done_once(wired.watched, runs)
        assert not any(run["twice"] for run in runs)
