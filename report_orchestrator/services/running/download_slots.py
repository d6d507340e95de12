"""Limits long downloads to all workers but one, so that ticks, polls and submissions always find a worker.

A download shorter than `LONG_AFTER` is never limited. A longer one checks now and then how many older downloads run; if they
take all slots, it stops and is tried again once a slot is free.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.exceptions import GaveWayError
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.running.lease import FOREGROUND, Lease

LONG_AFTER = timedelta(seconds=5)
"""A download counts as long after this, and checks for a slot this often."""
PAUSE = timedelta(seconds=30)
"""A download that gave way waits this long before it checks for a slot."""


def download_slots(runtime: Runtime) -> int:
    """Return how many long downloads may run at a time: all workers but one, and at least one.

    Counts the configured workers where the broker cannot tell how many are alive, so that a broker outage ends no download.
    """
    workers = max(runtime.queue.workers_alive() or 0, runtime.queue.workers_configured())
    return max(workers - 1, 1)


def must_wait(run: ReportRun, *, runtime: Runtime) -> bool:
    """True if this run's download is known to be long and no slot is free.

    Downloads that have just begun take no slot yet: otherwise many short ones would keep the run from starting. A run whose
    worker was lost does not wait, as its own attempt counts as running until it is rescued.
    """
    if run.status != Status.UP_FOR_RETRY or run.error_code != GaveWayError.code:
        return False
    now = runtime.clock()
    return _running_downloads(now).filter(started_at__lte=now - LONG_AFTER).count() >= download_slots(runtime)


@dataclass(slots=True, kw_only=True)
class YieldingLease:
    """A lease that also makes its download give way to older ones."""

    lease: Lease
    runtime: Runtime
    check_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.check_at = self.runtime.clock() + LONG_AFTER

    def renew(self) -> None:
        """Renew the lease. Called every second of a download, and for every piece.

        Raises:
            LeaseLostError: another worker has the run.
            GaveWayError: older downloads take all slots.
        """
        self.lease.renew()
        now = self.runtime.clock()
        if now < self.check_at:
            return
        self.check_at = now + LONG_AFTER
        attempt = self.lease.attempt
        older = Q(started_at__lt=attempt.started_at) | Q(started_at=attempt.started_at, pk__lt=attempt.pk)
        if _running_downloads(now).filter(older).count() >= download_slots(self.runtime):
            raise GaveWayError(
                f"The long download of {self.lease.run} yielded, because all workers but one are busy with "
                "older downloads. It resumes when one of them ends; more workers would help.",
                until=now + PAUSE,
            )


def _running_downloads(now: datetime) -> QuerySet[RunStep]:
    in_workers = RunStep.objects.filter(
        step=Step.RESULTS_STORAGE,
        result=StepResult.STARTED,
        run__status=Status.RUNNING,
        run__step=Step.RESULTS_STORAGE,
        run__wake_at__gt=now,
    )
    return in_workers.exclude(run__worker__endswith=FOREGROUND)
