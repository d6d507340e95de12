"""A worker killed before, inside and after each of the five steps: the run continues there and repeats no finished
step.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from report_orchestrator.domain.runs import MAX_CRASHES, Step
from tests.demo.environment import Environment
from tests.host.api.seed import REPORTS
from tests.support.console import ask, run_command

pytestmark = pytest.mark.slow

POINTS = [f"{moment}:{step.value}" for step in Step for moment in ("before", "inside", "after")]
NAMES = [seed.name for seed in REPORTS if seed.expected == "active"][: len(POINTS)]
BOUND = 180  # seconds for fifteen deaths, each with a lease to run out
RUNS = (
    "[dict(name=r.report_name, status=r.status, error=r.error, twice=r.possibly_submitted_twice, crashes=r.crashes,"
    " reference=r.client_reference, path=r.results_path,"
    " steps=list(r.steps.order_by('pk').values_list('step', 'result'))) for r in ReportRun.objects.filter(trigger='manual')]"
)


def submissions(environment: Environment) -> Counter[str]:
    """Return the number of submissions for each reference."""
    address = f"http://127.0.0.1:{environment.fireant_port}/sandbox/jobs"
    with urlopen(Request(address, headers={"Authorization": f"Bearer {environment.key}"}), timeout=10) as answer:
        return Counter(job["idempotency_key"] for job in json.load(answer)["jobs"])


def prepare(environment: Environment, plan: dict[str, str]) -> Path:
    """Seed an environment with a plan of kills; return the folder of their marks."""
    marks = Path(tempfile.mkdtemp(dir=environment.folder, prefix="marks-"))
    plan_file = marks.with_suffix(".json")
    plan_file.write_text(json.dumps(plan))
    environment.overrides |= {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "KILL_PLAN": str(plan_file),
        "KILL_MARKS": str(marks),
        "LEASE_SECONDS": "8",
        "TIMEOUT_SECONDS": "4",  # of a request that no fault delays, on the slowest machine
        "POLL_INTERVAL_SECONDS": "1",
        "Q_WORKERS": "2",
        "CRON_SENSOR_INTERVAL_SECONDS": "3600",
    }
    run_command(environment, "seed_reports")
    run_command(environment, "discover_reports")
    run_command(environment, "pause_reports", "--all", "--reason", "only the runs of this test")
    return marks


def run_reports(environment: Environment, names: Collection[str]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Run these reports to the end with a real cluster; return the runs and the requests to Fireant."""
    found = f"list(ReportSchedule.objects.filter(name__in={list(names)!r}).values_list('report_key', flat=True))"
    keys = ask(environment, found)
    with environment.fireant("--seconds-queued", "0", "--seconds-running", "0.2", "--quiet"):
        environment.manage("run_report", *keys)
        with environment.running("qcluster", "qcluster"):
            runs = [run for run in wait_for_all(environment) if run["name"] in names]
        return runs, submissions(environment)


def wait_for_all(environment: Environment) -> list[dict[str, Any]]:
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        time.sleep(0.1)
        runs: list[dict[str, Any]] = ask(environment, RUNS)
        if all(run["status"] not in {"queued", "running", "deferred", "up_for_retry"} for run in runs):
            return runs
    pytest.fail(f"after {BOUND} s: {Counter(run['status'] for run in runs)}; see {environment.folder}")


def assert_invariants(
    runs: list[dict[str, Any]], seen: Counter[str], fired: set[str], environment: Environment
) -> None:
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
    stored = [file for file in (environment.folder / "lake" / "report_results").rglob("*") if file.is_file()]
    assert {str(file) for file in stored if not file.name.startswith("_")} == {run["path"] for run in runs}
    assert len(stored) == 2 * len(runs)  # each with its manifest
    assert not list((environment.folder / "lake").rglob("*.part"))
    jobs = ask(environment, "list(Job.objects.values_list('fireant_jobid', flat=True))")
    assert len(jobs) == len(set(jobs)) == len(runs)


def test_a_death_at_every_point_of_every_step(any_environment: Environment) -> None:
    marks = prepare(any_environment, dict(zip(NAMES, POINTS, strict=True)))
    runs, seen = run_reports(any_environment, set(NAMES))
    assert_invariants(runs, seen, {mark.name.replace("-", ":") for mark in marks.iterdir()}, any_environment)


def test_a_poison_report_is_set_aside_and_its_neighbours_go_on(sqlite_environment: Environment) -> None:
    poison, *neighbours = NAMES[:6]
    marks = prepare(sqlite_environment, {poison: "always:results_storage"})
    runs, _seen = run_reports(sqlite_environment, {poison, *neighbours})
    assert len(list(marks.iterdir())) == MAX_CRASHES
    by_name = {run["name"]: run for run in runs}
    assert (by_name[poison]["status"], by_name[poison]["crashes"]) == ("failed", MAX_CRASHES)
    assert "was set aside" in by_name[poison]["error"]
    assert {by_name[name]["status"] for name in neighbours} == {"succeeded"}
