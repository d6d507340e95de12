"""Environments for fault tests, one per module and kind of database and broker, since creating one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.demo.environment import Environment
from tests.support.cluster_state import forget_runs
from tests.support.environments import environment_on_server, environment_on_server_with_redis
from tests.support.prepared_environments import migrated, seeded


@pytest.fixture(scope="module")
def sqlite_environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return an environment with two migrated SQLite files and the ORM broker."""
    return migrated(Environment(folder=tmp_path_factory.mktemp("sqlite")))


@pytest.fixture(scope="module", params=["sqlite-orm", "postgres-orm", "postgres-redis"])
def any_environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Return migrated databases of each kind, with each broker."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite-orm":
        yield migrated(Environment(folder=folder))
        return
    postgres_url = request.getfixturevalue("postgres_url")
    if request.param == "postgres-orm":
        with environment_on_server(folder, postgres_url) as environment:
            yield migrated(environment)
        return
    redis_url = request.getfixturevalue("redis_url")
    with environment_on_server_with_redis(folder, postgres_url, redis_url) as environment:
        yield migrated(environment)


@pytest.fixture(scope="session", params=["sqlite-orm", "postgres-redis"])
def _lasting_environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Environment]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite-orm":
        yield seeded(migrated(Environment(folder=folder)))
        return
    urls = request.getfixturevalue("postgres_url"), request.getfixturevalue("redis_url")
    with environment_on_server_with_redis(folder, *urls) as environment:
        yield seeded(migrated(environment))


@pytest.fixture
def seeded_environment(_lasting_environment: Environment) -> Environment:
    """Return the smallest and the largest kind of environment, with paused reports and no runs."""
    forget_runs(_lasting_environment)
    return replace(_lasting_environment, overrides=dict(_lasting_environment.overrides))
