"""Five thousand reports due in one minute, two clusters, a low Fireant limit: order and limits hold, waits block no
worker.

All are opened and queued; only the beginning of the work is observed, as the rest would take minutes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import pytest

from report_orchestrator.services.running.worker import CANDIDATES
from tests.demo.environment import Environment
from tests.faults.many_reports import ABOVE, NORMAL, URGENT
from tests.host.api.seed import REPORTS
from tests.support.cluster_state import RUNS, await_that, forget_runs, report_keys, sandbox, submissions
from tests.support.console import ask
from tests.support.environments import environment_on_server_with_redis
from tests.support.prepared_environments import migrated, seeded

pytestmark = pytest.mark.slow

MANY = 5000
PLACES = 50
RUNNING = 6.0  # seconds that each job takes: a slow machine fills the places meanwhile
WATCHED = ABOVE + NORMAL + 30  # submissions
WORKERS = 2  # of each cluster
CLUSTERS = 2
PER_MINUTE = 5


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str) -> Iterator[Environment]:
    """Return PostgreSQL and Redis with the host's reports, paused."""
    folder = tmp_path_factory.mktemp("many")
    with environment_on_server_with_redis(folder, postgres_url, redis_url) as empty:
        yield seeded(migrated(empty))


def many(environment: Environment, call: str) -> Any:
    """Return the JSON result of a function of `many_reports`."""
    return json.loads(ask(environment, f"many_reports.{call}"))


def most_at_once(environment: Environment) -> int:
    """Return the highest number of jobs in Fireant at one moment."""
    began = [datetime.fromisoformat(job["submitted_at"]) for job in sandbox(environment, "jobs")["jobs"]]
    changes = [(at, 1) for at in began] + [(at + timedelta(seconds=RUNNING), -1) for at in began]
    return max(accumulate(change for _at, change in sorted(changes)))


def test_five_thousand_in_one_minute_keep_their_order_and_the_limit(environment: Environment) -> None:
    others = report_keys(environment, [seed.name for seed in REPORTS])
    environment.manage("pause_reports", *others, "--reason", "only the many reports are due")
    environment.manage("resume_reports", "--all", "--reason", "tests")
    urgent, opened = many(environment, f"open_many({MANY})")
    assert opened == MANY
    environment.overrides |= {"FIREANT_MAX_JOBS_IN_FLIGHT": str(PLACES), "Q_WORKERS": str(WORKERS)}
    looks = []
    with ExitStack() as stack:
        stack.enter_context(environment.fireant("--seconds-queued", "0", "--seconds-running", str(RUNNING), "--quiet"))
        for number in range(CLUSTERS):
            stack.enter_context(environment.running(f"cluster{number}", "qcluster"))
        await_that(lambda: len(submissions(environment)) >= PLACES, "all places are taken", 60, pause=0.2)
        environment.manage("run_report", urgent)
        by_hand = f"next(r for r in {RUNS} if r['name'] == {URGENT!r})"

        def watched() -> bool:
            looks.append(many(environment, "look()"))
            return len(submissions(environment)) >= WATCHED and ask(environment, by_hand)["status"] == "succeeded"

        await_that(watched, "enough have started, and the urgent one is done", 180, pause=0.5)
        most = most_at_once(environment)
        started = [job["idempotency_key"] for job in sandbox(environment, "jobs")["jobs"]]
    ranks = {reference: rank for rank, reference in enumerate(many(environment, "ranking()"))}
    places = [ranks[reference] for reference in started if reference in ranks]
    assert len(places) == len(started) - 1, "all but the urgent one are scheduled, and none is submitted twice"
    window = CLUSTERS * WORKERS * CANDIDATES
    astray = [(position, rank) for position, rank in enumerate(places) if abs(rank - position) > window]
    assert astray == [], "(position, rank) of runs that started long before or after their turn"
    assert PLACES * 0.8 <= most <= PLACES
    assert max(look["flying"] for look in looks) <= PLACES
    assert max(look["silence"] for look in looks) < 10
    assert min(look["waiting"] for look in looks) > MANY / 2


def test_no_more_are_submitted_in_a_minute_than_the_limit_and_the_first_go_first(environment: Environment) -> None:
    forget_runs(environment)
    environment.manage("pause_reports", "--all", "--reason", "only the runs of this test")
    environment.overrides |= {"FIREANT_MAX_JOBS_IN_FLIGHT": "0", "FIREANT_MAX_SUBMITS_PER_MINUTE": str(PER_MINUTE)}
    names = [seed.name for seed in REPORTS if seed.expected == "active"][: 3 * PER_MINUTE]
    with environment.fireant("--seconds-queued", "0", "--seconds-running", "0", "--quiet"), ExitStack() as stack:
        environment.manage("run_report", *report_keys(environment, names))
        line = ask(
            environment, "[r.client_reference for r in ReportRun.objects.order_by('-priority', 'created_at', 'pk')]"
        )
        began_at = time.monotonic()
        for number in range(CLUSTERS):
            stack.enter_context(environment.running(f"cluster{number}", "qcluster"))
        done = f"[r for r in {RUNS} if r['status'] == 'succeeded']"
        await_that(lambda: len(ask(environment, done)) >= PER_MINUTE, "the first are done", 30, pause=0.5)
        ready = "ReportRun.objects.filter(step='external_job_submission', status='queued').count()"
        await_that(lambda: ask(environment, ready) == len(names) - PER_MINUTE, "all others wait", 20, pause=0.5)
        sent = submissions(environment)
        assert time.monotonic() - began_at < 60
    assert sum(sent.values()) == PER_MINUTE
    assert max(line.index(reference) for reference in sent) < PER_MINUTE + CANDIDATES
