"""The demo's history is honest: no run or change contradicts another, and each failed run can be retried."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from report_orchestrator.conf import SETTING, get_settings
from report_orchestrator.domain.runs import RETRYABLE_BY_PERSON, Status, Step, StepResult
from report_orchestrator.models import Intervention, ReportChange, ReportRun, ReportSchedule, RunStep
from report_orchestrator.ports import Ports
from report_orchestrator.sandbox.fireant import FireantSandbox
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.operator_actions import remaining_cause, retry_run
from report_orchestrator.services.running.worker import run_due
from report_orchestrator.testing import FakePorts, make_runtime
from report_orchestrator.wiring import get_ports
from tests.demo.history import fill_history

pytestmark = [pytest.mark.slow, pytest.mark.django_db(databases=["default", "reports"])]


@pytest.fixture
def ports(settings: Any, tmp_path: Path, fakes: FakePorts) -> Iterator[Ports]:
    """The seeded host with a week of history, its local store, and a local Fireant."""
    with FireantSandbox() as fireant:
        ours = {"RESULT_ROOT": str(tmp_path), "FIREANT_API_URL": fireant.url, "FIREANT_API_KEY": "a-key-of-the-demo"}
        setattr(settings, SETTING, {**getattr(settings, SETTING), **ours})
        call_command("seed_reports", verbosity=0)
        ports = replace(get_ports(), queue=fakes.queue)
        discover(runtime=make_runtime(ports, get_settings()))
        fill_history(weeks=1, ports=ports)
        yield ports


def test_the_history_is_honest_and_its_failures_can_be_retried(ports: Ports) -> None:
    runs = list(ReportRun.objects.order_by("pk"))
    attempts = {pk: list(steps) for pk, steps in groupby(RunStep.objects.order_by("run", "pk"), attrgetter("run_id"))}
    contradictions = {
        f"{run}: {said}" for run in runs for said in contradictions_of(run, attempts.get(run.pk, []), ports)
    }

    assert len(runs) > 1000
    assert contradictions == set()
    assert_overlaps_are_true(runs)
    assert_changes_follow_each_other()
    assert_each_cause_can_be_retried(ports)


def contradictions_of(run: ReportRun, attempts: list[RunStep], ports: Ports) -> Iterator[str]:
    if run.status == Status.SKIPPED:
        if attempts or run.started_at:
            yield "skipped, but begun"
        return
    assert run.started_at
    assert run.ended_at
    yield from untrue_attempts(run, run.ended_at, attempts)
    if run.status == Status.SUCCEEDED:
        yield from unproved_success(run, attempts, ports)
    retries = list(Intervention.objects.filter(run=run).values_list("made_at", flat=True)) if run.idle else []
    if retries != ([run.retried_at] if run.idle else []):
        yield "retried by nobody"
    if not 0 < (run.seconds or 0) < 3 * 3600:
        yield f"its duration is {run.seconds}"


def untrue_attempts(run: ReportRun, ended_at: datetime, attempts: list[RunStep]) -> Iterator[str]:
    last = attempts[-1]
    if last.step != run.step or abs((last.ended_at or ended_at) - ended_at) > timedelta(seconds=0.01):
        yield "its last attempt is not its end"
    if any(later.started_at < (earlier.ended_at or ended_at) for earlier, later in pairwise(attempts)):
        yield "attempts overlap"
    told = (StepResult.COMPLETED, "", "")
    if run.status == Status.FAILED:
        told = (StepResult.FAILED, run.error_code, run.error)
    if (last.result, last.error_code, last.error) != told:
        yield "its last attempt does not tell its end"


def unproved_success(run: ReportRun, attempts: list[RunStep], ports: Ports) -> Iterator[str]:
    completed = [attempt.step for attempt in attempts if attempt.result == StepResult.COMPLETED]
    if completed != list(Step):
        yield f"succeeded, but its steps are {completed}"
    content = b"".join(ports.store.read(run.result_path))
    if (len(content), hashlib.sha256(content).hexdigest()) != (run.result_size, run.result_sha256):
        yield "its result is another one"


def assert_overlaps_are_true(runs: list[ReportRun]) -> None:
    """A time was skipped for a run before it that really had not ended."""
    skipped = [run for run in runs if run.error_code == "overlap"]
    assert skipped
    for run in skipped:
        before = ReportRun.objects.filter(schedule=run.schedule_id, created_at__lt=run.created_at)
        assert before.filter(ended_at__gt=run.created_at).exists(), run


def assert_changes_follow_each_other() -> None:
    """Each change begins with what the one before left, and the last one left what the report is now."""
    for schedule in ReportSchedule.objects.all():
        known: dict[str, object] = {}
        for change in ReportChange.objects.filter(schedule=schedule).order_by("noticed_at", "pk"):
            assert {name: known.get(name, value) for name, value in change.before.items()} == change.before, change
            known |= change.after
        assert {name: getattr(schedule, name) for name in known} == known, schedule
        for run in ReportRun.objects.filter(schedule=schedule).order_by("pk")[:1]:
            before = ReportChange.objects.filter(schedule=schedule, noticed_at__lt=run.created_at).order_by(
                "noticed_at"
            )
            assert run.report_name == [change.after["name"] for change in before if "name" in change.after][-1]


def assert_each_cause_can_be_retried(ports: Ports) -> None:
    """The newest and the oldest run of each cause goes on to its end after a retry, in no way foretold to fail."""
    runtime = make_runtime(ports, get_settings())
    failed = ReportRun.objects.filter(status__in=sorted(RETRYABLE_BY_PERSON))
    causes = set(failed.values_list("error_code", flat=True))
    assert causes == {"fireant_503", "fireant_job_failed", "no_result"}
    by_cause = [failed.filter(error_code=code).order_by("pk") for code in sorted(causes)]
    chosen = [run for runs in by_cause for run in (*runs[:1], *runs.reverse()[:1])]
    for run in chosen:
        has_payload = hasattr(run, "payload")
        assert remaining_cause(run, has_payload=has_payload) == ""
        retry_run(run.pk, actor="ada", runtime=runtime)
    run_due(None, runtime=runtime, until=datetime.now(UTC) + timedelta(seconds=60))
    ended = ReportRun.objects.in_bulk([run.pk for run in chosen])
    assert {(run.status, run.error) for run in ended.values()} == {(Status.SUCCEEDED, "")}
