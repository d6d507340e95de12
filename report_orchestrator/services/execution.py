"""Claim, step, commit, again: how a run is moved along, by whoever was rung.

Every step's result is committed before the next step begins, and every write is guarded, so a worker that lost its lease
changes nothing. HTTP is never spoken inside a transaction.
"""

from __future__ import annotations

import os
import socket
import uuid
from datetime import datetime
from functools import partial

from django.db import transaction

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import (
    MAX_CRASHES,
    Failed,
    Outcome,
    Status,
    Step,
    StepResult,
)
from report_orchestrator.exceptions import LeaseLostError
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.ports import Ports
from report_orchestrator.services import downloads
from report_orchestrator.services.announce import database, message_event, run_event
from report_orchestrator.services.gate import admits, closed_steps, is_limited, stands_behind, weigh
from report_orchestrator.services.outcomes import Lease, commit, hand_back, held, outcome_of
from report_orchestrator.services.patience import patiently
from report_orchestrator.services.pipeline import STEPS, StepContext

CANDIDATES = 8
"""How many claimable runs a worker reads at once: enough not to meet its neighbours at every one."""

_UNCERTAIN = frozenset({"submission_unknown", "submission_failed", "worker_lost"})


def work(run_id: int | None, *, ports: Ports, settings: Settings, until: datetime) -> int:
    """Advances the run that was named, then whatever else may start, until nothing is left or `until` has come.

    Returns how many runs it moved.
    """
    moved = 0 if run_id is None else _answer(run_id, ports=ports, settings=settings)
    while (now := ports.clock()) < until:
        open_to_all = ReportRun.objects.claimable(now).exclude(step__in=closed_steps(now, settings))
        candidates = list(open_to_all.values_list("pk", "version")[:CANDIDATES])
        won = sum(
            advance(pk, ports=ports, settings=settings, in_worker=True, seen_at=version)
            for pk, version in candidates
        )
        moved += won
        if not won:
            break
    return moved


def _answer(run_id: int, *, ports: Ports, settings: Settings) -> int:
    """Moves the run that a message names, unless others come before it: they are moved next, and it in its turn."""
    if is_limited(settings):
        run = ReportRun.objects.filter(pk=run_id).first()
        if run is not None and stands_behind(run, Step(run.step), settings=settings):
            return 0
    moved = advance(run_id, ports=ports, settings=settings, in_worker=True)
    if not moved:
        message_event("message_found_nothing", run_id=run_id)
    return int(moved)


def advance(
    run_id: int, *, ports: Ports, settings: Settings, in_worker: bool = False, seen_at: int | None = None
) -> bool:
    """Takes a run as far as it can go without waiting. False where there was nothing to take: the message was late or doubled.

    A download that lasts gives way to others `in_worker`, where it would take the place of work that cannot wait. A run that
    was chosen from a list, `seen_at` a version, is left where it has moved on since: its turn may have become another.
    """
    lease = _claim(run_id, ports=ports, settings=settings, in_worker=in_worker, seen_at=seen_at)
    if lease is None:
        return False
    try:
        while lease.run.status == Status.RUNNING:
            step = Step(lease.run.step)
            outcome = _perform(lease, ports)
            weighed = patiently(
                partial(_weigh_now, step, outcome, ports=ports, settings=settings), lease=settings.lease
            )
            commit(lease, weighed)
    except LeaseLostError:
        run_event("lease_lost", lease.run, worker=lease.run.worker)
    except SystemExit:  # the worker is being ended: a shutdown, or the queue's time limit
        hand_back(lease)
        raise
    return True


def _weigh_now(step: Step, outcome: Outcome, *, ports: Ports, settings: Settings) -> Outcome:
    return weigh(step, outcome, now=ports.clock(), settings=settings)


def _claim(
    run_id: int, *, ports: Ports, settings: Settings, in_worker: bool, seen_at: int | None
) -> Lease | None:
    now = ports.clock()
    run = ReportRun.objects.filter(pk=run_id).first()
    if run is None or not run.is_claimable(now) or ReportRun.objects.waits_in_line(run):
        return None
    if seen_at is not None and run.version != seen_at:
        return None
    try:
        if in_worker and downloads.stays_out(run, ports=ports):
            run.write(wake_at=now + downloads.PAUSE)
            return None
        with transaction.atomic(using=database()):
            return _take(run, now=now, ports=ports, settings=settings, in_worker=in_worker)
    except LeaseLostError:
        return None


def _take(
    run: ReportRun, *, now: datetime, ports: Ports, settings: Settings, in_worker: bool
) -> Lease | None:
    if run.status == Status.RUNNING:
        _write_off(run, now)
    if reason := _reason_not_to_start(run, settings):
        _end_unstarted(run, reason, now)
        return None
    if not admits(run, Step(run.step), now=now, settings=settings):
        return None
    uncertain = run.step == Step.EXTERNAL_JOB_SUBMISSION and run.error_code in _UNCERTAIN
    waiting = _waiting_attempt(run)
    run.write(
        status=Status.RUNNING.value,
        worker=lease_token() if in_worker else lease_token() + downloads.BY_HAND,
        wake_at=now + settings.lease,
        started_at=run.started_at or now,
        attempt=run.attempt + (waiting is None),
        possibly_submitted_twice=run.possibly_submitted_twice or uncertain,
    )
    if uncertain:
        run_event("submission_repeated", run, client_reference=run.client_reference)
    attempt = waiting or RunStep.objects.create(run=run, step=run.step, attempt=run.attempt, started_at=now)
    run_event("step_started", run, attempt=run.attempt, worker=run.worker)
    return Lease(run=run, attempt=attempt, settings=settings, clock=ports.clock, in_worker=in_worker)


def _write_off(run: ReportRun, now: datetime) -> None:
    """The last worker died or lost its way: its attempt is closed, and counted against the run."""
    lost_worker = run.worker
    run.write(
        status=Status.QUEUED.value,
        worker="",
        wake_at=now,
        crashes=run.crashes + 1,
        error_code="worker_lost",
    )
    RunStep.objects.filter(run=run, result=StepResult.STARTED).update(
        result=StepResult.LOST, ended_at=now, error_code="worker_lost", error="The worker's lease ran out."
    )
    run_event("run_rescued", run, crashes=run.crashes, lost_worker=lost_worker)


def _reason_not_to_start(run: ReportRun, settings: Settings) -> Failed | None:
    if run.crashes >= MAX_CRASHES:
        return Failed(
            code="set_aside",
            error=(
                f"{run} was set aside: its worker was lost {run.crashes} times at {run.step}. "
                "Look for what kills it (memory, a crashing library, a lease that is too short), then retry the run."
            ),
        )
    unsure = run.step == Step.EXTERNAL_JOB_SUBMISSION and run.error_code in _UNCERTAIN
    if unsure and (settings.fireant_on_unknown == "hold" or run.possibly_submitted_twice):
        return held(run)
    return None


def _end_unstarted(run: ReportRun, reason: Failed, now: datetime) -> None:
    run.write(
        status=Status.FAILED.value,
        worker="",
        wake_at=None,
        ended_at=now,
        error_code=reason.code,
        error=reason.error,
    )
    run_event("run_failed", run, error_code=reason.code, error=reason.error)


def _waiting_attempt(run: ReportRun) -> RunStep | None:
    if run.step != Step.JOB_COMPLETION_STATUS:
        return None
    return RunStep.objects.filter(
        run=run, step=run.step, attempt=run.attempt, result=StepResult.WAITING
    ).first()


def lease_token() -> str:
    """A name for one claim: where it was made, and a part that no other claim has."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


def _perform(lease: Lease, ports: Ports) -> Outcome:
    keep_lease = downloads.considerate(lease, ports=ports).keep if lease.in_worker else lease.keep
    context = StepContext(ports=ports, keep_lease=keep_lease)
    return outcome_of(
        lambda: STEPS[Step(lease.run.step)](lease.run, context), run=lease.run, settings=lease.settings
    )
