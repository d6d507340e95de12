"""What became of a report's runs: the last of many reports at once, and one report's year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median

from django.db.models import Count, F, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.models.instants import InstantField
from report_orchestrator.services.reading.day import Fate, fate_of

RUNS_SHOWN = 20
LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run in short."""

    pk: int
    status: str
    scheduled_for: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def fate(self) -> Fate:
        """What became of it."""
        return fate_of(self.status)

    @property
    def took(self) -> timedelta | None:
        """From its first start to its end; None where it has not both."""
        return self.ended_at - self.started_at if self.started_at and self.ended_at else None


def last_runs_of(schedules: Sequence[int]) -> Mapping[int, Sequence[PastRun]]:
    """The last `RUNS_SHOWN` runs of each report, the oldest first. One query.

    It looks up each report's twentieth run in `ro_run_history_idx` and reads from there on, whatever the length of its history.
    """
    twentieth = ReportRun.objects.filter(schedule=OuterRef("pk")).order_by("-scheduled_for")
    since = Subquery(twentieth.values("scheduled_for")[RUNS_SHOWN - 1 : RUNS_SHOWN])
    rows = (
        ReportSchedule.objects.filter(pk__in=schedules)
        .annotate(since=Coalesce(since, Value(LONG_AGO, output_field=InstantField())))
        .filter(runs__scheduled_for__gte=F("since"))
        .order_by()
        .values_list(
            "pk", "runs__pk", "runs__status", "runs__scheduled_for", "runs__started_at", "runs__ended_at"
        )
    )
    found: dict[int, list[PastRun]] = {}
    for schedule, *columns in rows:
        found.setdefault(schedule, []).append(_past(columns))
    return {
        schedule: sorted(runs, key=lambda run: (run.scheduled_for, run.pk))[-RUNS_SHOWN:]
        for schedule, runs in found.items()
    }


def last_runs(schedule: int, count: int) -> list[PastRun]:
    """The last runs of one report, the oldest first."""
    rows = ReportRun.objects.filter(schedule=schedule).order_by("-scheduled_for", "-pk")
    columns = rows.values_list("pk", "status", "scheduled_for", "started_at", "ended_at")[:count]
    return [_past(list(row)) for row in reversed(columns)]


def _past(columns: Sequence[object]) -> PastRun:
    names = ("pk", "status", "scheduled_for", "started_at", "ended_at")
    return PastRun(**dict(zip(names, columns, strict=True)))  # type: ignore[arg-type]


def typical_duration(runs: Sequence[PastRun]) -> timedelta | None:
    """The median of those that succeeded; None before the first."""
    spans = [
        run.took.total_seconds() for run in runs if run.status == Status.SUCCEEDED and run.took is not None
    ]
    return timedelta(seconds=median(spans)) if spans else None


def days_of(schedule: int, since: datetime) -> Mapping[date, Mapping[Fate, int]]:
    """What became of one report's runs on each day, by their run dates. One query, answered by `ro_run_history_idx` alone."""
    rows = (
        ReportRun.objects.filter(schedule=schedule, scheduled_for__gte=since)
        .order_by()
        .values_list("run_date", "status")
        .annotate(n=Count("*"))
    )
    days: dict[date, dict[Fate, int]] = {}
    for day, status, count in rows:
        fates = days.setdefault(day, {})
        fate = fate_of(status)
        fates[fate] = fates.get(fate, 0) + count
    return days


def live_run_of(schedule: int) -> int | None:
    """A scheduled run of a report that has not ended: the one that `OVERLAP` speaks of."""
    live = ReportRun.objects.filter(~Q(trigger="manual"), schedule=schedule, wake_at__isnull=False)
    return live.order_by("-scheduled_for").values_list("pk", flat=True).first()
