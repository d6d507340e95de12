"""The database restarts, the broker restarts, the broker forgets: the cluster reconnects by itself and nothing is done twice.

The servers are shared with others, so what restarts is the wire to them: all connections are closed, new ones refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
import redis

from report_orchestrator.domain.runs import Step
from tests.demo.place import Place
from tests.faults.conftest import migrated, seeded
from tests.faults.holding import held, hold_in_each_step
from tests.faults.watching import assert_done_once, await_ends, await_that, forget_runs, report_keys
from tests.faults.wire import Wire
from tests.host.api.seed import REPORTS
from tests.places import place_on_postgres_with_redis

pytestmark = pytest.mark.acceptance

NAMES = [seed.name for seed in REPORTS if seed.expected == "active"]
RUNS = 10
OUTAGE = 3.0  # seconds
LONG = 30.0  # seconds for a busy machine to get going
BOUND = 60  # seconds for everything to end after an outage


@dataclass(frozen=True, kw_only=True)
class Wired:
    """A place as its cluster sees it, through the wires, and as the tests look at it, past them."""

    cluster: Place
    watched: Place
    database: Wire
    broker: Wire
    queue: redis.Redis


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str) -> Iterator[Wired]:
    """PostgreSQL and Redis, each behind a wire; the reports seeded and paused."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("wired")
        place = stack.enter_context(place_on_postgres_with_redis(folder, postgres_url, redis_url))
        seeded(migrated(place))
        database, broker = stack.enter_context(Wire(postgres_url)), stack.enter_context(Wire(redis_url))
        near = {
            name: place.environment[name].replace(postgres_url, database.url)
            for name in ("DATABASE_URL", "REPORTS_DATABASE_URL")
        }
        cluster = replace(place, overrides=place.overrides | near | {"REDIS_URL": broker.url})
        queue = stack.enter_context(redis.Redis.from_url(redis_url))
        yield Wired(cluster=cluster, watched=place, database=database, broker=broker, queue=queue)


def restart(wires: Collection[Wire], while_away: Callable[[], object]) -> list[int]:
    """An outage of these wires; returns how many connections of each were cut."""
    cut = [wire.cut() for wire in wires]
    while_away()
    time.sleep(OUTAGE)
    for wire in wires:
        wire.mend()
    return cut


@pytest.mark.parametrize("what", ["database", "broker and its messages", "everything"])
def test_what_is_under_way_survives_a_restart_and_is_done_once(wired: Wired, what: str) -> None:
    forget_runs(wired.watched)
    marks = hold_in_each_step(wired.cluster, NAMES)
    wires = {"database": [wired.database], "everything": [wired.database, wired.broker]}.get(
        what, [wired.broker]
    )

    def go_on() -> None:
        if wired.broker in wires:
            wired.queue.flushdb()
        (marks / "go").touch()

    keys = report_keys(wired.watched, NAMES[:RUNS])
    with (
        wired.cluster.fireant("--seconds-queued", "0", "--seconds-running", "2", "--quiet"),
        wired.cluster.running("qcluster", "qcluster"),
    ):
        wired.watched.manage("run_report", *keys)
        await_that(lambda: held(marks) == len(Step), "a run is inside each step", LONG)
        cut = restart(wires, go_on)
        runs = await_ends(wired.watched, RUNS, BOUND)
        assert min(cut) > 0
        assert len(runs) == RUNS
        assert_done_once(wired.watched, runs)
        assert not any(run["twice"] for run in runs)
