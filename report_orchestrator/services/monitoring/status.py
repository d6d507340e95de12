"""The values of `orchestrator_status`: the snapshot and a few grouped queries."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min

from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.monitoring.failure_groups import RECENTLY
from report_orchestrator.services.monitoring.findings import Finding, worker_finding
from report_orchestrator.services.monitoring.snapshot import Pause, read_snapshot
from report_orchestrator.services.scheduling.evaluations import EvaluatedSpan, spans_of

NEXT_SHOWN = 5
PAUSED_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSummary:
    """The JSON of `orchestrator_status`, by field name. Instants are aware UTC, and None where there is none.

    `workers` is the finding of health; `workers_alive` counts the processes, and is None if the database does not
    respond. `pauses` lists the pause of all reports first, then the newest pauses of single reports. `evaluations` are the spans
    in which the scheduler checked for due reports, the latest first.
    """

    approach: str
    reports: Mapping[str, int]
    paused: int
    in_shadow: int
    all_paused: bool
    pauses: Sequence[Pause]
    live_runs: Mapping[str, int]
    ended_last_day: Mapping[str, int]
    next_due: Sequence[Mapping[str, object]]
    oldest_live_run: datetime | None
    most_overdue_seconds: timedelta | None
    workers: Finding
    workers_alive: int | None
    last_tick: datetime | None
    evaluations: Sequence[EvaluatedSpan]
    last_discovery: datetime | None


def read_status_summary(*, runtime: Runtime) -> StatusSummary:
    snapshot = read_snapshot(runtime.clock(), runtime.configured, report_model=runtime.reports.label)
    reports, live_runs = Counter[str](), Counter[str]()
    for row in snapshot.schedule_counts:
        reports[row.state.value] += row.count
    for group in snapshot.unfinished_runs.groups:
        live_runs[group.status.value] += group.count
    ended = ReportRun.objects.ended().filter(ended_at__gte=snapshot.now - RECENTLY).order_by()
    paused = ReportSchedule.objects.present().filter(paused_at__isnull=False).order_by("-paused_at", "pk")
    pauses = [
        Pause(report=str(row), since=row.paused_at, by=row.paused_by, reason=row.pause_reason)
        for row in paused[:PAUSED_SHOWN]
    ]
    due = ReportSchedule.objects.filter(next_run_at__isnull=False).order_by("next_run_at")[:NEXT_SHOWN]
    return StatusSummary(
        approach=snapshot.settings.scheduling_approach,
        reports=dict(reports),
        paused=snapshot.paused_reports,
        in_shadow=snapshot.reports_in_shadow,
        all_paused=snapshot.pause is not None,
        pauses=[*([snapshot.pause] if snapshot.pause else []), *pauses],
        live_runs=dict(live_runs),
        ended_last_day=dict(ended.values_list("status").annotate(n=Count("pk"))),
        next_due=[{"report": str(schedule), "at": schedule.next_run_at} for schedule in due],
        oldest_live_run=ReportRun.objects.unfinished().aggregate(at=Min("created_at"))["at"],
        most_overdue_seconds=snapshot.longest_overdue,
        workers=worker_finding(snapshot),
        workers_alive=runtime.queue.workers_alive(),
        last_tick=snapshot.scheduler.last_seen_at,
        evaluations=spans_of(SharedState.objects.filter(name=StateName.EVALUATIONS).first())[::-1],
        last_discovery=snapshot.discovered_at,
    )
