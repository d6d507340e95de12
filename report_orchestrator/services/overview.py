"""Where everything stands, in a handful of grouped queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, QuerySet

from report_orchestrator.conf import Settings
from report_orchestrator.models import Mark, ReportRun, ReportSchedule
from report_orchestrator.ports import Ports
from report_orchestrator.services.discovery import DISCOVERY_MARK
from report_orchestrator.services.lateness import lateness
from report_orchestrator.services.maintenance import TICK_MARK
from report_orchestrator.services.pausing import ALL
from report_orchestrator.services.reading.vitals import Pause, pause_of

NEXT_SHOWN = 5
PAUSED_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """What a person stopped, since when and why; actor and reason may be empty texts. `report` is None for all of them."""

    report: str | None
    since: datetime | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A moment's picture. Instants are aware UTC; None where there is nothing to tell.

    `paused` counts the reports that were stopped one by one; `pauses` names who stopped all of them, then the newest of those.
    `workers_alive` is None where the queue or the cache is away.
    """

    reports: Mapping[str, int]
    paused: int
    all_paused: bool
    pauses: tuple[Paused, ...]
    live_runs: Mapping[str, int]
    ended_last_day: Mapping[str, int]
    next_due: tuple[tuple[str, datetime], ...]
    oldest_live_run: datetime | None
    most_overdue: timedelta | None
    workers_alive: int | None
    last_tick: datetime | None
    last_discovery: datetime | None


def overview(*, ports: Ports, settings: Settings) -> Overview:
    """Reads the picture. The settings say which runs wait on purpose."""
    now = ports.clock()
    live = ReportRun.objects.live()
    everything = pause_of(Mark.objects.in_bulk([ALL]))
    return Overview(
        reports=_counts(ReportSchedule.objects.order_by().values_list("state").annotate(n=Count("pk"))),
        paused=_paused().count(),
        all_paused=everything is not None,
        pauses=tuple(_pauses(everything)),
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
        most_overdue=lateness(now, settings),
        workers_alive=ports.queue.workers_alive(),
        last_tick=_marked_at(TICK_MARK),
        last_discovery=_marked_at(DISCOVERY_MARK),
    )


def _paused() -> QuerySet[ReportSchedule]:
    return ReportSchedule.objects.present().filter(paused_at__isnull=False).order_by("-paused_at", "pk")


def _pauses(everything: Pause | None) -> Iterator[Paused]:
    if everything is not None:
        yield Paused(report=None, since=everything.since, by=everything.actor, reason=everything.reason)
    for row in _paused()[:PAUSED_SHOWN]:
        yield Paused(report=str(row), since=row.paused_at, by=row.paused_by, reason=row.pause_reason)


def _counts(rows: object) -> Mapping[str, int]:
    return dict(rows)  # type: ignore[call-overload, no-any-return]  # pairs of a word and a number


def _next_due() -> tuple[tuple[str, datetime], ...]:
    due = ReportSchedule.objects.filter(next_run_at__isnull=False).order_by("next_run_at")[:NEXT_SHOWN]
    return tuple((str(schedule), schedule.next_run_at) for schedule in due if schedule.next_run_at)


def _marked_at(name: str) -> datetime | None:
    return Mark.objects.filter(name=name).values_list("marked_at", flat=True).first()
