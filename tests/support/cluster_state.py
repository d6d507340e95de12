"""Views of an environment for the fault tests: rows, requests to Fireant, stored files; and the invariants."""

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
from tests.demo.environment import Environment
from tests.support.console import ask

UNFINISHED = {"queued", "running", "deferred", "up_for_retry"}
SOON = 10.0  # seconds

T = TypeVar("T")
RUNS = (
    "[dict(pk=r.pk, name=r.report_name, status=r.status, code=r.error_code, error=r.error, crashes=r.crashes,"
    " twice=r.possibly_submitted_twice, reference=r.client_reference, path=r.results_path, version=r.version,"
    " steps=list(r.steps.order_by('pk').values_list('step', 'result'))) for r in ReportRun.objects.order_by('pk')]"
)


def await_that(condition: Callable[[], T], what: str, seconds: float = SOON, pause: float = 0.01) -> T:
    """Wait until a condition is true, checking every `pause` seconds; return its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(pause)
    pytest.fail(f"within {seconds} s not: {what}")


def report_keys(environment: Environment, names: Collection[str]) -> list[str]:
    """Return the keys of the reports with these names, except deleted ones."""
    there = f"ReportSchedule.objects.filter(name__in={list(names)!r}, state='active')"
    found = f"list({there}.values_list('report_key', flat=True))"
    keys: list[str] = ask(environment, found)
    return keys


def sandbox(environment: Environment, page: str) -> Mapping[str, Any]:
    """Return the environment's local Fireant."""
    address = f"http://127.0.0.1:{environment.fireant_port}/sandbox/{page}"
    with urlopen(Request(address, headers={"Authorization": f"Bearer {environment.key}"}), timeout=30) as answer:
        found: Mapping[str, Any] = json.load(answer)
    return found


def submissions(environment: Environment) -> Counter[str]:
    """Return the number of submissions for each reference."""
    return Counter(job["idempotency_key"] for job in sandbox(environment, "jobs")["jobs"])


def stored(environment: Environment) -> list[Path]:
    """Return all stored files, including unfinished ones, without the manifests."""
    files = [file for file in (environment.folder / "lake" / "report_results").rglob("*") if file.is_file()]
    return [file for file in files if not file.name.startswith("_")]


def await_ends(environment: Environment, count: int, seconds: float) -> list[dict[str, Any]]:
    """Wait until this many runs have ended and none is live; return all runs."""
    deadline = time.monotonic() + seconds
    while True:
        runs: list[dict[str, Any]] = ask(environment, RUNS)
        if len(runs) >= count and not any(run["status"] in UNFINISHED for run in runs):
            return runs
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds} s: {Counter(run['status'] for run in runs)}; see {environment.folder}")
        time.sleep(0.1)


def assert_done_once(environment: Environment, runs: Collection[Mapping[str, Any]]) -> None:
    """Assert that every run succeeded with one of each: step, submission, job record, file."""
    assert [run for run in runs if run["status"] != "succeeded"] == []
    for run in runs:
        completed = Counter(step for step, result in run["steps"] if result == "completed")
        assert completed == Counter(step.value for step in Step), run
    assert submissions(environment) == Counter(run["reference"] for run in runs)
    assert sorted(map(str, stored(environment))) == sorted(run["path"] for run in runs)
    jobs = ask(environment, "list(Job.objects.values_list('fireant_jobid', flat=True))")
    assert len(jobs) == len(set(jobs)) == len(runs)


def forget_runs(environment: Environment) -> None:
    """Remove the runs of an earlier test."""
    ask(environment, "[ReportRun.objects.all().delete(), Job.objects.all().delete()] and None")
    shutil.rmtree(environment.folder / "lake", ignore_errors=True)
