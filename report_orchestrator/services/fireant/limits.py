"""The limits on Fireant jobs over all clusters: jobs in flight, submissions per minute, and the open circuit.

A run that may not start waits as a queued row and uses up no attempt. Free slots go by priority, then by age.
"""

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import UNFINISHED, Status, Step
from report_orchestrator.models import ReportRun, RunStep, SharedState, StateName
from report_orchestrator.services.fireant.circuit_breaker import FIREANT_STEPS, claim_probe, read_circuit

STEPS_BEFORE_JOB = (Step.REPORT_DATA, Step.EXTERNAL_JOB_SUBMISSION)
SUBMISSION_WINDOW = timedelta(minutes=1)
UNLIMITED = 1_000_000


def may_start(run: ReportRun, step: Step, *, now: datetime, settings: Settings) -> bool:
    """Return True if the run may take this step now. Call it in the transaction that writes the step's start.

    While the circuit is open, the one run that may start carries the probe. Every caller locks the run's row before the rows
    that all runs share: two transactions that lock in one order cannot deadlock.

    Raises:
        LeaseLostError: another worker wrote the run in between.
    """
    if step not in FIREANT_STEPS:
        return True
    limited = step == Step.EXTERNAL_JOB_SUBMISSION and is_limited(settings)
    circuit = read_circuit()
    if limited or circuit.is_open:
        run.lock()
    if limited:
        # The caller's transaction keeps the mutex until its run is counted too.
        SharedState.objects.lock(StateName.LIMITS_LOCK, now=now)
        if slots_left(now, settings) <= 0:
            return False
    return not circuit.is_open or claim_probe(circuit, run.pk, now=now, settings=settings)


def is_limited(settings: Settings) -> bool:
    return bool(settings.fireant_max_jobs_in_flight or settings.fireant_max_submits_per_minute)


def slots_left(now: datetime, settings: Settings) -> int:
    """Return how many jobs may be submitted now; `UNLIMITED` where nothing limits them."""
    left = UNLIMITED
    if settings.fireant_max_jobs_in_flight:
        left = min(left, settings.fireant_max_jobs_in_flight - jobs_in_flight())
    if settings.fireant_max_submits_per_minute:
        recent = submissions_since(now - SUBMISSION_WINDOW).count()
        left = min(left, settings.fireant_max_submits_per_minute - recent)
    return left


def jobs_in_flight() -> int:
    """Count the jobs that are being submitted, or were submitted and are not known to have ended."""
    return ReportRun.objects.filter(
        Q(status__in=sorted(UNFINISHED), step__in=[Step.LOCAL_JOB_RECORD, Step.JOB_COMPLETION_STATUS])
        | Q(status=Status.RUNNING, step=Step.EXTERNAL_JOB_SUBMISSION)
    ).count()


def submissions_since(start: datetime) -> QuerySet[RunStep]:
    return RunStep.objects.filter(step=Step.EXTERNAL_JOB_SUBMISSION, started_at__gt=start)


def has_queued_ahead(run: ReportRun, step: Step, *, settings: Settings) -> bool:
    """True if slots are limited and runs that come before this one are queued: they get the free slots."""
    if step not in STEPS_BEFORE_JOB or not is_limited(settings):
        return False
    return ReportRun.objects.startable_before(run).filter(step__in=STEPS_BEFORE_JOB).exists()


def blocked_steps(now: datetime, settings: Settings) -> list[Step]:
    """Return the steps that no run may take now, so that workers do not claim runs only to release them."""
    circuit = read_circuit()
    if circuit.probe_at is not None and circuit.probe_at > now:
        return sorted(FIREANT_STEPS)
    return [] if slots_left(now, settings) > 0 else [Step.EXTERNAL_JOB_SUBMISSION]
