"""Five thousand reports due in one minute, two clusters, few places at Fireant: order and limits hold, no wait holds a worker.

All are opened and queued; of the work itself the beginning is watched, as Fireant would need minutes for the rest.
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

from report_orchestrator.services.execution import CANDIDATES
from tests.demo.place import Place
from tests.faults.conftest import migrated, seeded
from tests.faults.many_reports import ABOVE, NORMAL, URGENT
from tests.faults.watching import RUNS, ask, await_that, forget_runs, report_keys, sandbox, submissions
from tests.host.api.seed import REPORTS
from tests.places import place_on_postgres_with_redis

pytestmark = pytest.mark.acceptance

MANY = 5000
PLACES = 50
RUNNING = 3.0  # seconds that each job takes
WATCHED = ABOVE + NORMAL + 30  # submissions
WORKERS = 2  # of each cluster
CLUSTERS = 2
PER_MINUTE = 5


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str) -> Iterator[Place]:
    """PostgreSQL and Redis, with the host's reports, paused."""
    folder = tmp_path_factory.mktemp("many")
    with place_on_postgres_with_redis(folder, postgres_url, redis_url) as empty:
        yield seeded(migrated(empty))


def many(place: Place, call: str) -> Any:
    """The answer of a function of `many_reports`."""
    code = f"from tests.faults import many_reports; print(many_reports.{call})"
    return json.loads(place.manage("shell", "-v0", "-c", code))


def most_at_once(place: Place) -> int:
    """The most jobs that were with Fireant at one moment."""
    began = [datetime.fromisoformat(job["submitted_at"]) for job in sandbox(place, "jobs")["jobs"]]
    changes = [(at, 1) for at in began] + [(at + timedelta(seconds=RUNNING), -1) for at in began]
    return max(accumulate(change for _at, change in sorted(changes)))


def test_five_thousand_in_one_minute_keep_their_order_and_the_limit(place: Place) -> None:
    place.manage("resume_reports", "--all")
    urgent, opened = many(place, f"open_many({MANY})")
    assert opened == MANY
    place.overrides |= {"FIREANT_MAX_JOBS_IN_FLIGHT": str(PLACES), "Q_WORKERS": str(WORKERS)}
    looks = []
    with ExitStack() as stack:
        stack.enter_context(
            place.fireant("--seconds-queued", "0", "--seconds-running", str(RUNNING), "--quiet")
        )
        for number in range(CLUSTERS):
            stack.enter_context(place.running(f"cluster{number}", "qcluster"))
        await_that(lambda: len(submissions(place)) >= PLACES, "all places are taken", 60, pause=0.2)
        place.manage("run_report", urgent)
        by_hand = f"next(r for r in {RUNS} if r['name'] == {URGENT!r})"

        def watched() -> bool:
            looks.append(many(place, "look()"))
            return len(submissions(place)) >= WATCHED and ask(place, by_hand)["status"] == "succeeded"

        await_that(watched, "enough have started, and the urgent one is done", 90, pause=0.5)
        most = most_at_once(place)
        started = [job["idempotency_key"] for job in sandbox(place, "jobs")["jobs"]]
    ranks = {reference: rank for rank, reference in enumerate(many(place, "ranking()"))}
    places = [ranks[reference] for reference in started if reference in ranks]
    assert len(places) == len(started) - 1, (
        "all but the urgent one are scheduled, and none is submitted twice"
    )
    window = CLUSTERS * WORKERS * CANDIDATES
    astray = [(position, rank) for position, rank in enumerate(places) if abs(rank - position) > window]
    assert astray == [], "(position, rank) of runs that started long before or after their turn"
    assert PLACES * 0.8 <= most <= PLACES
    assert max(look["flying"] for look in looks) <= PLACES
    assert max(look["silence"] for look in looks) < 10
    assert min(look["waiting"] for look in looks) > MANY / 2


def test_no_more_are_submitted_in_a_minute_than_the_limit_and_the_first_go_first(place: Place) -> None:
    forget_runs(place)
    place.manage("pause_reports", "--all", "--reason", "only the runs of this test")
    place.overrides |= {
        "FIREANT_MAX_JOBS_IN_FLIGHT": "0",
        "FIREANT_MAX_SUBMITS_PER_MINUTE": str(PER_MINUTE),
    }
    names = [seed.name for seed in REPORTS if seed.expected == "active"][: 3 * PER_MINUTE]
    with place.fireant("--seconds-queued", "0", "--seconds-running", "0", "--quiet"), ExitStack() as stack:
        place.manage("run_report", *report_keys(place, names))
        line = ask(
            place,
            "[r.client_reference for r in ReportRun.objects.order_by('-priority', 'created_at', 'pk')]",
        )
        began_at = time.monotonic()
        for number in range(CLUSTERS):
            stack.enter_context(place.running(f"cluster{number}", "qcluster"))
        done = f"[r for r in {RUNS} if r['status'] == 'succeeded']"
        await_that(lambda: len(ask(place, done)) >= PER_MINUTE, "the first are done", 30, pause=0.5)
        ready = "ReportRun.objects.filter(step='external_job_submission', status='queued').count()"
        await_that(lambda: ask(place, ready) == len(names) - PER_MINUTE, "all others wait", 20, pause=0.5)
        sent = submissions(place)
        assert time.monotonic() - began_at < 60
    assert sum(sent.values()) == PER_MINUTE
    assert max(line.index(reference) for reference in sent) < PER_MINUTE + CANDIDATES
