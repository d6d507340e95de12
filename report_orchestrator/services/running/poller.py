"""Polls waiting runs: claims them in batches, polls Fireant concurrently, writes back in bulk."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import TypeAlias

from django.db import transaction
from django.db.models import F

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Outcome, Status, Waiting, spread_poll_interval
from report_orchestrator.exceptions import LeaseLostError
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.ports import JobStatus
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_run_event
from report_orchestrator.services.fireant.circuit_breaker import claim_probe, read_circuit, record_responses
from report_orchestrator.services.running.commit import commit
from report_orchestrator.services.running.db_retry import with_db_retry
from report_orchestrator.services.running.lease import Lease, lease_token
from report_orchestrator.services.running.step_errors import catch_errors
from report_orchestrator.services.running.steps import poll_outcome

SAME_WAIT = 64
"""Runs of a batch that get the same next wait, in one statement."""
Response: TypeAlias = JobStatus | Outcome
"""Fireant's response to a poll, or the outcome of a poll that failed."""


def poll_due(*, runtime: Runtime, until: datetime, before_batch: Callable[[], None] | None = None) -> int:
    """Poll Fireant for every run that is due, in batches. Return the number of polls. Calls `before_batch` before each."""
    polled = 0
    while runtime.clock() < until:
        if before_batch is not None:
            before_batch()
        runs = _claim_batch(runtime=runtime)
        if not runs:
            break
        polled += len(runs)
        try:
            _record_polls(runs, _poll(runs, runtime), runtime=runtime)
        except SystemExit:  # the worker is shutting down
            _release(runs, runtime)
            raise
    return polled


def _claim_batch(*, runtime: Runtime) -> list[ReportRun]:
    """Claim the runs to poll now: while Fireant is considered down, one as a probe once it is due.

    One for each thread, so that a batch lasts no longer than one response: longer ones would delay the cluster's other ticks.
    """
    now, token = runtime.clock(), lease_token()
    circuit = read_circuit()
    with transaction.atomic(using=database_alias()):
        due = ReportRun.objects.pollable(now).select_for_update(skip_locked=True)
        most = 1 if circuit.is_open else runtime.settings.poll_concurrency
        keys = list(due.values_list("pk", flat=True)[:most])
        if keys and circuit.is_open and not claim_probe(circuit, keys[0], now=now, settings=runtime.settings):
            return []
        ReportRun.objects.filter(pk__in=keys, status=Status.DEFERRED).update(
            status=Status.RUNNING, worker=token, wake_at=now + runtime.settings.lease, version=F("version") + 1
        )
    return with_db_retry(lambda: list(ReportRun.objects.filter(pk__in=keys, worker=token))) if keys else []


def _poll(runs: Sequence[ReportRun], runtime: Runtime) -> list[Response]:
    """Poll all runs concurrently. The threads do HTTP only; their exceptions become outcomes."""
    settings = runtime.settings  # read here: in a thread it could open a database connection that nothing closes

    def poll(run: ReportRun) -> Response:
        return catch_errors(lambda: runtime.fireant.status(run.fireant_job_id), run=run, settings=settings)

    pool = ThreadPoolExecutor(max_workers=min(settings.poll_concurrency, len(runs)))
    try:
        responses = list(pool.map(poll, runs))
    except SystemExit:
        pool.shutdown(wait=False, cancel_futures=True)  # no time to wait for responses
        raise
    pool.shutdown()
    return responses


def _record_polls(runs: Sequence[ReportRun], responses: Sequence[Response], *, runtime: Runtime) -> None:
    def record() -> Sequence[Response]:
        return record_responses(runs, responses, now=runtime.clock(), settings=runtime.settings)

    recorded = with_db_retry(record, lease=runtime.settings.lease)
    polls = [(run, _outcome(run, response, runtime)) for run, response in zip(runs, recorded, strict=True)]
    # Runs that only wait first: an error in another run's commit must not keep their leases.
    waiting = [run for run, outcome in polls if _only_waits(run, outcome, runtime.settings)]
    with_db_retry(partial(_defer, waiting, runtime), lease=runtime.settings.lease)
    for run, outcome in polls:
        if not _only_waits(run, outcome, runtime.settings) and _commit_poll(run, outcome, runtime):
            runtime.queue.notify([run.pk])


def _outcome(run: ReportRun, response: Response, runtime: Runtime) -> Outcome:
    if isinstance(response, JobStatus):
        return catch_errors(lambda: poll_outcome(run, response, runtime), run=run, settings=runtime.settings)
    return response


def _only_waits(run: ReportRun, outcome: Outcome, settings: Settings) -> bool:
    return (
        isinstance(outcome, Waiting)
        and outcome.columns.get("fireant_status") == run.fireant_status
        and run.polls + 1 < settings.max_poll_attempts
    )


def _commit_poll(run: ReportRun, outcome: Outcome, runtime: Runtime) -> bool:
    """Commit a poll that changed something. True if the run is queued for its next step."""
    attempt = with_db_retry(partial(_open_attempt, run, runtime), lease=runtime.settings.lease)
    lease = Lease(run=run, attempt=attempt, settings=runtime.settings, clock=runtime.clock)
    try:
        commit(lease, outcome, hand_over=True)
    except LeaseLostError:
        emit_run_event("lease_lost", run, worker=lease.token)
        return False
    return run.status == Status.QUEUED


def _open_attempt(run: ReportRun, runtime: Runtime) -> RunStep:
    attempt = RunStep.objects.filter(run=run, step=run.step).order_by("pk").last()
    return attempt or RunStep.objects.create(
        run=run, step=run.step, attempt=max(run.attempt, 1), started_at=runtime.clock()
    )


def _release(runs: Sequence[ReportRun], runtime: Runtime) -> None:
    """Leave the polls that this worker cannot finish to others. Counts as neither a failure nor a crash."""
    _end_leases(runs, wake_at=runtime.clock())


def _defer(runs: Sequence[ReportRun], runtime: Runtime) -> None:
    """Let runs wait for their next poll, `SAME_WAIT` of them for the same time, so that they drift apart."""
    now = runtime.clock()
    for start in range(0, len(runs), SAME_WAIT):
        _end_leases(
            runs[start : start + SAME_WAIT],
            polls=F("polls") + 1,
            failures=0,
            crashes=0,
            wake_at=now + spread_poll_interval(runtime.settings.poll_interval, random.random()),
        )


def _end_leases(runs: Sequence[ReportRun], **columns: object) -> None:
    leased = ReportRun.objects.filter(pk__in=[run.pk for run in runs], worker=runs[0].worker)
    leased.filter(status=Status.RUNNING).update(status=Status.DEFERRED, worker="", version=F("version") + 1, **columns)
