"""The invariants at the end of a soak: every run ended, nothing was lost, nothing was done twice unmarked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from tests.faults.soak.cluster import Supervised
from tests.faults.soak.faults import Stage
from tests.faults.soak.setups import RESULTS, Setup
from tests.support.cluster_state import submissions
from tests.support.console import ask

RUNS = (
    "[dict(pk=r.pk, status=r.status, code=r.error_code, twice=r.possibly_submitted_twice, path=r.results_path,"
    " reference=r.client_reference, error=r.error) for r in ReportRun.objects.all()]"
)
HOST_ROWS = (
    "dict(jobs=list(Job.objects.using('reports').values_list('fireant_jobid', flat=True)),"
    " dates=[str(day) for day in ReportModifier.objects.using('reports').values_list('as_at_date', flat=True)])"
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


@dataclass(kw_only=True)
class Outcome:
    """The figures of a soak on one setup, or of all together."""

    runs: int = 0
    lost: int = 0
    doubled: int = 0
    marked: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)

    @property
    def holds(self) -> bool:
        return not (self.lost or self.doubled)

    def add(self, other: Outcome) -> None:
        self.runs, self.lost = self.runs + other.runs, self.lost + other.lost
        self.doubled, self.marked = self.doubled + other.doubled, self.marked + other.marked
        self.faults.update(other.faults)
        self.kills.update(other.kills)

    def __str__(self) -> str:
        kills = ", ".join(f"{role} {count}" for role, count in self.kills.most_common())
        others = ", ".join(f"{kind} {count}" for kind, count in self.faults.most_common() if kind != "kills")
        return (
            f"{self.kills.total()} kills ({kills}); {others}; {self.runs} runs: {self.lost} lost, {self.doubled} doubled,"
            f" {self.marked} possibly submitted twice and marked"
        )


def judge(stage: Stage, runs: list[dict[str, Any]], faults: Counter[str], console: Console) -> Outcome:
    """Print and return the outcome, in which nothing is lost or doubled if the invariants hold."""
    setup = stage.setup
    submitted, names, rows = submissions(setup.direct), setup.result_names(), ask(setup.direct, HOST_ROWS)
    results = [name for name in names if not name.rpartition("/")[2].startswith("_") and not _is_manifest(name)]
    paths = {run["pk"]: run["path"].partition(f"{RESULTS}/")[2] for run in runs if run["path"]}
    lost: dict[str, list[Any]] = {
        "runs that did not end": [run for run in runs if run["status"] not in ENDS],
        "runs that failed, but for those set aside or held": [
            run for run in runs if run["status"] == "failed" and run["code"] not in EXCUSED
        ],
        "results that are missing": [
            run for run in runs if run["status"] == "succeeded" and paths[run["pk"]] not in results
        ],
    }
    doubled: dict[str, list[Any]] = {
        "runs submitted twice unmarked": [run for run in runs if submitted[run["reference"]] > 1 and not run["twice"]],
        "runs submitted more than twice": [run for run in runs if submitted[run["reference"]] > 2],
        "results that two runs share": _repeated(paths.values()),
        "results too many": [name for name in results if name not in paths.values() and not _is_of(name, runs)],
        "jobs recorded twice": _repeated(rows["jobs"]),
        "modifiers of one date": _repeated(rows["dates"]),
    }
    console.print(dict(Counter(f"{run['status']} {run['code']}".strip() for run in runs)))
    for invariant, violations in (lost | doubled).items():
        if violations:
            console.print(f"[red]{len(violations)} {invariant}:[/red] {violations[:5]}")
    outcome = Outcome(
        runs=len(runs),
        lost=sum(map(len, lost.values())),
        doubled=sum(map(len, doubled.values())),
        marked=sum(run["twice"] for run in runs),
        faults=faults,
        kills=stage.kills,
    )
    console.print(str(outcome))
    return outcome


def _repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def _is_manifest(name: str) -> bool:
    return name.endswith(".manifest.json")


def _is_of(name: str, runs: list[dict[str, Any]]) -> bool:
    """True for the result of a run that ended after it was stored and before that was recorded."""
    references = {run["reference"].rpartition("-")[0] for run in runs if run["status"] == "failed"}
    return any(reference in name for reference in references)
