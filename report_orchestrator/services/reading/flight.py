"""Runs that have not ended: where they stand, and since when the next of them has been due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Min, QuerySet, Subquery

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import LIVE, Status, Step
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.services.gate import MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Runs of one status at one step; `wake_at` is the earliest instant at which one of them must be looked at."""

    status: Status
    step: Step
    count: int
    wake_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """All that is under way."""

    places: tuple[Place, ...]

    def count(self, *statuses: Status) -> int:
        """Runs of these statuses."""
        return sum(place.count for place in self.places if place.status in statuses)

    @property
    def jobs_in_fireant(self) -> int:
        """Jobs that Fireant has, or is about to get, as its limit counts them."""
        return sum(place.count for place in self.places if _is_in_fireant(place))

    @property
    def storing_again(self) -> int:
        """Runs whose result could not be stored, and that are tried again."""
        retried = (place for place in self.places if place.status is Status.UP_FOR_RETRY)
        return sum(place.count for place in retried if place.step is Step.RESULTS_STORAGE)

    @property
    def held_until(self) -> datetime | None:
        """When the first of the leases ends, or has ended; None where no worker holds a run."""
        return min((place.wake_at for place in self.places if place.status is Status.RUNNING), default=None)

    @property
    def waiting_since(self) -> datetime | None:
        """The earliest instant at which a run that no worker holds is looked at, though it may wait on purpose."""
        free = (place.wake_at for place in self.places if place.status is not Status.RUNNING)
        return min(free, default=None)

    @property
    def queued_since(self) -> datetime | None:
        """Since when the longest waiting run could have started."""
        queued = (place.wake_at for place in self.places if place.status is Status.QUEUED)
        return min(queued, default=None)


def _is_in_fireant(place: Place) -> bool:
    if place.step is Step.EXTERNAL_JOB_SUBMISSION:
        return place.status is Status.RUNNING
    return place.step in {Step.LOCAL_JOB_RECORD, Step.JOB_COMPLETION_STATUS}


def in_flight() -> Flight:
    """One query, answered by `ro_run_wake_idx` alone."""
    rows: Sequence[tuple[str, str, int, datetime]] = list(
        ReportRun.objects.filter(wake_at__isnull=False, status__in=sorted(LIVE))
        .order_by("status", "step")
        .values_list("status", "step")
        .annotate(n=Count("*"), first=Min("wake_at"))
    )
    return Flight(
        places=tuple(
            Place(status=Status(status), step=Step(step), count=count, wake_at=wake_at)
            for status, step, count, wake_at in rows
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestWork:
    """What was last done for others: a result stored, and submissions in the last minute where they are limited."""

    delivered_at: datetime | None = None
    submitted: int | None = None


def latest_work(now: datetime, settings: Settings) -> LatestWork:
    """One query of two index lookups; before the first run there is nothing to tell."""
    delivered = ReportRun.objects.filter(status=Status.SUCCEEDED, ended_at__isnull=False)
    told: dict[str, Subquery] = {
        "delivered_at": Subquery(delivered.order_by("-ended_at").values("ended_at")[:1])
    }
    if settings.fireant_max_submits_per_minute:
        told["submitted"] = Subquery(_submissions(now))
    row = ReportRun.objects.order_by("-pk").values(**told)[:1]
    return LatestWork(**row[0]) if row else LatestWork()


def _submissions(now: datetime) -> QuerySet[RunStep, Any]:
    recent = RunStep.objects.filter(step=Step.EXTERNAL_JOB_SUBMISSION, started_at__gt=now - MINUTE).order_by()
    return recent.annotate(one=F("step")).values("one").annotate(n=Count("*")).values("n")
