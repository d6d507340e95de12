"""A worker killed before, inside and after each of the five steps: the run goes on there, and nothing finished is repeated."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from report_orchestrator.domain.runs import Step
from tests.demo.place import Place
from tests.host.api.seed import REPORTS

pytestmark = pytest.mark.acceptance

POINTS = [f"{moment}:{step.value}" for step in Step for moment in ("before", "inside", "after")]
NAMES = [seed.name for seed in REPORTS if seed.expected == "active"][: len(POINTS)]
BOUND = 180  # seconds for fifteen deaths, each with a lease to run out
RUNS = (
    "[dict(name=r.report_name, status=r.status, error=r.error, twice=r.possibly_submitted_twice, crashes=r.crashes,"
    " reference=r.client_reference, path=r.results_path,"
    " steps=list(r.steps.order_by('pk').values_list('step', 'result'))) for r in ReportRun.objects.filter(trigger='manual')]"
)


def ask(place: Place, expression: str) -> Any:
    code = (
        "import json; from report_orchestrator.models import *; from tests.host.api.models import Job; "
        f"print(json.dumps({expression}))"
    )
    return json.loads(place.manage("shell", "-v0", "-c", code))


def submissions(place: Place) -> Counter[str]:
    """How often Fireant saw each reference."""
    address = f"http://127.0.0.1:{place.fireant_port}/sandbox/jobs"
    with urlopen(Request(address, headers={"Authorization": f"Bearer {place.key}"}), timeout=10) as answer:
        return Counter(job["idempotency_key"] for job in json.load(answer)["jobs"])


def run_with_deaths(place: Place) -> tuple[list[dict[str, Any]], Counter[str], set[str]]:
    """Runs one report for each point; returns the runs, the submissions and the points that fired."""
    marks = place.folder / "marks"
    marks.mkdir()
    plan = place.folder / "plan.json"
    plan.write_text(json.dumps(dict(zip(NAMES, POINTS, strict=True))))
    place.overrides |= {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "KILL_PLAN": str(plan),
        "KILL_MARKS": str(marks),
        "LEASE_SECONDS": "5",
        "TIMEOUT_SECONDS": "1",
        "POLL_INTERVAL_SECONDS": "1",
        "Q_WORKERS": "2",
        "CRON_SENSOR_INTERVAL_SECONDS": "3600",
    }
    place.manage("migrate", "-v0")
    place.manage("migrate", "-v0", "--database", "reports")
    place.manage("seed_reports")
    place.manage("discover_reports")
    place.manage("pause_reports", "--all", "--reason", "only the runs of this test")
    keys = ask(
        place, f"dict(ReportSchedule.objects.filter(name__in={NAMES!r}).values_list('name', 'report_key'))"
    )
    with place.fireant("--seconds-queued", "0", "--seconds-running", "0.2", "--quiet"):
        place.manage("run_report", *keys.values())
        with place.running("qcluster", "qcluster"):
            runs = wait_for_all(place)
        return runs, submissions(place), {mark.name.replace("-", ":") for mark in marks.iterdir()}


def wait_for_all(place: Place) -> list[dict[str, Any]]:
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        time.sleep(2)  # a look costs a process, which the cluster would miss
        runs: list[dict[str, Any]] = ask(place, RUNS)
        if all(run["status"] not in {"queued", "running", "deferred", "up_for_retry"} for run in runs):
            return runs
    pytest.fail(f"after {BOUND} s: {Counter(run['status'] for run in runs)}; see {place.folder}")


def assert_invariants(runs: list[dict[str, Any]], seen: Counter[str], fired: set[str], place: Place) -> None:
    assert fired == set(POINTS)
    assert [run for run in runs if run["status"] != "succeeded"] == []
    for run in runs:
        completed = Counter(step for step, result in run["steps"] if result == "completed")
        assert completed == Counter(step.value for step in Step), run
        assert Path(run["path"]).is_file()
    point_of = dict(zip(NAMES, POINTS, strict=True))
    for run in runs:
        unknown = point_of[run["name"]] in {
            "before:external_job_submission",
            "inside:external_job_submission",
            "after:report_data",
        }
        assert run["twice"] == unknown, run
        assert seen[run["reference"]] == 1 + (point_of[run["name"]] == "inside:external_job_submission")
    stored = [file for file in (place.folder / "lake" / "report_results").rglob("*") if file.is_file()]
    assert len(stored) == len(runs)
    jobs = ask(place, "list(Job.objects.values_list('fireant_jobid', flat=True))")
    assert len(jobs) == len(set(jobs)) == len(runs)


def test_a_death_at_every_point_of_every_step(any_place: Place) -> None:
    assert_invariants(*run_with_deaths(any_place), any_place)
