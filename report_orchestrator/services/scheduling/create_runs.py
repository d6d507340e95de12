"""Create runs: for due times, for skipped ones, and those that a person starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from report_orchestrator.domain.error_codes import ErrorCode, RefusalCode
from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.exceptions import InvalidReportError, NotPossibleError, ReportNotFoundError
from report_orchestrator.models import InterventionKind, ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_run_event
from report_orchestrator.services.evidence.audit import record_interventions
from report_orchestrator.services.timetable.cron_zone import run_date_of, zone_or_default
from report_orchestrator.services.timetable.due_times import Skip

BATCH = 500

YEARS_AWAY = 10
"""Dates further away are typing errors: a run far in the future would remain the report's latest."""

SKIP_REASONS: Mapping[str, str] = {
    ErrorCode.MISSED: (
        "This time was missed: the scheduler was not running, or the report was paused or disabled. "
        "Run or backfill it if you still need it."
    ),
    ErrorCode.OVERLAP: (
        "The report's previous run was still in progress at this time, and OVERLAP is set to skip. "
        "Run or backfill it if you still need it."
    ),
    ErrorCode.BEYOND_LOOKBACK: (
        "The scheduler was not running from this time until {until:%Y-%m-%d %H:%M %Z}, further back than "
        "MAX_LOOKBACK_SECONDS. This record covers all times in between: backfill those you still need."
    ),
}


@dataclass(slots=True, kw_only=True)
class Created:
    """Counts of the runs created and of the times recorded as skipped. Incomplete if time was up before all was decided."""

    runs: int = 0
    skipped: int = 0
    is_complete: bool = True
    run_ids: list[int] = field(default_factory=list)


def new_run(
    schedule: ReportSchedule,
    scheduled_for: datetime,
    *,
    now: datetime,
    in_line: bool = False,
    run_date: date | None = None,
) -> ReportRun:
    """Return an unsaved queued run. With `in_line` it starts only after the report's earlier runs have ended.

    `run_date` is that of `run_date_of` by default.
    """
    return ReportRun(
        schedule=schedule,
        report_key=schedule.report_key,
        report_name=schedule.name,
        trigger=Trigger.SCHEDULED.value,
        scheduled_for=scheduled_for,
        run_date=run_date or run_date_of(schedule, scheduled_for),
        priority=schedule.priority,
        in_line=in_line,
        status=Status.QUEUED.value,
        wake_at=now,
        created_at=now,
    )


def new_skipped_run(schedule: ReportSchedule, skip: Skip, *, now: datetime) -> ReportRun:
    run = new_run(schedule, skip.scheduled_for, now=now)
    run.status, run.wake_at, run.ended_at = Status.SKIPPED.value, None, now
    until = skip.covers_until and skip.covers_until.astimezone(timezone.get_default_timezone())
    run.error_code, run.error = skip.reason, SKIP_REASONS[skip.reason].format(until=until)
    return run


def insert_runs(runs: Sequence[ReportRun], created: Created) -> None:
    """Insert the runs whose occurrence has none yet: the database's unique constraint decides."""
    if not runs:
        return
    ReportRun.objects.bulk_create(runs, ignore_conflicts=True, batch_size=BATCH)
    for run in _inserted(runs):
        if run.status == Status.SKIPPED:
            created.skipped += 1
            emit_run_event("run_skipped", run, scheduled_for=run.scheduled_for, reason=run.error_code)
        else:
            created.runs += 1
            created.run_ids.append(run.pk)
            emit_run_event("run_opened", run, scheduled_for=run.scheduled_for, trigger=run.trigger)


def _inserted(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """Return the runs that were inserted, with their primary keys; the others' occurrences had a run already."""
    keys: dict[UUID, int] = {}
    for start in range(0, len(runs), BATCH):
        inserted = ReportRun.objects.filter(reference__in=[run.reference for run in runs[start : start + BATCH]])
        keys.update(inserted.values_list("reference", "pk"))
    created = [run for run in runs if run.reference in keys]
    for run in created:
        run.pk = keys[run.reference]
    return sorted(created, key=lambda run: run.pk)


def open_manual_run(
    schedule: ReportSchedule,
    *,
    run_date: date | None,
    requested_by: str,
    runtime: Runtime,
    notify: bool = True,
    reason: str = "",
    reference: UUID | None = None,
) -> ReportRun:
    """Create a run that a person requested. It has an occurrence of its own: two calls create two runs.

    `run_date` is in the report's zone; None means today. With `notify=False` no worker is notified: the caller does the
    work. A caller that may repeat a request by mistake, such as a form, passes the same `reference` to create one run.

    Raises:
        InvalidReportError: the report is disabled or removed. A quarantined one may run, and its run shows the error.
        NotPossibleError: a run with this `reference` exists, or the date is more than `YEARS_AWAY` years away.
    """
    refuse_if_not_runnable(schedule)
    refuse_if_in_shadow(schedule, runtime)
    now = runtime.clock()
    if run_date is not None:
        refuse_if_far_away(run_date, now)
    zone = zone_or_default(schedule)
    scheduled_for = now if run_date is None else datetime.combine(run_date, time(), tzinfo=zone)
    run = new_run(schedule, scheduled_for, now=now, run_date=run_date or now.astimezone(zone).date())
    run.trigger = Trigger.MANUAL.value
    run.triggered_by = requested_by[:150]
    run.reference = reference or uuid4()
    with transaction.atomic(using=database_alias()):
        _insert_once(run)
        record_interventions([run.pk], InterventionKind.OPENED, actor=requested_by, reason=reason, now=now)
        emit_run_event("run_opened", run, trigger=run.trigger, triggered_by=run.triggered_by, reason=reason)
        if notify:
            runtime.queue.notify([run.pk])
    return run


def _insert_once(run: ReportRun) -> None:
    try:
        with transaction.atomic(using=database_alias()):
            run.save(force_insert=True)
    except IntegrityError as error:
        if not ReportRun.objects.filter(reference=run.reference).exists():
            raise
        raise NotPossibleError(
            f"This run of {run.report} already exists. Nothing was created.", code=RefusalCode.OPENED_ALREADY
        ) from error


def refuse_if_not_runnable(schedule: ReportSchedule) -> None:
    """Raise `InvalidReportError` for a report that is disabled in the host or removed from it."""
    if schedule.state == ScheduleState.REMOVED:
        raise ReportNotFoundError(f"{schedule} is no longer in the project. Check the ID.")
    if schedule.state == ScheduleState.DISABLED:
        raise InvalidReportError(
            f"{schedule} is disabled in the project. Enable it on its page there, then run it.", code=ErrorCode.DISABLED
        )


def refuse_if_in_shadow(schedule: ReportSchedule, runtime: Runtime) -> None:
    """Raise `InvalidReportError` for a report that another system serves now."""
    if not schedule.is_live_at(runtime.clock(), unless_switched=not runtime.settings.shadow):
        raise InvalidReportError(
            f"{schedule} is in shadow: another system runs it. Run it there, or switch it with switch_reports live.",
            code=ErrorCode.SHADOW,
        )


def is_far_away(day: date, now: datetime) -> bool:
    return abs(day.year - now.year) > YEARS_AWAY


def refuse_if_far_away(day: date, now: datetime) -> None:
    """Raise `NotPossibleError` for a day that must be a typing error."""
    if is_far_away(day, now):
        raise NotPossibleError(
            f"{day} is more than {YEARS_AWAY} years away. Check the year. Nothing was created.",
            code=RefusalCode.FAR_AWAY,
        )
