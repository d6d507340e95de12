"""A place for real processes, on SQLite or on PostgreSQL with Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.place import Place
from tests.places import place_on_postgres_with_redis


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    """Two SQLite files, the ORM broker."""
    return Place(folder=tmp_path)


@pytest.fixture
def postgres_place(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[Place]:
    """Two new PostgreSQL databases, the Redis broker; all of it gone afterwards."""
    with place_on_postgres_with_redis(tmp_path, postgres_url, redis_url) as place:
        yield place
