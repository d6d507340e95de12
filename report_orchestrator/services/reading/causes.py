"""What failed and waits for a person, grouped by what it failed of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Min
from django.db.models.functions import Left

from report_orchestrator.domain.runs import RETRYABLE_BY_PERSON, Step
from report_orchestrator.models import ReportRun

COUNTED_AT_MOST = 10_000
"""More failures than this are not counted: whoever has them needs no exact number."""
ERROR_SHOWN = 300  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Runs that failed in the same way at the same step. `error` is what one of them says."""

    code: str
    step: Step
    count: int
    first_at: datetime
    last_at: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """All of them, the most frequent first; `is_capped` where there are more than were counted."""

    causes: tuple[Cause, ...]

    @property
    def count(self) -> int:
        """The runs, all causes together."""
        return sum(cause.count for cause in self.causes)

    @property
    def is_capped(self) -> bool:
        """Whether there may be more."""
        return self.count >= COUNTED_AT_MOST


def stopped_since(since: datetime) -> Stopped:
    """Runs that failed or timed out since then and have not been retried. One query, of rows named by `ro_run_stopped_idx`."""
    newest = ReportRun.objects.filter(status__in=sorted(RETRYABLE_BY_PERSON), ended_at__gte=since)
    capped = newest.order_by("-ended_at").values("pk")[:COUNTED_AT_MOST]
    rows = (
        ReportRun.objects.filter(pk__in=capped)
        .order_by()
        .values_list("error_code", "step")
        .annotate(
            n=Count("*"),
            first_at=Min("ended_at"),
            last_at=Max("ended_at"),
            example=Max(Left("error", ERROR_SHOWN)),
        )
    )
    return Stopped(causes=tuple(sorted(_causes(rows), key=lambda cause: (-cause.count, cause.code))))


def _causes(rows: object) -> Iterator[Cause]:
    for code, step, count, first_at, last_at, error in rows:  # type: ignore[attr-defined]
        yield Cause(code=code, step=Step(step), count=count, first_at=first_at, last_at=last_at, error=error)
