"""How the fault tests look at a place: its rows, what its Fireant saw, its lake; and what must hold whatever happened."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request, urlopen

import pytest

from report_orchestrator.domain.runs import Step
from tests.demo.place import Place

LIVE = {"queued", "running", "deferred", "up_for_retry"}
SOON = 10.0  # seconds

T = TypeVar("T")
RUNS = (
    "[dict(pk=r.pk, name=r.report_name, status=r.status, code=r.error_code, error=r.error, crashes=r.crashes,"
    " twice=r.possibly_submitted_twice, reference=r.client_reference, path=r.results_path, version=r.version,"
    " steps=list(r.steps.order_by('pk').values_list('step', 'result'))) for r in ReportRun.objects.order_by('pk')]"
)


def await_that(condition: Callable[[], T], what: str, seconds: float = SOON, pause: float = 0.01) -> T:
    """The first true value of a condition, looked at every `pause` seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(pause)
    pytest.fail(f"within {seconds} s not: {what}")


def ask(place: Place, expression: str) -> Any:
    """The JSON value of an expression in a process of the place's own."""
    code = (
        "import json; from report_orchestrator.models import *; from tests.host.api.models import *; "
        f"print(json.dumps({expression}))"
    )
    return json.loads(place.manage("shell", "-v0", "-c", code))


def report_keys(place: Place, names: Collection[str]) -> list[str]:
    """The keys of the reports of these names, but for those that another test has deleted."""
    there = f"ReportSchedule.objects.filter(name__in={list(names)!r}, state='active')"
    found = f"list({there}.values_list('report_key', flat=True))"
    keys: list[str] = ask(place, found)
    return keys


def sandbox(place: Place, page: str) -> Mapping[str, Any]:
    """What the place's Fireant says of itself."""
    address = f"http://127.0.0.1:{place.fireant_port}/sandbox/{page}"
    with urlopen(Request(address, headers={"Authorization": f"Bearer {place.key}"}), timeout=30) as answer:
        found: Mapping[str, Any] = json.load(answer)
    return found


def submissions(place: Place) -> Counter[str]:
    """How often Fireant saw each reference."""
    return Counter(job["idempotency_key"] for job in sandbox(place, "jobs")["jobs"])


def stored(place: Place) -> list[Path]:
    """The files in the lake, unfinished ones too, but for the manifests beside the results."""
    files = [file for file in (place.folder / "lake" / "report_results").rglob("*") if file.is_file()]
    return [file for file in files if not file.name.startswith("_")]


def await_ends(place: Place, count: int, seconds: float) -> list[dict[str, Any]]:
    """All runs of the place, once so many have ended and none is left that has not."""
    deadline = time.monotonic() + seconds
    while True:
        runs: list[dict[str, Any]] = ask(place, RUNS)
        if len(runs) >= count and not any(run["status"] in LIVE for run in runs):
            return runs
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds} s: {Counter(run['status'] for run in runs)}; see {place.folder}")
        time.sleep(1)  # a look costs a process, which the cluster would miss


def assert_done_once(place: Place, runs: Collection[Mapping[str, Any]]) -> None:
    """Every run succeeded, and nothing of it was done twice: no step, no submission, no job's row, no file."""
    assert [run for run in runs if run["status"] != "succeeded"] == []
    for run in runs:
        completed = Counter(step for step, result in run["steps"] if result == "completed")
        assert completed == Counter(step.value for step in Step), run
    assert submissions(place) == Counter(run["reference"] for run in runs)
    assert sorted(map(str, stored(place))) == sorted(run["path"] for run in runs)
    jobs = ask(place, "list(Job.objects.values_list('fireant_jobid', flat=True))")
    assert len(jobs) == len(set(jobs)) == len(runs)


def forget_runs(place: Place) -> None:
    """Forgets what an earlier test has done."""
    ask(place, "[ReportRun.objects.all().delete(), Job.objects.all().delete()] and None")
    shutil.rmtree(place.folder / "lake", ignore_errors=True)
