"""Runs due reports: claim a run, run its step, commit, repeat.

Every step's outcome is committed before the next step begins, and every write is guarded: a worker that lost its lease
changes nothing. No HTTP request is made inside a transaction.
"""

from datetime import datetime
from functools import partial

from report_orchestrator.domain.runs import Outcome, Status, Step
from report_orchestrator.exceptions import LeaseLostError
from report_orchestrator.models import ReportRun
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import emit_message_event, emit_run_event
from report_orchestrator.services.fireant.circuit_breaker import record_outcome
from report_orchestrator.services.fireant.limits import blocked_steps, has_queued_ahead, is_limited
from report_orchestrator.services.running.claim import claim
from report_orchestrator.services.running.commit import commit
from report_orchestrator.services.running.db_retry import with_db_retry
from report_orchestrator.services.running.download_slots import YieldingLease
from report_orchestrator.services.running.lease import Lease, release
from report_orchestrator.services.running.step_errors import catch_errors
from report_orchestrator.services.running.steps import StepContext, run_step

CANDIDATES = 8
"""Claimable runs that a worker reads at once: enough that it seldom competes with other workers for all of them."""


def run_due(run_id: int | None, *, runtime: Runtime, until: datetime) -> int:
    """Advance the run with this id, then others that may start, until none is left or `until` has come.

    Returns the number of runs advanced.
    """
    advanced = 0 if run_id is None else _run_named(run_id, runtime=runtime)
    while (now := runtime.clock()) < until:
        claimable = ReportRun.objects.claimable(now).exclude(step__in=blocked_steps(now, runtime.settings))
        candidates = list(claimable.values_list("pk", "version")[:CANDIDATES])
        claimed = 0
        for pk, version in candidates:
            if runtime.clock() >= until:
                break
            claimed += advance(pk, runtime=runtime, in_worker=True, version=version)
        if not claimed:
            break
        advanced += claimed
    return advanced


def _run_named(run_id: int, *, runtime: Runtime) -> int:
    """Advance the run that a message names, unless runs ahead of it are queued: `run_due` takes them in their order."""
    if is_limited(runtime.settings):
        run = ReportRun.objects.filter(pk=run_id).first()
        if run is not None and has_queued_ahead(run, Step(run.step), settings=runtime.settings):
            return 0
    advanced = advance(run_id, runtime=runtime, in_worker=True)
    if not advanced:
        emit_message_event("message_found_nothing", run_id=run_id)
    return int(advanced)


def advance(run_id: int, *, runtime: Runtime, in_worker: bool = False, version: int | None = None) -> bool:
    """Run a run's steps until it has to wait or has ended. False if it could not be claimed.

    `in_worker`, a long download gives way to older ones. A run chosen from a list at `version` is left alone if it has moved
    on since: its place in the order may have changed.
    """
    lease = claim(run_id, runtime=runtime, in_worker=in_worker, version=version)
    if lease is None:
        return False
    try:
        while lease.run.status == Status.RUNNING:
            commit(lease, _run_step(lease, runtime))
    except LeaseLostError:
        emit_run_event("lease_lost", lease.run, worker=lease.token)
    except SystemExit:  # a shutdown, or the queue's time limit
        release(lease)
        raise
    return True


def _run_step(lease: Lease, runtime: Runtime) -> Outcome:
    """Run the step that the lease is at, and record its outcome in the circuit."""
    holder = YieldingLease(lease=lease, runtime=runtime) if lease.in_worker else lease
    context = StepContext(runtime=runtime, heartbeat=partial(with_db_retry, holder.renew, lease=lease.settings.lease))
    step = partial(run_step, lease.run, context)
    outcome = catch_errors(
        # A deadlock or an absence of the database costs the step no retry. All steps are idempotent.
        lambda: with_db_retry(step, lease=lease.settings.lease),
        run=lease.run,
        settings=lease.settings,
    )

    def record() -> Outcome:
        return record_outcome(lease.run, outcome, now=runtime.clock(), settings=lease.settings)

    return with_db_retry(record, lease=lease.settings.lease)
