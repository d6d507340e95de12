"""Environments on a database server, with or without Redis, removed after use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.demo.environment import Environment
from tests.support.database_servers import new_databases


@contextmanager
def environment_on_server(folder: Path, server_url: str) -> Iterator[Environment]:
    """Yield an environment with two new databases on PostgreSQL or MariaDB, and the ORM broker."""
    with new_databases(server_url, "default", "reports") as (default, reports):
        yield Environment(folder=folder, overrides={"DATABASE_URL": default, "REPORTS_DATABASE_URL": reports})


@contextmanager
def environment_on_server_with_redis(folder: Path, server_url: str, redis_url: str) -> Iterator[Environment]:
    """Yield an environment with two new databases on PostgreSQL or MariaDB, and the Redis broker."""
    with redis.Redis.from_url(redis_url) as queue, environment_on_server(folder, server_url) as environment:
        queue.flushdb()
        environment.overrides |= {"Q_BROKER": "redis", "REDIS_URL": redis_url}
        yield environment
        queue.flushdb()
