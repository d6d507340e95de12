"""Claims a run for a worker: rescues it from a lost worker, checks that its step may start, and opens an attempt."""

from datetime import datetime
from functools import partial

from django.db import transaction

from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode, Trait, traits_of
from report_orchestrator.domain.runs import MAX_CRASHES, Failed, Status, Step, StepResult
from report_orchestrator.exceptions import LeaseLostError
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_run_event
from report_orchestrator.services.fireant.limits import may_start
from report_orchestrator.services.running.db_retry import with_db_retry
from report_orchestrator.services.running.download_slots import PAUSE, must_wait
from report_orchestrator.services.running.lease import Lease, close_lost_attempt, lease_token
from report_orchestrator.services.running.step_errors import on_hold


def claim(run_id: int, *, runtime: Runtime, in_worker: bool, version: int | None) -> Lease | None:
    """Claim a run and open an attempt at its step. None if it may not start now or has moved on from `version`."""
    attempt = partial(_claim_once, run_id, runtime=runtime, in_worker=in_worker, version=version)
    return with_db_retry(attempt, lease=runtime.settings.lease)


def _claim_once(run_id: int, *, runtime: Runtime, in_worker: bool, version: int | None) -> Lease | None:
    now = runtime.clock()
    run = ReportRun.objects.filter(pk=run_id).first()
    if run is None or not run.is_claimable(now) or ReportRun.objects.waits_in_line(run):
        return None
    if version is not None and run.version != version:
        return None
    try:
        if in_worker and must_wait(run, runtime=runtime):
            run.write(wake_at=now + PAUSE)
            return None
        with transaction.atomic(using=database_alias()):
            return _claim(run, now=now, runtime=runtime, in_worker=in_worker)
    except LeaseLostError:
        return None


def _claim(run: ReportRun, *, now: datetime, runtime: Runtime, in_worker: bool) -> Lease | None:
    if run.status == Status.RUNNING:
        _rescue(run, now)
    has_unknown_outcome = Trait.UNKNOWN_OUTCOME in traits_of(run.error_code)
    maybe_submitted = run.step == Step.EXTERNAL_JOB_SUBMISSION and has_unknown_outcome
    if failure := _reason_to_fail(run, runtime.settings, maybe_submitted=maybe_submitted):
        _fail_unstarted(run, failure, now)
        return None
    if not may_start(run, Step(run.step), now=now, settings=runtime.settings):
        return None
    waiting = _waiting_attempt(run)
    run.write(
        status=Status.RUNNING.value,
        worker=lease_token(in_worker=in_worker),
        wake_at=now + runtime.settings.lease,
        started_at=run.started_at or now,
        attempt=run.attempt + (waiting is None),
        possibly_submitted_twice=run.possibly_submitted_twice or maybe_submitted,
    )
    if maybe_submitted:
        emit_run_event("submission_repeated", run, client_reference=run.client_reference)
    attempt = waiting or RunStep.objects.create(run=run, step=run.step, attempt=run.attempt, started_at=now)
    emit_run_event("step_started", run, attempt=run.attempt, worker=run.worker)
    return Lease(run=run, attempt=attempt, settings=runtime.settings, clock=runtime.clock, in_worker=in_worker)


def _rescue(run: ReportRun, now: datetime) -> None:
    """Queue a run whose lease has run out: close its attempt and count the crash."""
    lost_worker, crashes = run.worker, run.crashes + 1
    run.write(status=Status.QUEUED.value, worker="", wake_at=now, crashes=crashes, error_code=ErrorCode.WORKER_LOST)
    close_lost_attempt(run, ErrorCode.WORKER_LOST, "The worker's lease expired.", now=now)
    emit_run_event("run_rescued", run, crashes=crashes, lost_worker=lost_worker)


def _reason_to_fail(run: ReportRun, settings: Settings, *, maybe_submitted: bool) -> Failed | None:
    if run.crashes >= MAX_CRASHES:
        return Failed(
            code=ErrorCode.SET_ASIDE,
            error=(
                f"{run} was set aside: its worker was lost {run.crashes} times at {run.step}. "
                "Find out what kills it (memory, a crashing library, a lease that is too short), then retry the run."
            ),
        )
    if maybe_submitted and (settings.fireant_on_unknown == "hold" or run.possibly_submitted_twice):
        return on_hold(run)
    return None


def _fail_unstarted(run: ReportRun, failure: Failed, now: datetime) -> None:
    error = {"error_code": failure.code, "error": failure.error}
    run.write(status=Status.FAILED.value, worker="", wake_at=None, ended_at=now, **error)
    emit_run_event("run_failed", run, **error)


def _waiting_attempt(run: ReportRun) -> RunStep | None:
    """Return the attempt of a run that waits for its job, to continue it: polls open no attempt of their own."""
    if run.step != Step.JOB_COMPLETION_STATUS:
        return None
    return RunStep.objects.filter(run=run, step=run.step, attempt=run.attempt, result=StepResult.WAITING).first()
