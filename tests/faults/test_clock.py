"""The database's clock leaps by years under a real cluster, and comes back; a deployment falls on the time of a window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from tests.demo.environment import Environment
from tests.support.cluster_state import await_that
from tests.support.console import ask, run_command
from tests.support.database_servers import connected
from tests.support.environments import environment_on_server
from tests.support.fake_clock import FakeDatabaseClock
from tests.support.prepared_environments import migrated

pytestmark = pytest.mark.slow

TEN = datetime(2027, 3, 1, 10, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SOON, LONG = 60.0, 120.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Clocked:
    """An environment whose reports are due at the first minute of each hour, ten seconds after nine."""

    environment: Environment
    clock: FakeDatabaseClock

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with connected(self.environment.variables["DATABASE_URL"]) as database:
            return [tuple(row) for row in database.execute(query)]

    def await_tick(self) -> None:
        await_that(lambda: self.rows("SELECT 1 FROM report_orchestrator_mark WHERE name = 'tick'"), "a tick", SOON)

    def next_times(self) -> set[object]:
        return {
            at
            for (at,) in self.rows("SELECT next_run_at FROM report_orchestrator_reportschedule WHERE state = 'active'")
        }

    def await_end_of_all(self) -> None:
        unended = "SELECT 1 FROM report_orchestrator_reportrun WHERE status NOT IN ('succeeded', 'skipped') LIMIT 1"
        await_that(lambda: not self.rows(unended), "all runs have ended", LONG)

    def scheduled(self) -> set[tuple[object, ...]]:
        """Return the times of the scheduled runs, and whether each was skipped."""
        return set(
            self.rows(
                "SELECT scheduled_for, status = 'skipped' FROM report_orchestrator_reportrun WHERE trigger != 'manual'"
            )
        )


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Clocked]:
    with environment_on_server(tmp_path_factory.mktemp("clock"), postgres_url) as environment:
        clock = FakeDatabaseClock(environment.variables["DATABASE_URL"])
        migrated(environment).overrides |= {
            "CRON_SENSOR_INTERVAL_SECONDS": "1",
            "OVERLAP": "queue",
            "POLL_INTERVAL_SECONDS": "1",
        }
        run_command(environment, "seed_reports")
        ask(environment, "Report.objects.update(cron='1 * * * *')")
        with environment.fireant():
            clock.now = TEN - HOUR + timedelta(seconds=10)
            run_command(environment, "discover_reports")
            yield Clocked(environment=environment, clock=clock)


def test_reports_run_at_their_times_once_a_clock_that_leapt_by_years_is_back(clocked: Clocked) -> None:
    with clocked.environment.running("qcluster", "qcluster"):
        clocked.await_tick()
        clocked.clock.now = TEN - timedelta(seconds=10) + 400 * DAY
        await_that(lambda: min(map(str, clocked.next_times())) > "2028", "decided by the leapt clock", SOON)
        clocked.clock.now = TEN
        await_that(lambda: clocked.next_times() == {TEN + MINUTE}, "real next times", SOON)
        clocked.await_end_of_all()
        clocked.clock.now = TEN + MINUTE - timedelta(seconds=2)
        await_that(lambda: (TEN + MINUTE, False) in clocked.scheduled(), "the reports run", SOON)
        clocked.await_end_of_all()
        assert clocked.scheduled() == {(TEN - HOUR + MINUTE, False), (TEN + MINUTE, False)}
        assert "the clock leapt from 2027-03-01 09:0" in clocked.environment.manage("orchestrator_health")


def test_a_deployment_over_the_time_of_a_window_loses_none_of_its_times(clocked: Clocked) -> None:
    clocked.environment.overrides |= {"SCHEDULING_APPROACH": "schedule", "MISSED_RUNS": "none"}
    clocked.clock.now = TEN + DAY + timedelta(seconds=5)
    with clocked.environment.running("qcluster", "qcluster"):
        await_that(lambda: clocked.next_times() == {TEN + DAY + MINUTE}, "the window at ten is decided", SOON)
        clocked.clock.now = TEN + DAY + HOUR - timedelta(seconds=35)
    clocked.clock.now = TEN + DAY + HOUR + timedelta(minutes=2, seconds=20)
    times = {(TEN + DAY + MINUTE, False), (TEN + DAY + HOUR + MINUTE, False)}
    with clocked.environment.running("qcluster", "qcluster"):
        await_that(lambda: clocked.scheduled() >= times, "all times of the window run", SOON)
