"""The values of `orchestrator_status`: the snapshot and a few grouped queries."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min
from django.utils import timezone

from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.monitoring.dashboard import read_dashboard
from report_orchestrator.services.monitoring.failure_groups import RECENTLY
from report_orchestrator.services.monitoring.findings import Finding, worker_finding
from report_orchestrator.services.monitoring.snapshot import Pause
from report_orchestrator.services.monitoring.verdict import StatusProblem, problems_of, verdict_of
from report_orchestrator.services.scheduling.evaluations import EvaluatedSpan, spans_of

NEXT_SHOWN = 5
PAUSED_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedTogether:
    """Reports that one person paused for one reason; `since` is the first pause, and `report` the name of a lone one."""

    count: int
    report: str
    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSummary:
    """The JSON of `orchestrator_status`, by field name. Instants are aware UTC, and None where there is none.

    `verdict` is one line, and each of `problems` has its remedy. `workers` is the finding of health; `workers_alive` counts the
    processes, and is None if the database does not respond. `pauses` lists the pause of all reports first, then the newest
    pauses of single reports. `evaluations` are the spans in which the scheduler checked for due reports, the latest first.
    """

    verdict: str
    problems: Sequence[StatusProblem]
    approach: str
    reports: Mapping[str, int]
    paused: int
    in_shadow: int
    all_paused: bool
    pauses: Sequence[Pause]
    paused_together: Sequence[PausedTogether]
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
    dashboard = read_dashboard(
        runtime.clock(), timezone.get_default_timezone(), runtime.configured, report_model=runtime.reports.label
    )
    snapshot = dashboard.snapshot
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
        verdict=verdict_of(dashboard),
        problems=problems_of(dashboard),
        approach=snapshot.settings.scheduling_approach,
        reports=dict(reports),
        paused=snapshot.paused_reports,
        in_shadow=snapshot.reports_in_shadow,
        all_paused=snapshot.pause is not None,
        pauses=[*([snapshot.pause] if snapshot.pause else []), *pauses],
        paused_together=_paused_together(),
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


def _paused_together() -> list[PausedTogether]:
    """Return the largest groups, the latest first among those of one size. Two queries."""
    groups = list(
        ReportSchedule.objects.present()
        .filter(paused_at__isnull=False)
        .order_by()
        .values_list("paused_by", "pause_reason")
        .annotate(n=Count("pk"), since=Min("paused_at"), one=Min("pk"))
        .order_by("-n", "-since")[:PAUSED_SHOWN]
    )
    alone = ReportSchedule.objects.in_bulk([one for _by, _reason, count, _since, one in groups if count == 1])
    return [
        PausedTogether(count=count, report=str(alone.get(one, "")), since=since, by=by, reason=reason)
        for by, reason, count, since, one in groups
    ]
