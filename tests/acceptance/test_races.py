"""Three approaches, two clusters and an editor at once: every time decided once, by the cron that was in force."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.demo.place import Place
from tests.places import place_on_postgres_with_redis

pytestmark = pytest.mark.acceptance

APPROACHES = ("sensor", "schedule", "pipeline")
CLUSTERS = ("cluster-1", "cluster-2")
SPEED = 600  # seconds of the race in one second
BOUND = 20  # seconds for a racer to end


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str) -> Iterator[Place]:
    """Migrated PostgreSQL databases, Redis, and two clusters at work."""
    folder = tmp_path_factory.mktemp("race")
    with place_on_postgres_with_redis(folder, postgres_url, redis_url) as place, ExitStack() as stack:
        place.overrides |= {
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.racing.settings",
            "RACE_BEGAN": str(time.time()),
            "RACE_SPEED": str(SPEED),
            "MISSED_RUNS": "all",
            "Q_WORKERS": "2",
            "CRON_SENSOR_INTERVAL_SECONDS": "600",
            "POLL_INTERVAL_SECONDS": "600",
            "LEASE_SECONDS": "86400",
        }
        place.manage("migrate", "-v0")
        place.manage("migrate", "-v0", "--database", "reports")
        for name in CLUSTERS:
            stack.enter_context(place.running(name, "qcluster"))
        yield place


def ask(place: Place, call: str) -> Any:
    """The JSON value of a call, in a process of the place's own."""
    return json.loads(place.manage("shell", "-v0", "-c", _printed(call)).splitlines()[-1])


def _printed(call: str) -> str:
    return (
        "import json; from tests.acceptance.racing.racers import *; "
        f"from tests.acceptance.racing.verdict import *; print(json.dumps({call}))"
    )


@contextmanager
def racers(place: Place, stop: Path) -> Iterator[dict[str, dict[str, int]]]:
    """A process for each approach that ticks without a pause; what each did is there afterwards."""
    did: dict[str, dict[str, int]] = {}
    with ExitStack() as stack:
        processes = {
            approach: stack.enter_context(
                place.running(
                    f"{stop.name}-{approach}",
                    "shell",
                    "-v0",
                    "-c",
                    _printed(f"race({approach!r}, {str(stop)!r})"),
                )
            )
            for approach in APPROACHES
        }
        yield did
        stop.touch()
        for approach, process in processes.items():
            process.wait(BOUND)
            did[approach] = json.loads(
                (place.folder / f"{stop.name}-{approach}.log").read_text().splitlines()[-1]
            )


def deadlocks(place: Place) -> int:
    """How many the database has broken up."""
    with psycopg.connect(place.overrides["DATABASE_URL"].replace("postgres://", "postgresql://")) as server:
        [row] = server.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchall()
        return int(row[0])


def assert_nothing_went_wrong(place: Place) -> None:
    """No process wrote a traceback, and the database broke up no deadlock."""
    for log in place.folder.glob("*.log"):
        assert "Traceback" not in log.read_text(), log
    assert deadlocks(place) == 0


def test_two_clusters_and_three_approaches_open_each_of_a_thousand_times_once(
    place: Place, tmp_path: Path
) -> None:
    stop = tmp_path / "first"
    assert ask(place, "populate('Race', 250, quarters_of_an_hour_ago())") == 250
    with racers(place, stop) as did:
        assert ask(place, f"fire('Race', 50, {str(stop)!r})") == {"queued": 1000}
    assert ask(place, "doubled()") == 0
    by_racers = [done["opened"] for done in did.values()]
    assert 0 < sum(by_racers) < 1000, f"only the racers or only the clusters opened any: {did}"
    assert max(by_racers) < sum(by_racers), f"only one approach opened any: {did}"
    assert_nothing_went_wrong(place)


def test_every_decision_is_explained_by_the_cron_that_was_in_force(place: Place, tmp_path: Path) -> None:
    stop = tmp_path / "second"
    ask(place, "populate('Edited', 60, '*/2 * * * *')")
    with racers(place, stop):
        ends = ask(place, f"edit('Edited', 75, 200, {str(stop)!r})")
    assert min(ends.values()) > 0, ends
    found = ask(place, "[counts('Edited'), unexplained('Edited'), doubled()]")
    assert found[1:] == [{"uncalled": [], "forgotten": [], "out of step": []}, 0]
    assert_nothing_went_wrong(place)
