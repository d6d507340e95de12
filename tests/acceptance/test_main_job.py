"""The main job with real clusters: every seeded report reaches its right end, by each approach, on each kind of database."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.demo.place import Place
from tests.host.api.seed import REPORTS

pytestmark = pytest.mark.acceptance

ACTIVE = {seed.name for seed in REPORTS if seed.expected == "active"}
BOUND = (
    150  # seconds: the schedule approach may wait a minute for its cron, and 30 s for the queue's own cycle
)
LINES = {
    "sensor": {"report orchestrator: cron sensor"},
    "schedule": {"report orchestrator: schedule"},
}
ALWAYS = {"report orchestrator: discovery", "report orchestrator: tick"}


def in_django(place: Place, expression: str) -> Any:
    """The JSON value of a Python expression, in a process of the place's own."""
    code = (
        "import json; from collections import Counter; from datetime import datetime, timedelta; "
        "from django.db.models import F; "
        "from report_orchestrator.models import *; from django_q.models import Schedule; "
        "from tests.host.api.models import Job, Report; from tests.acceptance.outage import make_all_due; "
        f"print(json.dumps({expression}))"
    )
    return json.loads(place.manage("shell", "-v0", "-c", code))


@contextmanager
def prepared(place: Place, approach: str) -> Iterator[None]:
    """A seeded host, discovered, with every active report due once, and a local Fireant."""
    place.overrides |= {
        "SCHEDULING_APPROACH": approach,
        "SCHEDULE_CRON_EXPRESSION": "* * * * *",
        "MAX_LOOKBACK_SECONDS": str(10 * 366 * 86400),
        "Q_WORKERS": "2",
    }
    place.manage("migrate", "-v0")
    place.manage("migrate", "-v0", "--database", "reports")
    place.manage("seed_reports")
    place.manage("discover_reports")
    assert in_django(place, "make_all_due()") == len(ACTIVE)
    with place.fireant("--seconds-queued", "0.5", "--seconds-running", "1", "--quiet"):
        yield


def wait_for_the_end(place: Place) -> None:
    """Returns when every active report has a run that ended, within the bound."""
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        names = in_django(
            place,
            "list(ReportRun.objects.ended().exclude(status='skipped').values_list('report_name', flat=True).distinct())",
        )
        if set(names) >= ACTIVE:
            return
    missing = ACTIVE - set(names)
    pytest.fail(f"after {BOUND} s these had not ended: {sorted(missing)}; see {place.folder}")


def assert_all_right(place: Place) -> None:
    runs = in_django(
        place,
        "list(ReportRun.objects.ended().values('report_name', 'status', 'error', 'fireant_job_id', 'results_path'))",
    )
    assert {run["report_name"] for run in runs if run["status"] == "succeeded"} == ACTIVE
    # A report of every other minute may have missed one time while the cluster started: that is recorded, and is right.
    assert [run for run in runs if run["status"] not in {"succeeded", "skipped"}] == []
    occurrences = in_django(
        place, "[str(pair) for pair in ReportRun.objects.values_list('schedule', 'scheduled_for')]"
    )
    assert len(occurrences) == len(set(occurrences))


def assert_nothing_was_done_twice(place: Place) -> None:
    """Fireant saw each submitted run once, and the host has one job row for each."""
    submitted = in_django(
        place,
        "[str(r) + '-1' for r in ReportRun.objects.exclude(fireant_job_id='').values_list('reference', flat=True)]",
    )
    request = Request(
        f"http://127.0.0.1:{place.fireant_port}/sandbox/jobs",
        headers={"Authorization": f"Bearer {place.key}"},
    )
    with urlopen(request, timeout=10) as response:
        jobs = json.load(response)["jobs"]
    seen = Counter(job["idempotency_key"] for job in jobs)
    assert max(seen.values()) == 1
    assert set(submitted) <= seen.keys()
    rows = in_django(place, "list(Job.objects.values_list('fireant_jobid', flat=True))")
    assert len(rows) == len(set(rows))


def assert_quarantine(place: Place) -> None:
    found = dict(
        in_django(place, "list(map(list, ReportSchedule.objects.values_list('name', 'problem_code')))")
    )
    assert {name: code for name, code in found.items() if code} == {
        seed.name: seed.problem for seed in REPORTS if seed.problem
    }


@pytest.mark.parametrize("approach", ["sensor", "schedule", "pipeline"])
def test_every_seeded_report_reaches_its_right_end(sqlite_place: Place, approach: str) -> None:
    with prepared(sqlite_place, approach), sqlite_place.running("qcluster", "qcluster"):
        wait_for_the_end(sqlite_place)
        assert_all_right(sqlite_place)
        assert_nothing_was_done_twice(sqlite_place)
        assert_quarantine(sqlite_place)
        names = set(in_django(sqlite_place, "list(Schedule.objects.values_list('name', flat=True))"))
        assert names - ALWAYS == LINES.get(approach) or (
            approach == "pipeline" and {name.split(": ", 1)[1] for name in names - ALWAYS} == ACTIVE
        )
        assert names >= ALWAYS
    log = (sqlite_place.folder / "qcluster.log").read_text()
    assert "database is locked" not in log
    assert "Traceback" not in log


def test_two_clusters_on_postgresql_with_redis_do_nothing_twice(postgres_place: Place) -> None:
    with prepared(postgres_place, "sensor"), ExitStack() as stack:
        for name in ("qcluster-1", "qcluster-2"):
            stack.enter_context(postgres_place.running(name, "qcluster"))
        wait_for_the_end(postgres_place)
        assert_all_right(postgres_place)
        assert_nothing_was_done_twice(postgres_place)
        assert_quarantine(postgres_place)


def test_a_switch_of_approach_leaves_exactly_the_lines_of_the_new_one(sqlite_place: Place) -> None:
    with prepared(sqlite_place, "sensor"):
        for approach in ("pipeline", "schedule", "sensor"):
            sqlite_place.overrides["SCHEDULING_APPROACH"] = approach
            sqlite_place.manage("sync_schedules")
            names = (
                set(in_django(sqlite_place, "list(Schedule.objects.values_list('name', flat=True))")) - ALWAYS
            )
            expected = len(ACTIVE) if approach == "pipeline" else 1
            assert len(names) == expected
            again = json.loads(sqlite_place.manage("sync_schedules", "--format", "json"))
            assert (again["created"], again["updated"], again["removed"]) == ([], {}, [])
