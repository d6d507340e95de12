"""The invariants at the end of a soak: every run ended, nothing was lost, nothing was done twice unmarked."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from rich.console import Console

from tests.faults.soak.cluster import Supervised
from tests.faults.soak.setups import RESULTS, Setup
from tests.support.cluster_state import ask, submissions

RUNS = (
    "[dict(pk=r.pk, status=r.status, code=r.error_code, twice=r.possibly_submitted_twice, path=r.results_path,"
    " reference=r.client_reference, error=r.error) for r in ReportRun.objects.all()]"
)
ENDS = {"succeeded", "failed"}
EXCUSED = {"set_aside", "submission_unknown", "no_job_id"}
"""Error codes of runs that may fail here: many workers were lost at them, or nobody can know the job of their submission."""
SETTLING = 400  # seconds for everything to end once the faults have stopped


def settled(setup: Setup, cluster: Supervised) -> list[dict[str, Any]]:
    """Wait until all runs have ended or the time is over; return all runs."""
    deadline = time.monotonic() + SETTLING
    while True:
        cluster.restart_if_ended()
        runs: list[dict[str, Any]] = ask(setup.direct, RUNS)
        if time.monotonic() > deadline or all(run["status"] in ENDS for run in runs):
            return runs
        time.sleep(2)


def judge(setup: Setup, runs: list[dict[str, Any]], faults: Counter[str], console: Console) -> int:
    """Print the outcome. Return 0 if the invariants hold."""
    submitted, names = submissions(setup.direct), setup.result_names()
    results = [name for name in names if not name.rpartition("/")[2].startswith("_") and not _is_manifest(name)]
    paths = {run["pk"]: run["path"].partition(f"{RESULTS}/")[2] for run in runs if run["path"]}
    broken: dict[str, list[Any]] = {
        "runs that did not end": [run for run in runs if run["status"] not in ENDS],
        "runs that failed, but for those set aside or held": [
            run for run in runs if run["status"] == "failed" and run["code"] not in EXCUSED
        ],
        "runs submitted twice unmarked": [run for run in runs if submitted[run["reference"]] > 1 and not run["twice"]],
        "runs submitted more than twice": [run for run in runs if submitted[run["reference"]] > 2],
        "results that are missing": [
            run for run in runs if run["status"] == "succeeded" and paths[run["pk"]] not in results
        ],
        "results that two runs share": [path for path, count in Counter(paths.values()).items() if count > 1],
        "results too many": [name for name in results if name not in paths.values() and not _is_of(name, runs)],
    }
    ends = Counter(f"{run['status']} {run['code']}".strip() for run in runs)
    console.print(f"survived {dict(faults)}; {len(runs)} runs: {dict(ends)}")
    for invariant, violations in broken.items():
        if violations:
            console.print(f"[red]{len(violations)} {invariant}:[/red] {violations[:5]}")
    return int(any(broken.values()))


def _is_manifest(name: str) -> bool:
    return name.endswith(".manifest.json")


def _is_of(name: str, runs: list[dict[str, Any]]) -> bool:
    """True for the result of a run that ended after it was stored and before that was recorded."""
    references = {run["reference"].rpartition("-")[0] for run in runs if run["status"] == "failed"}
    return any(reference in name for reference in references)
