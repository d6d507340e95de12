"""Places for clusters that are hurt: one for a module on each kind of database and broker, as making one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.demo.place import Place
from tests.faults.watching import forget_runs
from tests.places import place_on_postgres, place_on_postgres_with_redis


@pytest.fixture(scope="module")
def sqlite_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two SQLite files, migrated, the ORM broker."""
    return migrated(Place(folder=tmp_path_factory.mktemp("sqlite")))


@pytest.fixture(scope="module", params=["sqlite-orm", "postgres-orm", "postgres-redis"])
def any_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Migrated databases of each kind, with each broker."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite-orm":
        yield migrated(Place(folder=folder))
        return
    postgres_url = request.getfixturevalue("postgres_url")
    if request.param == "postgres-orm":
        with place_on_postgres(folder, postgres_url) as place:
            yield migrated(place)
        return
    redis_url = request.getfixturevalue("redis_url")
    with place_on_postgres_with_redis(folder, postgres_url, redis_url) as place:
        yield migrated(place)


@pytest.fixture(scope="session", params=["sqlite-orm", "postgres-redis"])
def _lasting_place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite-orm":
        yield seeded(migrated(Place(folder=folder)))
        return
    urls = request.getfixturevalue("postgres_url"), request.getfixturevalue("redis_url")
    with place_on_postgres_with_redis(folder, *urls) as place:
        yield seeded(migrated(place))


@pytest.fixture
def seeded_place(_lasting_place: Place) -> Place:
    """The smallest and the largest kind of place, with the host's reports, all of them paused, and no run."""
    forget_runs(_lasting_place)
    return replace(_lasting_place, overrides=dict(_lasting_place.overrides))


def seeded(place: Place) -> Place:
    """The same place with its reports, none of which runs but by hand."""
    place.overrides |= {"POLL_INTERVAL_SECONDS": "1"}
    for command in (["seed_reports"], ["discover_reports"], ["pause_reports", "--all", "--reason", "tests"]):
        place.manage(*command)
    return place


def migrated(place: Place) -> Place:
    """The same place, with two workers, its tables, and no work of its own beside a test's."""
    place.overrides |= {
        "Q_WORKERS": "2",
        "POLL_INTERVAL_SECONDS": "600",
        "CRON_SENSOR_INTERVAL_SECONDS": "600",
    }
    place.manage("migrate", "-v0")
    place.manage("migrate", "-v0", "--database", "reports")
    return place
