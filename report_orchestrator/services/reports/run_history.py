"""Past runs: the latest of many reports at once, and one report's year."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median

from django.db.models import Count, F, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from report_orchestrator.domain.runs import Status, working_time
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.models.instants import InstantField
from report_orchestrator.services.monitoring.hourly_outcomes import StatusGroup, status_group

RUNS_READ = 60
TYPICAL_OF = 20
LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)
COLUMNS = ("pk", "status", "scheduled_for", "started_at", "ended_at", "idle")


@dataclass(frozen=True, slots=True)
class PastRun:
    pk: int
    status: str
    scheduled_for: datetime
    started_at: datetime | None
    ended_at: datetime | None
    idle: timedelta | None

    @property
    def status_group(self) -> StatusGroup:
        return status_group(self.status)

    @property
    def duration(self) -> timedelta | None:
        """The working time of `ReportRun.duration`; None before its end."""
        return working_time(self.started_at, self.ended_at, self.idle)


def recent_runs_by_schedule(schedules: Collection[int]) -> Mapping[int, Sequence[PastRun]]:
    """Return the last `RUNS_READ` runs of each report, the oldest first. One query.

    It looks up each report's sixtieth run in `ro_run_history_idx` and reads on from there, however long its history.
    """
    newest = ReportRun.objects.filter(schedule=OuterRef("pk")).order_by("-scheduled_for")
    since = Subquery(newest.values("scheduled_for")[RUNS_READ - 1 : RUNS_READ])
    rows = (
        ReportSchedule.objects.filter(pk__in=schedules)
        .annotate(since=Coalesce(since, Value(LONG_AGO, output_field=InstantField())))
        .filter(runs__scheduled_for__gte=F("since"))
        .order_by()
        .values_list("pk", *(f"runs__{column}" for column in COLUMNS))
    )
    runs_of: dict[int, list[PastRun]] = {}
    for schedule, *values in rows:
        runs_of.setdefault(schedule, []).append(PastRun(*values))
    return {
        schedule: sorted(runs, key=lambda run: (run.scheduled_for, run.pk))[-RUNS_READ:]
        for schedule, runs in runs_of.items()
    }


def recent_runs(schedule: int, count: int = RUNS_READ) -> list[PastRun]:
    rows = ReportRun.objects.filter(schedule=schedule).order_by("-scheduled_for", "-pk")
    return [PastRun(*values) for values in reversed(rows.values_list(*COLUMNS)[:count])]


def typical_duration(runs: Sequence[PastRun]) -> timedelta | None:
    """Return the median of the last `TYPICAL_OF` runs that succeeded; None before the first.

    `runs` are the last `RUNS_READ` of the report, oldest first, wherever it is shown.
    """
    durations = _last_durations(runs)
    return timedelta(seconds=median(durations)) if durations else None


def long_duration(runs: Sequence[PastRun]) -> timedelta | None:
    """Return the duration that nine of ten of the same runs did not exceed."""
    durations = sorted(_last_durations(runs))
    return timedelta(seconds=durations[-(-9 * len(durations) // 10) - 1]) if durations else None


def _last_durations(runs: Sequence[PastRun]) -> list[float]:
    """Return the seconds of the last `TYPICAL_OF` runs that succeeded."""
    succeeded = [run.duration for run in runs if run.status == Status.SUCCEEDED]
    return [span.total_seconds() for span in succeeded if span is not None][-TYPICAL_OF:]


def counts_by_day(schedule: int, since: datetime) -> Mapping[date, Mapping[StatusGroup, int]]:
    """Count one report's runs by run date and outcome. One query, on `ro_run_history_idx` alone."""
    rows = (
        ReportRun.objects.filter(schedule=schedule, scheduled_for__gte=since)
        .order_by()
        .values_list("run_date", "status")
        .annotate(n=Count("*"))
    )
    days: dict[date, Counter[StatusGroup]] = {}
    for day, status, count in rows:
        days.setdefault(day, Counter())[status_group(status)] += count
    return days


def unfinished_scheduled_run(schedule: int) -> int | None:
    """Return the key of the report's latest scheduled run that has not ended, to which `OVERLAP` applies."""
    unfinished = ReportRun.objects.unfinished().on_schedule().filter(schedule=schedule)
    return unfinished.order_by("-scheduled_for").values_list("pk", flat=True).first()
