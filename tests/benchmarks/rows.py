"""Rows for benchmarks; imported in a process of the environment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections
from django.db.models import F, Max, Min

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun, ReportSchedule, RunStep
from report_orchestrator.services.running.worker import advance
from report_orchestrator.services.scheduling.create_runs import new_run
from report_orchestrator.testing import make_runtime
from report_orchestrator.wiring import get_ports

REPORT = "Windstorm accumulation"


def open_runs(count: int) -> int:
    """Open queued manual runs of one geo report."""
    schedule = ReportSchedule.objects.get(name=REPORT)
    now = datetime.now(UTC)
    runs = [new_run(schedule, now, now=now) for _ in range(count)]
    for run in runs:
        run.trigger = "manual"
    ReportRun.objects.bulk_create(runs, batch_size=1000)
    return count


def put_in_flight(count: int, interval: float) -> int:
    """Create runs waiting for Fireant, with polls spread over one interval."""
    open_runs(count)
    now = datetime.now(UTC)
    runs = list(ReportRun.objects.filter(status=Status.QUEUED).order_by("pk"))
    for position, run in enumerate(runs):
        run.status, run.step = Status.DEFERRED.value, Step.JOB_COMPLETION_STATUS.value
        run.fireant_job_id, run.fireant_status = str(position + 1), "Running"
        run.polls, run.started_at = 1, now
        run.wake_at = now + timedelta(seconds=5 + interval * position / count)
    columns = ["status", "step", "fireant_job_id", "fireant_status", "polls", "started_at", "wake_at"]
    ReportRun.objects.bulk_update(runs, columns, batch_size=500)
    RunStep.objects.bulk_create(
        [RunStep(run=run, step=run.step, attempt=1, result="waiting", started_at=now) for run in runs], batch_size=1000
    )
    return count


def succeeded() -> dict[str, float]:
    """Return the number of succeeded runs, and the seconds from the first start to the last end."""
    done = ReportRun.objects.filter(status=Status.SUCCEEDED)
    span = done.aggregate(first=Min("started_at"), last=Max("ended_at"))
    seconds = (span["last"] - span["first"]).total_seconds() if span["first"] else 0.0
    return {"count": done.count(), "seconds": seconds}


def lateness(seconds: float) -> list[float]:
    """Sample for a while how late the most overdue poll is, in seconds."""
    samples = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        waiting = ReportRun.objects.filter(status=Status.DEFERRED)
        first = waiting.aggregate(at=Min("wake_at"))["at"]
        if first is not None:
            samples.append(max((datetime.now(UTC) - first).total_seconds(), 0.0))
        time.sleep(0.5)
    return samples


def polls_made() -> int:
    """Return the number of polls of all runs."""
    return sum(ReportRun.objects.values_list("polls", flat=True))


def statements_of_a_run() -> tuple[int, int]:
    """Statements on the database of our tables, and on the reports'; of the second of two runs, as the first connects."""
    seen: Counter[str] = Counter()

    def counting(alias: str) -> Callable[..., Any]:
        def count(execute: Callable[..., Any], *statement: Any) -> Any:
            seen[alias] += 1
            return execute(*statement)

        return count

    ports, settings = get_ports(), get_settings()
    first, second = ReportRun.objects.order_by("pk").values_list("pk", flat=True)
    advance(first, runtime=make_runtime(ports, settings))
    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(counting(connection.alias)))
        advance(second, runtime=make_runtime(ports, settings))
    assert ReportRun.objects.get(pk=second).status == Status.SUCCEEDED
    return seen["default"], seen["reports"]


def waits_to_submit() -> list[float]:
    """Return the seconds from each run's scheduled time to the end of its submission."""
    rows = RunStep.objects.filter(
        step=Step.EXTERNAL_JOB_SUBMISSION, result="completed", run__trigger="scheduled"
    ).annotate(due=F("run__scheduled_for"))
    return [(row.ended_at - row.due).total_seconds() for row in rows if row.ended_at]
