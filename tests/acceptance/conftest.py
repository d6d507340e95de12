"""A place for real processes, on SQLite or on PostgreSQL with Redis."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests.demo.place import Place


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    """Two SQLite files, the ORM broker."""
    return Place(folder=tmp_path)


@pytest.fixture
def postgres_place(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[Place]:
    """Two new PostgreSQL databases, the Redis broker; all of it gone afterwards."""
    suffix = secrets.token_hex(4)
    names = [f"ro_default_{suffix}", f"ro_reports_{suffix}"]
    server = psycopg.connect(f"{postgres_url}/postgres", autocommit=True)
    for name in names:
        server.execute(f'CREATE DATABASE "{name}"')
    queue = redis.Redis.from_url(redis_url)
    queue.flushdb()
    yield Place(
        folder=tmp_path,
        overrides={
            "DATABASE_URL": f"{postgres_url}/{names[0]}",
            "REPORTS_DATABASE_URL": f"{postgres_url}/{names[1]}",
            "Q_BROKER": "redis",
            "REDIS_URL": redis_url,
        },
    )
    for name in names:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    server.close()
    queue.flushdb()
    queue.close()
