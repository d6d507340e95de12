"""Places on PostgreSQL, alone or with Redis: everything made for one is gone after it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis

from tests.demo.place import Place


@contextmanager
def place_on_postgres(folder: Path, postgres_url: str) -> Iterator[Place]:
    """Two new PostgreSQL databases, the ORM broker."""
    suffix = secrets.token_hex(4)
    names = [f"ro_default_{suffix}", f"ro_reports_{suffix}"]
    with psycopg.connect(f"{postgres_url}/postgres", autocommit=True) as server:
        for name in names:
            server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield Place(
                folder=folder,
                overrides={
                    "DATABASE_URL": f"{postgres_url}/{names[0]}",
                    "REPORTS_DATABASE_URL": f"{postgres_url}/{names[1]}",
                },
            )
        finally:
            for name in names:
                server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def place_on_postgres_with_redis(folder: Path, postgres_url: str, redis_url: str) -> Iterator[Place]:
    """Two new PostgreSQL databases, the Redis broker."""
    with redis.Redis.from_url(redis_url) as queue, place_on_postgres(folder, postgres_url) as place:
        queue.flushdb()
        place.overrides |= {"Q_BROKER": "redis", "REDIS_URL": redis_url}
        yield place
        queue.flushdb()
