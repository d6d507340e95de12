"""The main job on pooled connections: psycopg's pool in each process, and PgBouncer in transaction mode."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from urllib.parse import urlsplit

import psutil
import pytest

from tests.demo.environment import Environment
from tests.support.clusters import Cluster, await_that, running, session
from tests.support.main_job import assert_all_right, assert_nothing_was_done_twice, prepared, wait_for_the_end
from tests.support.pgbouncer import pgbouncer
from tests.support.prepared_environments import migrated

pytestmark = pytest.mark.slow


@pytest.fixture
def pooled_environment(postgres_environment: Environment) -> Environment:
    """Return PostgreSQL databases behind psycopg's pool."""
    postgres_environment.overrides["DJANGO_SETTINGS_MODULE"] = "tests.host.pooled_settings"
    return postgres_environment


@pytest.fixture
def pgbouncer_environment(postgres_environment: Environment, postgres_url: str) -> Iterator[Environment]:
    """Yield PostgreSQL databases behind PgBouncer. `make versions` installs it."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    with pgbouncer(program, postgres_url) as url:
        for name in ("DATABASE_URL", "REPORTS_DATABASE_URL"):
            address = postgres_environment.overrides[name].replace(postgres_url, url)
            postgres_environment.overrides[name] = f"{address}?DISABLE_SERVER_SIDE_CURSORS=true"
        yield postgres_environment


@pytest.mark.parametrize("kind", ["pooled_environment", "pgbouncer_environment"])
def test_the_main_job_runs_on_pooled_connections(request: pytest.FixtureRequest, kind: str) -> None:
    environment: Environment = request.getfixturevalue(kind)
    with prepared(environment, "sensor"), running(environment) as cluster:
        wait_for_the_end(environment)
        assert_all_right(environment)
        assert_nothing_was_done_twice(environment)
        assert shared_connections(cluster) == []
        assert "Traceback" not in cluster.log


def test_a_replaced_process_takes_no_connection_of_its_parent(pooled_environment: Environment) -> None:
    with running(migrated(pooled_environment)) as cluster:
        for role in ("worker", "monitor", "pusher", "ticker", "sentinel"):
            cluster.prove_work()
            before = cluster.alive(role)
            cluster.kill(role)
            await_that(lambda: set(cluster.alive(role)) - set(before), f"another {role} is there")  # noqa: B023
        cluster.prove_work()
        assert shared_connections(cluster) == []


def shared_connections(cluster: Cluster) -> list[int]:
    """Return local ports of connections to the database that two processes of the cluster hold."""
    port = urlsplit(cluster.environment.variables["DATABASE_URL"]).port
    held = Counter(chain.from_iterable(ports_connected_to(port, pid) for pid in session(cluster.main.pid)))
    assert held
    return [local for local, processes in held.items() if processes > 1]


def ports_connected_to(port: int | None, pid: int) -> set[int]:
    """Return the local ports of a process's connections to a port; none if it has ended."""
    try:
        return {
            held.laddr.port
            for held in psutil.Process(pid).net_connections("tcp")
            if held.status == psutil.CONN_ESTABLISHED and held.raddr.port == port
        }
    except psutil.NoSuchProcess:
        return set()
