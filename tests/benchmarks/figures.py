"""The output of benchmarks, and the environments they measure in."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.demo.environment import Environment

POSTGRES = "postgres://postgres@127.0.0.1:5432"
REDIS = "redis://127.0.0.1:6379/8"
SQLITE_ORM = "SQLite, ORM broker, two workers"
POSTGRES_REDIS = "PostgreSQL, Redis broker, two workers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    what: str
    measured: str
    goal: str = ""
    beside: str = ""


@contextmanager
def environment_on(kind: str, **overrides: str) -> Iterator[Environment]:
    """Yield a migrated and seeded environment of one kind, with little logging."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _databases(kind) as addresses:
        environment = Environment(
            folder=Path(folder), overrides={"Q_WORKERS": "2", "LOG_LEVEL": "warning", **addresses, **overrides}
        )
        environment.manage("migrate", "-v0")
        environment.manage("migrate", "-v0", "--database", "reports")
        environment.manage("seed_reports")
        environment.manage("discover_reports")
        environment.manage("pause_reports", "--all", "--reason", "only what is measured")
        yield environment


@contextmanager
def _databases(kind: str) -> Iterator[dict[str, str]]:
    if kind == SQLITE_ORM:
        yield {}
        return
    suffix = secrets.token_hex(4)
    names = [f"bench_default_{suffix}", f"bench_reports_{suffix}"]
    with psycopg.connect(f"{POSTGRES}/postgres", autocommit=True) as server:
        for name in names:
            server.execute(f'CREATE DATABASE "{name}"')
        client = redis.Redis.from_url(REDIS)
        client.flushdb()
        try:
            yield {
                "DATABASE_URL": f"{POSTGRES}/{names[0]}",
                "REPORTS_DATABASE_URL": f"{POSTGRES}/{names[1]}",
                "Q_BROKER": "redis",
                "REDIS_URL": REDIS,
            }
        finally:
            for name in names:
                server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            client.flushdb()
            client.close()


def ask(environment: Environment, module: str, call: str) -> Any:
    """Return the JSON value of a call of a function in a process of the environment."""
    code = f"import json; from tests.benchmarks.{module} import *; print(json.dumps({call}))"
    return json.loads(environment.manage("shell", "-v0", "-c", code).splitlines()[-1])
