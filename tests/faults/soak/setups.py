"""The setups of a soak: databases, broker and result store, each behind something that can fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import redis

from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.demo.environment import Environment
from tests.support.cluster_state import stored
from tests.support.environments import environment_on_server_with_redis
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres_replica import Replicated, replicated_server
from tests.support.services import POSTGRES, REDIS, REDIS_DB
from tests.support.tcp_proxy import Wire

SETTINGS = {
    "Q_WORKERS": "3",
    "LEASE_SECONDS": "5",
    "TIMEOUT_SECONDS": "1",
    "MAX_RETRIES": "20",
    "SHUTDOWN_GRACE_SECONDS": "5",
    # So that bad answers meet runs, which wait while Fireant is considered down.
    "FIREANT_CIRCUIT_FAILURES": "20",
    "FIREANT_PROBE_SECONDS": "2",
}
RESULTS = "report_results"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """An environment as its cluster sees it, the same past all proxies, and everything that can fail.

    `result_names` returns the paths of all published results, relative to the folder of results. `holds_connections` is
    true where a pooler keeps those that were made while the database was read-only.
    """

    cluster: Environment
    direct: Environment
    result_names: Callable[[], list[str]]
    database: Wire | None = None
    broker: Wire | None = None
    queue: redis.Redis | None = None
    lake: OneLakeSandbox | None = None
    replicated: Replicated | None = None
    holds_connections: bool = False

    @property
    def wires(self) -> list[Wire]:
        return [wire for wire in (self.database, self.broker) if wire is not None]


@contextmanager
def sqlite(folder: Path) -> Iterator[Setup]:
    """Yield SQLite, the ORM broker and a local folder for results."""
    environment = Environment(folder=folder, overrides=dict(SETTINGS))

    def names() -> list[str]:
        return [str(file.relative_to(folder / "lake" / RESULTS)) for file in stored(environment)]

    yield Setup(cluster=environment, direct=environment, result_names=names)


@contextmanager
def postgres(folder: Path) -> Iterator[Setup]:
    """Yield PostgreSQL and Redis, each behind a proxy, and a local OneLake."""
    with _on_servers(folder) as setup:
        yield setup


@contextmanager
def pool(folder: Path) -> Iterator[Setup]:
    """Yield the same on psycopg's pool."""
    with _on_servers(folder, {"DJANGO_SETTINGS_MODULE": "tests.host.pooled_settings"}) as setup:
        yield setup


@contextmanager
def bouncer(folder: Path) -> Iterator[Setup]:
    """Yield the same with a PgBouncer in transaction mode between the cluster and the proxy."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise SystemExit("PgBouncer is not installed: run make pgbouncer, or choose other setups by --on.")
    with _on_servers(folder) as setup:
        assert setup.database is not None
        with pgbouncer(program, setup.database.url) as url:
            through = _addresses(setup.direct, POSTGRES, url, "?DISABLE_SERVER_SIDE_CURSORS=true")
            cluster = replace(setup.cluster, overrides=setup.cluster.overrides | through)
            yield replace(setup, cluster=cluster, holds_connections=True)


@contextmanager
def replica(folder: Path) -> Iterator[Setup]:
    """Yield PostgreSQL with a replica, from which the project's router reads everything that it is asked about."""
    with replicated_server() as replicated:
        overrides = {"DJANGO_SETTINGS_MODULE": "tests.host.replica_settings", "REPLICA_URL": replicated.replica}
        with _on_servers(folder, overrides, replicated.server) as setup:
            yield replace(setup, replicated=replicated)


SETUPS: Mapping[str, Callable[[Path], AbstractContextManager[Setup]]] = {
    "sqlite": sqlite,
    "postgres": postgres,
    "pool": pool,
    "pgbouncer": bouncer,
    "replica": replica,
}


@contextmanager
def _on_servers(folder: Path, overrides: Mapping[str, str] | None = None, server: str = POSTGRES) -> Iterator[Setup]:
    redis_url = f"{REDIS}/{REDIS_DB}"
    with ExitStack() as stack:
        lake = stack.enter_context(OneLakeSandbox(folder=folder / "onelake"))
        direct = stack.enter_context(environment_on_server_with_redis(folder, server, redis_url))
        direct.overrides |= {**SETTINGS, **lake.settings_overrides(), **(overrides or {})}
        database, broker = stack.enter_context(Wire(server)), stack.enter_context(Wire(redis_url))
        through = _addresses(direct, server, database.url) | {"REDIS_URL": broker.url}

        def names() -> list[str]:
            return list(lake.listing(f"Files/{RESULTS}"))

        yield Setup(
            cluster=replace(direct, overrides=direct.overrides | through),
            direct=direct,
            result_names=names,
            database=database,
            broker=broker,
            queue=stack.enter_context(redis.Redis.from_url(redis_url)),
            lake=lake,
        )


def _addresses(environment: Environment, server: str, other: str, options: str = "") -> dict[str, str]:
    """Return the environment's databases at another server's address."""
    names = ("DATABASE_URL", "REPORTS_DATABASE_URL")
    return {name: environment.variables[name].replace(server, other) + options for name in names}
