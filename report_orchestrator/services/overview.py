"""Where everything stands, in a handful of grouped queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min

from report_orchestrator.models import Mark, ReportRun, ReportSchedule
from report_orchestrator.ports import Ports
from report_orchestrator.services.discovery import DISCOVERY_MARK
from report_orchestrator.services.maintenance import TICK_MARK
from report_orchestrator.services.pausing import all_are_paused

NEXT_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A moment's picture. Instants are aware UTC; None where there is nothing to tell."""

    reports: Mapping[str, int]
    paused: int
    all_paused: bool
    live_runs: Mapping[str, int]
    ended_last_day: Mapping[str, int]
    next_due: tuple[tuple[str, datetime], ...]
    oldest_live_run: datetime | None
    most_overdue: timedelta | None
    workers_alive: int
    last_tick: datetime | None
    last_discovery: datetime | None


def overview(*, ports: Ports) -> Overview:
    """Reads the picture."""
    now = ports.clock()
    live = ReportRun.objects.live()
    first_wake = live.aggregate(at=Min("wake_at"))["at"]
    return Overview(
        reports=_counts(ReportSchedule.objects.order_by().values_list("state").annotate(n=Count("pk"))),
        paused=ReportSchedule.objects.present().filter(paused_at__isnull=False).count(),
        all_paused=all_are_paused(),
        live_runs=_counts(live.order_by().values_list("status").annotate(n=Count("pk"))),
        ended_last_day=_counts(
            ReportRun.objects.ended()
            .filter(ended_at__gte=now - timedelta(days=1))
            .order_by()
            .values_list("status")
            .annotate(n=Count("pk"))
        ),
        next_due=_next_due(),
        oldest_live_run=live.aggregate(at=Min("created_at"))["at"],
        most_overdue=now - first_wake if first_wake is not None and first_wake < now else None,
        workers_alive=ports.queue.workers_alive(),
        last_tick=_marked_at(TICK_MARK),
        last_discovery=_marked_at(DISCOVERY_MARK),
    )


def _counts(rows: object) -> Mapping[str, int]:
    return dict(rows)  # type: ignore[call-overload, no-any-return]  # pairs of a word and a number


def _next_due() -> tuple[tuple[str, datetime], ...]:
    due = ReportSchedule.objects.filter(next_run_at__isnull=False).order_by("next_run_at")[:NEXT_SHOWN]
    return tuple((str(schedule), schedule.next_run_at) for schedule in due if schedule.next_run_at)


def _marked_at(name: str) -> datetime | None:
    return Mark.objects.filter(name=name).values_list("marked_at", flat=True).first()
