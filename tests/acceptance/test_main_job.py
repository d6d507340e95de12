"""The main job with real clusters: every seeded report ends as expected, by each approach, on each kind of database."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.demo.environment import Environment
from tests.host.api.seed import REPORTS
from tests.support.console import ask
from tests.support.main_job import ACTIVE, assert_all_right, assert_nothing_was_done_twice, prepared, wait_for_the_end

pytestmark = pytest.mark.slow

LINES = {"sensor": {"report orchestrator: cron sensor"}, "schedule": {"report orchestrator: schedule"}}
ALWAYS = {"report orchestrator: discovery", "report orchestrator: tick"}


def assert_quarantine(environment: Environment) -> None:
    found = dict(ask(environment, "list(map(list, ReportSchedule.objects.values_list('name', 'problem_code')))"))
    assert {name: code for name, code in found.items() if code} == {
        seed.name: seed.problem for seed in REPORTS if seed.problem
    }


@pytest.mark.parametrize("approach", ["sensor", "schedule", "pipeline"])
def test_every_seeded_report_reaches_its_right_end(sqlite_environment: Environment, approach: str) -> None:
    with prepared(sqlite_environment, approach), sqlite_environment.running("qcluster", "qcluster"):
        wait_for_the_end(sqlite_environment)
        assert_all_right(sqlite_environment)
        assert_nothing_was_done_twice(sqlite_environment)
        assert_quarantine(sqlite_environment)
        names = set(ask(sqlite_environment, "list(Schedule.objects.values_list('name', flat=True))"))
        assert names - ALWAYS == LINES.get(approach) or (
            approach == "pipeline" and {name.split(": ", 1)[1].rpartition(" #")[0] for name in names - ALWAYS} == ACTIVE
        )
        assert names >= ALWAYS
    log = (sqlite_environment.folder / "qcluster.log").read_text()
    assert "database is locked" not in log
    assert "Traceback" not in log


@pytest.mark.parametrize("kind", ["postgres_environment", "mariadb_environment"])
def test_two_clusters_on_a_database_server_do_nothing_twice(request: pytest.FixtureRequest, kind: str) -> None:
    environment: Environment = request.getfixturevalue(kind)
    with prepared(environment, "sensor"), ExitStack() as stack:
        for name in ("qcluster-1", "qcluster-2"):
            stack.enter_context(environment.running(name, "qcluster"))
        wait_for_the_end(environment)
        assert_all_right(environment)
        assert_nothing_was_done_twice(environment)
        assert_quarantine(environment)


def test_a_switch_of_approach_leaves_exactly_the_lines_of_the_new_one(sqlite_environment: Environment) -> None:
    with prepared(sqlite_environment, "sensor"):
        for approach in ("pipeline", "schedule", "sensor"):
            switched = replace(
                sqlite_environment, overrides=sqlite_environment.overrides | {"SCHEDULING_APPROACH": approach}
            )
            switched.manage("sync_schedules")
            names = set(ask(sqlite_environment, "list(Schedule.objects.values_list('name', flat=True))")) - ALWAYS
            expected = len(ACTIVE) if approach == "pipeline" else 1
            assert len(names) == expected
            again = json.loads(switched.manage("sync_schedules", "--format", "json"))
            assert (again["created"], again["updated"], again["removed"]) == ([], {}, [])
