"""A download that lasts gives way before downloads take every worker, so that ticks, polls and submissions go on.

Nearly all downloads are done in less than `YOUNG`, and no rule holds them up. One that lasts looks around now and then: where
as many older ones are under way as there are places, it leaves, and is tried again when a place is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.exceptions import GaveWayError
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.ports import Ports
from report_orchestrator.services.outcomes import Lease

YOUNG = timedelta(seconds=5)
"""How long a download goes on before it looks around, and how often it then does."""
BY_HAND = ":by-hand"
"""How the name of a lease ends that no worker of a cluster holds: its download takes no worker's time."""
PAUSE = timedelta(seconds=30)
"""How long a download that gave way waits before it looks for a place."""


def places(ports: Ports) -> int:
    """How many downloads may last at a time: all workers but one. A single worker has nobody to give way to.

    A broker that is away ends no download: what is configured then stands for what is alive.
    """
    workers = max(ports.queue.workers_alive() or 0, ports.queue.workers_configured())
    return max(workers - 1, 1)


def stays_out(run: ReportRun, *, ports: Ports) -> bool:
    """Whether this run's download is known to last, and there is still no place for it.

    Those that have just begun take no place yet: where short ones come and go all day long, it would never begin. A run whose
    worker was lost waits for nothing: until it is rescued it is under way itself.
    """
    known_to_last = run.status == Status.UP_FOR_RETRY and run.error_code == GaveWayError.code
    if not known_to_last:
        return False
    now = ports.clock()
    return _under_way(now).filter(started_at__lte=now - YOUNG).count() >= places(ports)


@dataclass(slots=True, kw_only=True)
class Considerate:
    """Keeps a run's lease, and has its download give way where it must."""

    lease: Lease
    ports: Ports
    looks_at: datetime

    def keep(self) -> None:
        """Called for every piece of a result.

        Raises:
            LeaseLostError: another worker has the run.
            GaveWayError: the download has to leave its worker to others.
        """
        self.lease.keep()
        now = self.ports.clock()
        if now < self.looks_at:
            return
        self.looks_at = now + YOUNG
        if _older_than(self.lease.attempt, now).count() >= places(self.ports):
            raise GaveWayError(
                f"The download of {self.lease.run} lasts, and all workers but one were busy with older downloads. "
                "It gave way, and goes on by itself when one of them is done; more workers would help.",
                until=now + PAUSE,
            )


def considerate(lease: Lease, *, ports: Ports) -> Considerate:
    """The keeper of a run that has just been claimed by a worker."""
    return Considerate(lease=lease, ports=ports, looks_at=ports.clock() + YOUNG)


def _under_way(now: datetime) -> QuerySet[RunStep]:
    """In workers; without those whose worker was lost and is missed by now."""
    in_workers = RunStep.objects.filter(
        step=Step.RESULTS_STORAGE,
        result=StepResult.STARTED,
        run__status=Status.RUNNING,
        run__step=Step.RESULTS_STORAGE,
        run__wake_at__gt=now,
    )
    return in_workers.exclude(run__worker__endswith=BY_HAND)


def _older_than(attempt: RunStep, now: datetime) -> QuerySet[RunStep]:
    earlier = Q(started_at__lt=attempt.started_at) | Q(started_at=attempt.started_at, pk__lt=attempt.pk)
    return _under_way(now).filter(earlier)
