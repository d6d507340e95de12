"""Failed runs that can be retried, grouped by error code and step."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Left

from report_orchestrator.domain.runs import RETRYABLE_BY_PERSON, Step
from report_orchestrator.models import ReportRun
from report_orchestrator.models.instants import InstantField

MAX_COUNTED = 10_000
"""Failures beyond this number are not counted."""
ERROR_SHOWN = 300  # characters
RECENTLY = timedelta(days=1)
"""How far back a failure needs attention, on every page and in every command."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Runs that failed with one error code at one step; `error` is the message of one of them.

    `schedule` and `report_key` are those of one of their `reports` reports.
    """

    code: str
    step: Step
    count: int
    first_at: datetime
    last_at: datetime
    error: str
    reports: int
    schedule: int
    report_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroups:
    groups: tuple[FailureGroup, ...]

    @property
    def count(self) -> int:
        return sum(group.count for group in self.groups)

    @property
    def is_capped(self) -> bool:
        return self.count >= MAX_COUNTED


def failed_since(since: datetime) -> QuerySet[ReportRun]:
    """Return the runs that failed or timed out at `since` or later and were not retried."""
    return ReportRun.objects.filter(status__in=sorted(RETRYABLE_BY_PERSON), ended_at__gte=since)


def failures_since(since: datetime) -> FailureGroups:
    """Group the newest of these runs. One query, on `ro_run_stopped_idx`."""
    failed = failed_since(since)
    oldest = Subquery(failed.order_by("-ended_at").values("ended_at")[MAX_COUNTED - 1 : MAX_COUNTED])
    rows = (
        failed.filter(ended_at__gte=Coalesce(oldest, Value(since, output_field=InstantField())))
        .order_by()
        .values_list("error_code", "step")
        .annotate(
            n=Count("*"),
            first_at=Min("ended_at"),
            last_at=Max("ended_at"),
            example=Max(Left("error", ERROR_SHOWN)),
            reports=Count("schedule", distinct=True),
            a_schedule=Max("schedule"),
            a_key=Max("report_key"),
        )
    )
    groups = [FailureGroup(code, Step(step), *values) for code, step, *values in rows]
    return FailureGroups(groups=tuple(sorted(groups, key=lambda group: (-group.count, group.code))))
