"""Plan and open runs for past times."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice

from django.db import transaction

from report_orchestrator.domain.cron import named_date, times_between
from report_orchestrator.domain.error_codes import ErrorCode, RefusalCode
from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.domain.wall_clock import utc_readings
from report_orchestrator.exceptions import InvalidReportError, LeaseLostError, NotPossibleError
from report_orchestrator.models import InterventionKind, ReportRun, ReportSchedule
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_run_event
from report_orchestrator.services.evidence.audit import record_interventions
from report_orchestrator.services.scheduling.create_runs import (
    Created,
    insert_runs,
    new_run,
    refuse_if_far_away,
    refuse_if_in_shadow,
    refuse_if_not_runnable,
)
from report_orchestrator.services.timetable.cron_zone import read_cron, run_date_of, zone_of

CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A time of a report to backfill. `skipped_run` is the primary key of its recorded skip, which will run after all."""

    schedule: ReportSchedule
    scheduled_for: datetime
    skipped_run: int | None = None

    @property
    def run_date(self) -> date:
        return run_date_of(self.schedule, self.scheduled_for)


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The days from `since` to `until`, both included, by each report's own calendar; times after `now` are left out."""

    since: date
    until: date
    now: datetime

    def __post_init__(self) -> None:
        """Refuse days that are years away by `NotPossibleError`."""
        for day in (self.since, self.until):
            refuse_if_far_away(day, self.now)

    def times_of(self, schedule: ReportSchedule) -> Iterator[datetime]:
        """Yield the times of a report's cron whose run date is one of these days.

        Raises:
            InvalidReportError: its cron or its zone is invalid.
        """
        cron, zone = read_cron(schedule.cron, report=str(schedule)), zone_of(schedule)
        first = min(utc_readings(datetime.combine(self.since, time()), zone))
        end = max(utc_readings(datetime.combine(self.until + timedelta(days=1), time()), zone))
        last = min(end, self.now - datetime.resolution)
        for moment in times_between(cron, zone, after=first - datetime.resolution, until=last):
            if self.since <= named_date(cron, zone, moment) <= self.until:
                yield moment


def plan_backfill(
    schedules: Sequence[ReportSchedule], days: Days, *, reverse: bool = False, limit: int | None = None
) -> list[Occurrence]:
    """Return the times of these reports on these days that have not run, oldest first; newest first with `reverse`.

    Times with a run, whatever its outcome, are left out, and so are times that another system served. Times recorded as
    skipped are included. So are times before a report was discovered, unless another report had its key then. The search
    stops at `limit` times.

    Raises:
        InvalidReportError: a report may not run, or has no cron.
    """
    missing = (occurrence for schedule in schedules for occurrence in _missing(schedule, days))
    return sorted(
        islice(missing, limit),
        key=lambda occurrence: (occurrence.scheduled_for, occurrence.schedule.pk),
        reverse=reverse,
    )


def _missing(schedule: ReportSchedule, days: Days) -> Iterator[Occurrence]:
    refuse_if_not_runnable(schedule)
    if not schedule.cron:
        raise InvalidReportError(
            f"{schedule} has no cron, so it has no times to backfill. Use run_report with --date.",
            code=ErrorCode.NO_CRON,
        )
    times = days.times_of(schedule)
    if schedule.has_predecessor:
        times = (moment for moment in times if moment > schedule.discovered_at)
    while chunk := list(islice(times, CHUNK)):
        runs = ReportRun.objects.filter(schedule=schedule, scheduled_for__in=chunk)
        known = {
            scheduled_for: (pk, status == Status.SKIPPED and trigger != Trigger.SHADOW)
            for pk, scheduled_for, status, trigger in runs.exclude(trigger=Trigger.MANUAL).values_list(
                "pk", "scheduled_for", "status", "trigger"
            )
        }
        for moment in chunk:
            pk, is_missing = known.get(moment, (None, True))
            if is_missing:
                yield Occurrence(schedule=schedule, scheduled_for=moment, skipped_run=pk)


def open_backfill(occurrences: Sequence[Occurrence], *, actor: str, runtime: Runtime, reason: str = "") -> Created:
    """Open runs for these times. Idempotent: times opened meanwhile are left alone."""
    now = runtime.clock()
    created = Created()
    runs = []
    covers = []
    for schedule in {occurrence.schedule for occurrence in occurrences}:
        refuse_if_in_shadow(schedule, runtime)
    with transaction.atomic(using=database_alias()):
        for occurrence in occurrences:
            if occurrence.skipped_run is not None:
                covers += _requeue_skipped(occurrence.skipped_run, actor, now, created)
                continue
            run = new_run(occurrence.schedule, occurrence.scheduled_for, now=now)
            run.trigger, run.triggered_by = Trigger.BACKFILL.value, actor[:150]
            runs.append(run)
        insert_runs(runs, created)
        insert_runs([record for cover in covers if (record := _rest_of(cover))], Created())
        record_interventions(created.run_ids, InterventionKind.BACKFILLED, actor=actor, reason=reason, now=now)
        runtime.queue.notify(created.run_ids)
    return created


def _requeue_skipped(run_id: int, actor: str, now: datetime, created: Created) -> list[ReportRun]:
    """Make a run of a skip. Return the skip as it was if it covered other times too."""
    run = ReportRun.objects.select_related("schedule").filter(pk=run_id, status=Status.SKIPPED).first()
    if run is None:
        return []
    skip = copy(run)
    try:
        run.write(
            status=Status.QUEUED.value,
            trigger=Trigger.BACKFILL.value,
            triggered_by=actor[:150],
            wake_at=now,
            ended_at=None,
            error_code="",
            error="",
        )
    except LeaseLostError:
        return []
    created.runs += 1
    created.run_ids.append(run.pk)
    emit_run_event("run_opened", run, scheduled_for=run.scheduled_for, trigger=run.trigger)
    return [skip] if skip.error_code == ErrorCode.BEYOND_LOOKBACK else []


def _rest_of(cover: ReportRun) -> ReportRun | None:
    """Return an unsaved record of the times that a skip covered and that are neither runs nor skips; None if none is left.

    Every time until its creation that has no row is one of them.
    """
    schedule = cover.schedule
    cron, zone = read_cron(schedule.cron, report=str(schedule)), zone_of(schedule)
    times = times_between(cron, zone, after=cover.scheduled_for, until=cover.created_at)
    while chunk := list(islice(times, CHUNK)):
        recorded = ReportRun.objects.filter(schedule=schedule, scheduled_for__in=chunk).exclude(trigger=Trigger.MANUAL)
        known = set(recorded.values_list("scheduled_for", flat=True))
        for moment in chunk:
            if moment not in known:
                record = new_run(schedule, moment, now=cover.created_at)
                record.status, record.wake_at, record.ended_at = Status.SKIPPED.value, None, cover.ended_at
                record.error_code, record.error = cover.error_code, cover.error
                return record
    return None


def find_schedules(keys: Sequence[str], runtime: Runtime) -> list[ReportSchedule]:
    """Return the reports with these keys, in their order and each once.

    Raises:
        NotPossibleError: one of them is no report.
    """
    rows = ReportSchedule.objects.filter(report_model=runtime.reports.label, report_key__in=keys)
    known = {row.report_key: row for row in rows}
    if missing := [key for key in keys if key not in known]:
        raise NotPossibleError(
            f"Report {', '.join(missing)} does not exist in {runtime.reports.label}. Run discover_reports "
            "if it is new.",
            code=RefusalCode.NO_SUCH_REPORT,
        )
    return [known[key] for key in dict.fromkeys(keys)]
