"""Fixtures for all tests, and the rule that a missing service skips on a laptop and fails in CI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql
import pytest
import redis

from report_orchestrator.conf import get_settings
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.database_servers import connected
from tests.support.distribution import FilesAndTheBrowser, put_slow_files_first
from tests.support.services import MARIADB, POSTGRES, REDIS, REDIS_DB, missing
from tests.support.settings_factory import SettingsFactory
from tests.support.signals import take_ignored_signals

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from report_orchestrator.models import ReportRun


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """Return the URL of a PostgreSQL server, without a database name, where databases may be created."""
    try:
        connected(POSTGRES).close()
    except psycopg.OperationalError as error:
        missing("PostgreSQL", error)
    return POSTGRES


@pytest.fixture(scope="session")
def mariadb_url() -> str:
    """The address of a MariaDB or MySQL server in which databases may be made, without a database's name."""
    try:
        connected(MARIADB).close()
    except pymysql.OperationalError as error:
        missing("MariaDB", error)
    return MARIADB


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Return the URL of a Redis server with a database for tests."""
    client = redis.Redis.from_url(f"{REDIS}/{REDIS_DB}", socket_connect_timeout=3)
    try:
        client.ping()
    except redis.ConnectionError as error:
        missing("Redis", error)
    finally:
        client.close()
    return f"{REDIS}/{REDIS_DB}"


@pytest.fixture
def admin_user(db: None) -> User:
    """Return the superuser of pytest-django's `admin_client`, without a password: hashing one takes a fifth of a second."""
    from django.contrib.auth.models import User

    return User.objects.create_superuser("admin")


@pytest.fixture
def fakes() -> FakePorts:
    """Return fakes of the ports with a clock that moves only when the test advances it."""
    return FakePorts()


@pytest.fixture
def settings_of() -> type[SettingsFactory]:
    """Return a function that makes `Settings` without the host's dict or the environment."""
    return SettingsFactory


@pytest.fixture(autouse=True)
def _no_inherited_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove the developer's environment variables, so that tests see the defaults."""
    from report_orchestrator.conf import OPERATIONAL, load_settings

    for name in OPERATIONAL:
        monkeypatch.delenv(name, raising=False)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture
def new_run(fakes: FakePorts, db: None) -> Callable[[], ReportRun]:
    """Return a function that opens manual runs of one valid, discovered report."""
    from report_orchestrator.models import ReportSchedule
    from report_orchestrator.services.discovery.full_scan import discover
    from report_orchestrator.services.scheduling.create_runs import open_manual_run

    fakes.reports.add(geo_report("1"))
    discover(runtime=fakes.runtime(get_settings()))

    def open_one() -> ReportRun:
        schedule = ReportSchedule.objects.get(report_key="1")
        return open_manual_run(schedule, run_date=None, requested_by="test", runtime=fakes.runtime())

    return open_one


def pytest_configure() -> None:
    take_ignored_signals()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesAndTheBrowser | None:
    return FilesAndTheBrowser(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow files first, and select the same tests for `live` and `integration`."""
    put_slow_files_first(items)
    for item in items:
        if item.get_closest_marker("integration"):
            item.add_marker("live")
