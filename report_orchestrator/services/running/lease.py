"""A claimed run and its open attempt, which only the holder of the lease may write; renewing and releasing it."""

import os
import socket
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max

from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.exceptions import LeaseLostError
from report_orchestrator.models import ReportRun, RunStep, StateName
from report_orchestrator.ports import Clock
from report_orchestrator.services.events import database_alias, emit_run_event
from report_orchestrator.services.running.progress import record_progress

CHECK_EVERY = timedelta(seconds=3)
"""A long step checks this often that the lease is still its own: a person may have canceled the run."""
FOREGROUND = ":by-hand"
"""Suffix of the token of a process that is not a worker: its download occupies no worker."""


def lease_token(*, in_worker: bool = True) -> str:
    """Return a unique name for one claim, which starts with its host and process."""
    token = f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
    return token if in_worker else token + FOREGROUND


@dataclass(slots=True, kw_only=True)
class Lease:
    """A claimed run, its open attempt, and the right to write both until `run.wake_at`.

    A lease held `in_worker` leaves a free Fireant slot to runs ahead of it, and its long download gives way to older ones.
    """

    run: ReportRun
    attempt: RunStep
    settings: Settings
    clock: Clock
    in_worker: bool = False
    token: str = field(init=False)
    checked_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.token = self.run.worker
        self.checked_at = self.clock()

    def renew(self) -> None:
        """Renew the lease once half of it has passed. Raises `LeaseLostError` if the run is no longer this worker's.

        A lease that seems too long dates from before the clock was set back, and is renewed too.
        """
        now, duration = self.clock(), self.settings.lease
        if self.run.wake_at is not None and not duration / 2 <= self.run.wake_at - now <= duration:
            self.run.write(wake_at=now + duration)
        elif abs(now - self.checked_at) >= CHECK_EVERY:
            self.run.check_unchanged()
        else:
            return
        self.checked_at = now
        if self.in_worker:
            record_progress(StateName.WORKER, StateName.RUNS_ADVANCED, now=now)


def release(lease: Lease) -> None:
    """Queue a run again at the step that its worker must leave, as at a shutdown. Counts as neither a failure nor a crash.

    An interrupted submission may have reached Fireant, and is recorded as such. Does nothing if the lease was lost or the
    run's last outcome has just been committed.
    """
    # Read by the token: a commit may have succeeded without this process learning of it.
    run = ReportRun.objects.filter(pk=lease.run.pk, worker=lease.token, status=Status.RUNNING).first()
    if run is None:
        return
    code = ErrorCode.SUBMISSION_UNKNOWN if run.step == Step.EXTERNAL_JOB_SUBMISSION else ""
    try:
        with transaction.atomic(using=database_alias()):
            run.write(status=Status.QUEUED.value, worker="", wake_at=lease.clock(), error_code=code, error="")
            close_lost_attempt(run, ErrorCode.HANDED_BACK, "The worker was stopped.", now=lease.clock())
            emit_run_event("run_handed_back", run)
    except LeaseLostError:
        emit_run_event("lease_lost", run, worker=run.worker)


def close_lost_attempt(run: ReportRun, code: str, error: str, *, now: datetime) -> None:
    """Close the attempt that the run's last worker left open."""
    RunStep.objects.filter(run=run, result=StepResult.STARTED).update(
        result=StepResult.LOST, ended_at=now, error_code=code, error=error
    )


def last_attempt(run: ReportRun, step: Step) -> int:
    last = RunStep.objects.filter(run=run, step=step).aggregate(last=Max("attempt"))["last"]
    return last or 0
