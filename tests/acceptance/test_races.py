"""Three approaches, two clusters and an editor at once: every time decided once, by the cron that was in force."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.demo.environment import Environment
from tests.support.database_servers import select
from tests.support.environments import environment_on_server_with_redis

pytestmark = pytest.mark.slow

APPROACHES = ("sensor", "schedule", "pipeline")
CLUSTERS = ("cluster-1", "cluster-2")
SPEED = 600  # seconds of the race in one second
BOUND = 20  # seconds for a racer to end


@pytest.fixture(scope="module", params=["postgres", "mariadb"])
def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> Iterator[Environment]:
    """Migrated databases on each kind of server, Redis, and two clusters at work."""
    folder = tmp_path_factory.mktemp("race")
    server_url = request.getfixturevalue(f"{request.param}_url")
    with environment_on_server_with_redis(folder, server_url, redis_url) as environment, ExitStack() as stack:
        environment.overrides |= {
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.racing.settings",
            "RACE_BEGAN": str(time.time()),
            "RACE_SPEED": str(SPEED),
            "MISSED_RUNS": "all",
            "Q_WORKERS": "2",
            "CRON_SENSOR_INTERVAL_SECONDS": "600",
            "POLL_INTERVAL_SECONDS": "600",
            "LEASE_SECONDS": "86400",
        }
        environment.manage("migrate", "-v0")
        environment.manage("migrate", "-v0", "--database", "reports")
        for name in CLUSTERS:
            stack.enter_context(environment.running(name, "qcluster"))
        yield environment


def ask(environment: Environment, call: str) -> Any:
    """Return the JSON value of a call in a process of the environment."""
    return json.loads(environment.manage("shell", "-v0", "-c", _printed(call)).splitlines()[-1])


def _printed(call: str) -> str:
    return (
        "import json; from tests.acceptance.racing.racers import *; "
        f"from tests.acceptance.racing.verdict import *; print(json.dumps({call}))"
    )


@contextmanager
def racers(environment: Environment, stop: Path) -> Iterator[dict[str, dict[str, int]]]:
    """Run a process for each approach that ticks without a pause; return their results afterwards."""
    did: dict[str, dict[str, int]] = {}
    with ExitStack() as stack:
        processes = {
            approach: stack.enter_context(
                environment.running(
                    f"{stop.name}-{approach}", "shell", "-v0", "-c", _printed(f"race({approach!r}, {str(stop)!r})")
                )
            )
            for approach in APPROACHES
        }
        yield did
        stop.touch()
        for approach, process in processes.items():
            process.wait(BOUND)
            did[approach] = json.loads(
                (environment.folder / f"{stop.name}-{approach}.log").read_text().splitlines()[-1]
            )


def deadlocks(environment: Environment) -> int:
    """Return the number of deadlocks resolved by the database. MariaDB counts for all its databases: the logs tell there."""
    database = environment.overrides["DATABASE_URL"]
    if database.startswith("mysql"):
        return sum(log.read_text().count("Deadlock found") for log in environment.folder.glob("*.log"))
    return int(select(database, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0])


def assert_nothing_went_wrong(environment: Environment) -> None:
    """Assert that no process logged a traceback and the database resolved no deadlock."""
    for log in environment.folder.glob("*.log"):
        assert "Traceback" not in log.read_text(), log
    assert deadlocks(environment) == 0


def test_two_clusters_and_three_approaches_open_each_of_a_thousand_times_once(
    environment: Environment, tmp_path: Path
) -> None:
    stop = tmp_path / "first"
    assert ask(environment, "populate('Race', 250, quarters_of_an_hour_ago())") == 250
    with racers(environment, stop) as did:
        assert ask(environment, f"fire('Race', 50, {str(stop)!r})") == {"queued": 1000}
    assert ask(environment, "doubled()") == 0
    by_racers = [done["opened"] for done in did.values()]
    assert 0 < sum(by_racers) < 1000, f"only the racers or only the clusters opened any: {did}"
    assert max(by_racers) < sum(by_racers), f"only one approach opened any: {did}"
    assert_nothing_went_wrong(environment)


@pytest.mark.parametrize("environment", ["postgres"], indirect=True)
def test_every_decision_is_explained_by_the_cron_that_was_in_effect(environment: Environment, tmp_path: Path) -> None:
    stop = tmp_path / "second"
    ask(environment, "populate('Edited', 60, '*/2 * * * *')")
    with racers(environment, stop):
        ends = ask(environment, f"edit('Edited', 75, 200, {str(stop)!r})")
    assert min(ends.values()) > 0, ends
    found = ask(environment, "[counts('Edited'), unexplained('Edited'), doubled()]")
    assert found[1:] == [{"uncalled": [], "forgotten": [], "out of step": []}, 0]
    assert_nothing_went_wrong(environment)
