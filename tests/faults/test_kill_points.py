"""A worker killed before, inside and after each of the five steps: the run goes on there, and nothing finished is repeated."""

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


def prepare(place: Place, plan: dict[str, str]) -> Path:
    """A seeded place with a plan of deaths; returns the folder of their marks."""
    marks = Path(tempfile.mkdtemp(dir=place.folder, prefix="marks-"))
    plan_file = marks.with_suffix(".json")
    plan_file.write_text(json.dumps(plan))
    place.overrides |= {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "KILL_PLAN": str(plan_file),
        "KILL_MARKS": str(marks),
        "LEASE_SECONDS": "5",
        "TIMEOUT_SECONDS": "1",
        "POLL_INTERVAL_SECONDS": "1",
        "Q_WORKERS": "2",
        "CRON_SENSOR_INTERVAL_SECONDS": "3600",
    }
    place.manage("seed_reports")
    place.manage("discover_reports")
    place.manage("pause_reports", "--all", "--reason", "only the runs of this test")
    return marks


def run_reports(place: Place, names: Collection[str]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Runs these reports to their end with a real cluster; returns the runs, and what Fireant saw."""
    found = (
        f"list(ReportSchedule.objects.filter(name__in={list(names)!r}).values_list('report_key', flat=True))"
    )
    keys = ask(place, found)
    with place.fireant("--seconds-queued", "0", "--seconds-running", "0.2", "--quiet"):
        place.manage("run_report", *keys)
        with place.running("qcluster", "qcluster"):
            runs = [run for run in wait_for_all(place) if run["name"] in names]
        return runs, submissions(place)


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
    assert {str(file) for file in stored if not file.name.startswith("_")} == {run["path"] for run in runs}
    assert len(stored) == 2 * len(runs)  # each with its manifest
    assert not list((place.folder / "lake").rglob("*.part"))
    jobs = ask(place, "list(Job.objects.values_list('fireant_jobid', flat=True))")
    assert len(jobs) == len(set(jobs)) == len(runs)


def test_a_death_at_every_point_of_every_step(any_place: Place) -> None:
    marks = prepare(any_place, dict(zip(NAMES, POINTS, strict=True)))
    runs, seen = run_reports(any_place, set(NAMES))
    assert_invariants(runs, seen, {mark.name.replace("-", ":") for mark in marks.iterdir()}, any_place)


def test_a_poison_report_is_set_aside_and_its_neighbours_go_on(sqlite_place: Place) -> None:
    poison, *neighbours = NAMES[:6]
    marks = prepare(sqlite_place, {poison: "always:results_storage"})
    runs, _seen = run_reports(sqlite_place, {poison, *neighbours})
    assert len(list(marks.iterdir())) == MAX_CRASHES
    by_name = {run["name"]: run for run in runs}
    assert (by_name[poison]["status"], by_name[poison]["crashes"]) == ("failed", MAX_CRASHES)
    assert "was set aside" in by_name[poison]["error"]
    assert {by_name[name]["status"] for name in neighbours} == {"succeeded"}
