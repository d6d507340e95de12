"""Fixtures for all tests, and the rule that a missing service skips on a laptop and fails in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
import redis

from report_orchestrator.conf import Settings, parse_settings
from report_orchestrator.testing import FakePorts

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
REDIS_DB = int(os.environ.get("TEST_REDIS_DB", "9")) + WORKER
"""The database that tests empty. Two runs of the tests at once need two, and so do two workers of one run."""


def missing(service: str, error: Exception) -> None:
    """Skips where the service is not there; in CI that is a failure."""
    message = f"{service} is not reachable: {error}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The address of a PostgreSQL server in which databases may be made, without a database's name."""
    try:
        psycopg.connect(
            f"{POSTGRES}/postgres".replace("postgres://", "postgresql://"), connect_timeout=3
        ).close()
    except psycopg.OperationalError as error:
        missing("PostgreSQL", error)
    return POSTGRES


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The address of a Redis server, with a database of its own for tests."""
    client = redis.Redis.from_url(f"{REDIS}/{REDIS_DB}", socket_connect_timeout=3)
    try:
        client.ping()
    except redis.ConnectionError as error:
        missing("Redis", error)
    finally:
        client.close()
    return f"{REDIS}/{REDIS_DB}"


@pytest.fixture
def fakes() -> FakePorts:
    """Fakes of the outside, around a clock that stands still."""
    return FakePorts()


@pytest.fixture
def settings_of() -> type[SettingsFactory]:
    """Makes `Settings` without the host's dict or the environment."""
    return SettingsFactory


class SettingsFactory:
    """`SettingsFactory.make(POLL_INTERVAL_SECONDS=1)`: defaults, but for what is given."""

    @staticmethod
    def make(**given: object) -> Settings:
        """The settings."""
        settings, problems = parse_settings({"REPORT_MODEL": "api.Report", **given}, {})
        assert not problems, problems
        return settings


@pytest.fixture(autouse=True)
def _no_inherited_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests see the defaults, not what the developer's shell has set."""
    from report_orchestrator.conf import OPERATIONAL, load_settings

    for name in OPERATIONAL:
        monkeypatch.delenv(name, raising=False)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()
