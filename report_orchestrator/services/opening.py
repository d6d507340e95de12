"""The only place that opens a run: for a time that came, by a person's hand, or for a time of the past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, tzinfo
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.exceptions import InvalidReportError, NotPossibleError, ReportNotFoundError
from report_orchestrator.models import InterventionKind, ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database, run_event
from report_orchestrator.services.deciding import Skip
from report_orchestrator.services.recording import record
from report_orchestrator.services.timing import named_zone, zone_of

BATCH = 500

YEARS_AWAY = 10
"""A run's date lies within so many years of today: another is a slip of the pen, and would stand as the last run for ever."""

SKIPPED_BECAUSE = {
    "missed": (
        "Nobody was there at its time, and MISSED_RUNS says which of the missed times run. "
        "Run it by hand or backfill it if it is still wanted."
    ),
    "overlap": (
        "The report's last run had not ended at this time, and OVERLAP says that such times are skipped. "
        "Run it by hand or backfill it if it is still wanted."
    ),
    "beyond_lookback": (
        "Nobody was there at this time, nor at any other up to {until:%Y-%m-%d %H:%M %Z}, which is further back than "
        "MAX_LOOKBACK_SECONDS: this one record stands for all of them. Backfill those that are still wanted."
    ),
}
"""Why a time was recorded as skipped, for people."""


@dataclass(slots=True, kw_only=True)
class Opened:
    """How many times became runs, and how many were recorded as skipped."""

    runs: int = 0
    skipped: int = 0
    run_ids: list[int] = field(default_factory=list)


def new_run(
    schedule: ReportSchedule, nominal: datetime, *, now: datetime, in_line: bool = False
) -> ReportRun:
    """A run of a report for a time, queued, not saved. One that is `in_line` starts when the report's earlier runs have ended."""
    return ReportRun(
        schedule=schedule,
        report_key=schedule.report_key,
        report_name=schedule.name,
        trigger=Trigger.SCHEDULED.value,
        scheduled_for=nominal,
        run_date=nominal.astimezone(_zone_or_projects(schedule)).date(),
        priority=schedule.priority,
        in_line=in_line,
        status=Status.QUEUED.value,
        wake_at=now,
        created_at=now,
    )


def skipped_run(schedule: ReportSchedule, skip: Skip, *, now: datetime) -> ReportRun:
    """A time that does not run, recorded with its reason, not saved."""
    run = new_run(schedule, skip.nominal, now=now)
    run.status, run.wake_at, run.ended_at = Status.SKIPPED.value, None, now
    stands_until = skip.stands_until and skip.stands_until.astimezone(timezone.get_default_timezone())
    run.error_code, run.error = skip.because, SKIPPED_BECAUSE[skip.because].format(until=stands_until)
    return run


def insert_runs(runs: Sequence[ReportRun], opened: Opened) -> None:
    """Inserts what is not there yet: the occurrence's uniqueness is the last word."""
    if not runs:
        return
    ReportRun.objects.bulk_create(runs, ignore_conflicts=True, batch_size=BATCH)
    for run in _inserted(runs):
        if run.status == Status.SKIPPED:
            opened.skipped += 1
            run_event("run_skipped", run, scheduled_for=run.scheduled_for, reason=run.error_code)
        else:
            opened.runs += 1
            opened.run_ids.append(run.pk)
            run_event("run_opened", run, scheduled_for=run.scheduled_for, trigger=run.trigger)


def _inserted(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """Those that are in the table now, given their keys: others lost to a run of the same time that was there."""
    keys: dict[UUID, int] = {}
    for start in range(0, len(runs), BATCH):
        mine = ReportRun.objects.filter(reference__in=[run.reference for run in runs[start : start + BATCH]])
        keys.update(mine.values_list("reference", "pk"))
    kept = [run for run in runs if run.reference in keys]
    for run in kept:
        run.pk = keys[run.reference]
    return sorted(kept, key=lambda run: run.pk)


def open_manual_run(
    schedule: ReportSchedule,
    *,
    run_date: date | None,
    asked_by: str,
    ports: Ports,
    ring: bool = True,
    reason: str = "",
    reference: UUID | None = None,
) -> ReportRun:
    """Opens a run that a person asked for. It has an occurrence of its own: asking twice gives two runs.

    `run_date` is in the report's zone; None means today. With `ring=False` no worker is told: the caller does the work.
    A caller that may be asked twice by mistake, as a form is, gives both times the same `reference`: that gives one run.

    Raises:
        InvalidReportError: the report is disabled or gone. A quarantined one may be tried: its run says what is wrong.
        NotPossibleError: there is a run of this `reference` already, or the date is more than `YEARS_AWAY` years away.
    """
    refuse_if_not_runnable(schedule)
    now = ports.clock()
    if run_date is not None:
        refuse_if_far_away(run_date, now)
    run = new_run(schedule, _nominal(schedule, run_date, now), now=now)
    run.trigger = Trigger.MANUAL.value
    run.triggered_by = asked_by[:150]
    run.run_date = run_date or run.run_date
    run.reference = reference or uuid4()
    with transaction.atomic(using=database()):
        _insert_once(run)
        record([run.pk], InterventionKind.OPENED, actor=asked_by, reason=reason, now=now)
        run_event("run_opened", run, trigger=run.trigger, triggered_by=run.triggered_by, reason=reason)
        if ring:
            ports.queue.ring([run.pk])
    return run


def _insert_once(run: ReportRun) -> None:
    try:
        with transaction.atomic(using=database()):
            run.save(force_insert=True)
    except IntegrityError as error:
        if not ReportRun.objects.filter(reference=run.reference).exists():
            raise
        raise NotPossibleError(
            f"The run of {run.report} that was asked for is there already. Nothing more was opened.",
            code="opened_already",
        ) from error


def refuse_if_not_runnable(schedule: ReportSchedule) -> None:
    """Raises `InvalidReportError` where the host says that a report may not run, or no longer has it."""
    if schedule.state == ScheduleState.REMOVED:
        raise ReportNotFoundError(f"{schedule} is no longer in the project. Check the id.")
    if schedule.state == ScheduleState.DISABLED:
        raise InvalidReportError(
            f"{schedule} is disabled in the project. Enable it on its own page, then run it.",
            code="disabled",
        )


def is_far_away(day: date, now: datetime) -> bool:
    """Whether a day is more than `YEARS_AWAY` years before or after this one, by their numbers."""
    return abs(day.year - now.year) > YEARS_AWAY


def refuse_if_far_away(day: date, now: datetime) -> None:
    """Raises `NotPossibleError` for a day that nobody can have meant."""
    if is_far_away(day, now):
        raise NotPossibleError(
            f"{day} is more than {YEARS_AWAY} years away. Check the year. Nothing was opened.",
            code="far_away",
        )


def _nominal(schedule: ReportSchedule, run_date: date | None, now: datetime) -> datetime:
    if run_date is None:
        return now
    return datetime.combine(run_date, time(), tzinfo=_zone_or_projects(schedule))


def _zone_or_projects(schedule: ReportSchedule) -> tzinfo:
    """A report whose zone does not exist can still be run by hand: its dates are then the project's."""
    try:
        return zone_of(schedule)
    except InvalidReportError:
        return named_zone("", str(schedule))
