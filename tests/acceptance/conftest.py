"""Environments for real processes, on SQLite, on PostgreSQL with Redis, or on MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.environment import Environment
from tests.support.environments import environment_on_server, environment_on_server_with_redis


@pytest.fixture
def sqlite_environment(tmp_path: Path) -> Environment:
    """Two SQLite files, the ORM broker."""
    return Environment(folder=tmp_path)


@pytest.fixture
def postgres_environment(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[Environment]:
    """Two new PostgreSQL databases, the Redis broker; all of it gone afterwards."""
    with environment_on_server_with_redis(tmp_path, postgres_url, redis_url) as environment:
        yield environment


@pytest.fixture
def mariadb_environment(tmp_path: Path, mariadb_url: str) -> Iterator[Environment]:
    """Yield two new MariaDB databases and the ORM broker, removed after use."""
    with environment_on_server(tmp_path, mariadb_url) as environment:
        yield environment
