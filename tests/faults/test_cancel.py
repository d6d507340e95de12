"""A cancellation meets a completion: one of them wins. A report deleted while it runs ends alone, and says why."""

from __future__ import annotations

import json

import pytest

from report_orchestrator.domain.runs import Step
from tests.demo.environment import Environment
from tests.host.api.seed import REPORTS
from tests.support.cluster_state import RUNS, await_ends, await_that, report_keys, stored
from tests.support.console import ask, run_command
from tests.support.lease_probe import held, hold_in_each_step

pytestmark = pytest.mark.slow

NAMES = [seed.name for seed in REPORTS if seed.expected == "active"]
ROUNDS = 3
MANY = ROUNDS * len(NAMES)
MOST = 45  # cancellations
INTERVENTIONS = "list(Intervention.objects.filter(kind='canceled').values_list('run_id', flat=True))"
FILES = "[(r.pk, r.results_path, r.result_path) for r in ReportRun.objects.all()]"


def test_a_cancellation_and_a_completion_have_one_winner(seeded_environment: Environment) -> None:
    environment = seeded_environment
    environment.overrides |= {"LEASE_SECONDS": "30", "Q_WORKERS": "3"}
    keys = report_keys(environment, NAMES)
    with environment.fireant("--seconds-queued", "0", "--seconds-running", "0", "--quiet"):
        for _ in range(ROUNDS):
            environment.manage("run_report", *keys)
        log = environment.folder / "qcluster.log"
        begins_at = len(log.read_text()) if log.exists() else 0
        with environment.running("qcluster", "qcluster"):
            cancel = f"from tests.faults.canceller import *; print(cancel_while_they_run({MOST}, 30, 7))"
            payload = json.loads(environment.manage("shell", "-v0", "-c", cancel))
            runs = await_ends(environment, MANY, 60)
            assert ask(environment, RUNS) == runs
    by_status = {status: {run["pk"] for run in runs if run["status"] == status} for status in ("canceled", "succeeded")}
    assert len(by_status["canceled"]) + len(by_status["succeeded"]) == MANY
    assert sorted(payload["canceled"]) == sorted(by_status["canceled"]) == sorted(ask(environment, INTERVENTIONS))
    assert payload["changed"] == []
    assert min(map(len, by_status.values())) > 0
    assert "lease lost" in log.read_text()[begins_at:], "a worker was overtaken by a cancellation"
    assert payload["refused"], "a cancellation was overtaken by a completion or by another one"
    for pk, recorded, path_in_lake in ask(environment, FILES):
        assert bool(recorded) == (pk in by_status["succeeded"])
        assert not recorded or recorded.endswith(path_in_lake)
    assert not [file for file in stored(environment) if file.stat().st_size == 0]


def test_a_report_that_is_deleted_while_it_runs_ends_alone_and_says_why(seeded_environment: Environment) -> None:
    environment = seeded_environment
    marks = hold_in_each_step(environment, NAMES)
    doomed, neighbours = dict(zip(NAMES, Step, strict=False)), NAMES[5:8]
    with environment.fireant("--seconds-queued", "0", "--seconds-running", "0.5", "--quiet"):
        environment.manage("run_report", *report_keys(environment, [*doomed, *neighbours]))
        with environment.running("qcluster", "qcluster"):
            await_that(lambda: held(marks) == len(Step), "a run is inside each step", 30)
            assert ask(environment, f"Report.objects.filter(name__in={list(doomed)!r}).delete()[0]") >= len(doomed)
            (marks / "go").touch()
            runs = {run["name"]: run for run in await_ends(environment, len(doomed) + len(neighbours), 60)}
    run_command(environment, "seed_reports")
    run_command(environment, "discover_reports")
    ends = {step: (runs[name]["status"], runs[name]["code"]) for name, step in doomed.items()}
    refused, well = ("failed", "job_record"), ("succeeded", "")
    assert ends == {
        Step.REPORT_DATA: refused,
        Step.EXTERNAL_JOB_SUBMISSION: refused,
        Step.LOCAL_JOB_RECORD: well,
        Step.JOB_COMPLETION_STATUS: well,
        Step.RESULTS_STORAGE: well,
    }
    reported = [run["error"] for run in runs.values() if run["status"] == "failed"]
    assert all("If the report or its modifier was deleted, start a new run" in error for error in reported)
    assert [runs[name]["status"] for name in neighbours] == ["succeeded"] * len(neighbours)
