"""The main job on a seeded host: prepare it, wait for its end, and check its results."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest

from tests.demo.environment import Environment
from tests.host.api.seed import REPORTS
from tests.support.console import ask, run_command

ACTIVE = {seed.name for seed in REPORTS if seed.expected == "active"}


BOUND = 150  # seconds: the schedule approach may wait a minute for its cron, and 30 s for the queue's own cycle


@contextmanager
def prepared(environment: Environment, approach: str) -> Iterator[None]:
    """Prepare a seeded host with every active report due once, and a local Fireant."""
    environment.overrides |= {
        "SCHEDULING_APPROACH": approach,
        "SCHEDULE_CRON_EXPRESSION": "* * * * *",
        "MAX_LOOKBACK_SECONDS": str(10 * 366 * 86400),
        "Q_WORKERS": "2",
    }
    for command in (
        ("migrate", "-v0"),
        ("migrate", "-v0", "--database", "reports"),
        ("seed_reports",),
        ("discover_reports",),
    ):
        run_command(environment, *command)
    assert ask(environment, "make_all_due()") == len(ACTIVE)
    with environment.fireant("--seconds-queued", "0.5", "--seconds-running", "1", "--quiet"):
        yield


def wait_for_the_end(environment: Environment) -> None:
    """Wait until every active report has a run that ended, within the limit."""
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        names = ask(
            environment,
            "list(ReportRun.objects.ended().exclude(status='skipped').values_list('report_name', flat=True).distinct())",
        )
        if set(names) >= ACTIVE:
            return
        time.sleep(0.1)
    missing = ACTIVE - set(names)
    pytest.fail(f"after {BOUND} s these had not ended: {sorted(missing)}; see {environment.folder}")


def assert_all_right(environment: Environment) -> None:
    runs = ask(
        environment,
        "list(ReportRun.objects.ended().values('report_name', 'status', 'error', 'fireant_job_id', 'results_path'))",
    )
    assert {run["report_name"] for run in runs if run["status"] == "succeeded"} == ACTIVE
    # A report of every other minute may have missed one time while the cluster started: that is recorded, and is right.
    assert [run for run in runs if run["status"] not in {"succeeded", "skipped"}] == []
    occurrences = ask(environment, "[str(pair) for pair in ReportRun.objects.values_list('schedule', 'scheduled_for')]")
    assert len(occurrences) == len(set(occurrences))


def assert_nothing_was_done_twice(environment: Environment) -> None:
    """Assert that Fireant received each run once and that the host has one job row for each."""
    submitted = ask(
        environment,
        "[str(r) + '-1' for r in ReportRun.objects.exclude(fireant_job_id='').values_list('reference', flat=True)]",
    )
    request = Request(
        f"http://127.0.0.1:{environment.fireant_port}/sandbox/jobs",
        headers={"Authorization": f"Bearer {environment.key}"},
    )
    with urlopen(request, timeout=10) as response:
        jobs = json.load(response)["jobs"]
    seen = Counter(job["idempotency_key"] for job in jobs)
    assert max(seen.values()) == 1
    assert set(submitted) <= seen.keys()
    rows = ask(environment, "list(Job.objects.values_list('fireant_jobid', flat=True))")
    assert len(rows) == len(set(rows))
