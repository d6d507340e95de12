"""Due times become runs. The only place that opens a run, whichever approach ticked."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo

from django.db import transaction
from django.utils import timezone

from report_orchestrator.conf import Settings
from report_orchestrator.domain.cron import CronExpression, next_time, parse_cron, times_between
from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.exceptions import InvalidCronError, InvalidReportError, ReportNotFoundError
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database, run_event, schedule_event

BATCH = 500
RUNG_AT_ONCE = 8
"""Every worker that is rung goes on with whatever else is due, so a few bells wake them all."""


@dataclass(slots=True, kw_only=True)
class Opened:
    """What a tick decided: how many times became runs, and how many were recorded as skipped."""

    runs: int = 0
    skipped: int = 0
    run_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is decided for one report at one tick."""

    schedule: ReportSchedule
    run_for: Sequence[datetime]
    skip_for: Sequence[datetime]
    next_run_at: datetime | None
    beyond_lookback: bool


def zone_of(schedule: ReportSchedule) -> tzinfo:
    """The zone that a report's cron is read in.

    Raises:
        InvalidReportError: the report names a zone that does not exist.
    """
    return named_zone(schedule.timezone, str(schedule))


def named_zone(name: str, report: str) -> tzinfo:
    """A zone by its name; the project's own where the name is empty."""
    if not name:
        return timezone.get_default_timezone()
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidReportError(
            f"{report} has the time zone '{name}', which does not exist. Use a name such as Europe/Amsterdam, "
            "or leave it empty for the project's own.",
            code="invalid_timezone",
        ) from error


def on_time(settings: Settings) -> timedelta:
    """How far back a tick of the approach is on time; anything older was missed, and goes by `MISSED_RUNS`."""
    match settings.scheduling_approach:
        case "sensor":
            return max(2 * settings.cron_sensor_interval, timedelta(minutes=2))
        case "schedule":
            return settings.schedule_interval
        case "pipeline":
            return timedelta(minutes=2)


def open_due_runs(
    *, ports: Ports, settings: Settings, schedules: ScheduleQuerySet | None = None, ring: bool = True
) -> Opened:
    """Decides every time that has come since the last one decided: each becomes a run or a recorded skip, once.

    `schedules` narrows it to some reports; with `ring=False` no worker is told. Idempotent: called twice, or by two
    clusters at once, it opens nothing twice.
    """
    opened = Opened()
    chosen = ReportSchedule.objects.all() if schedules is None else schedules
    now = ports.clock()
    while True:
        known = len(opened.run_ids)
        decided = _decide_batch(chosen, now=now, settings=settings, opened=opened)
        if ring:
            ports.queue.ring(opened.run_ids[known : known + RUNG_AT_ONCE])
        if decided < BATCH:
            return opened


def _decide_batch(schedules: ScheduleQuerySet, *, now: datetime, settings: Settings, opened: Opened) -> int:
    """One batch in one transaction, its rows locked, so that of two deciders each report has one."""
    with transaction.atomic(using=database()):
        due = list(schedules.due(now).select_for_update(skip_locked=True)[:BATCH])
        decisions = [decision for schedule in due if (decision := _decide(schedule, now, settings))]
        _record(decisions, now=now, opened=opened)
    return len(due)


def _decide(schedule: ReportSchedule, now: datetime, settings: Settings) -> Decision | None:
    try:
        cron, zone = parse_cron(schedule.cron), zone_of(schedule)
    except InvalidReportError as error:
        quarantine(schedule, error, now)
        return None
    earliest = now - settings.max_lookback
    times = list(times_between(cron, zone, after=max(schedule.decided_until, earliest), until=now))
    run_for = _chosen(times, now=now, settings=settings)
    return Decision(
        schedule=schedule,
        run_for=run_for,
        skip_for=[nominal for nominal in times if nominal not in set(run_for)],
        next_run_at=next_time(cron, zone, after=now),
        beyond_lookback=schedule.next_run_at is not None and schedule.next_run_at <= earliest,
    )


def _chosen(times: Sequence[datetime], *, now: datetime, settings: Settings) -> Sequence[datetime]:
    """Times on time always run; missed ones by the policy."""
    if settings.missed_runs == "all":
        return times
    punctual = [nominal for nominal in times if nominal > now - on_time(settings)]
    if punctual or settings.missed_runs == "none":
        return punctual
    return times[-1:]


def quarantine(schedule: ReportSchedule, error: InvalidReportError, now: datetime) -> None:
    """Sets one report aside, with the reason, so that it stops no other."""
    schedule.state = ScheduleState.QUARANTINED
    schedule.problem_code, schedule.problem = error.code, error.message
    schedule.next_run_at = None
    schedule.changed_at = now
    schedule.save(update_fields=["state", "problem_code", "problem", "next_run_at", "changed_at"])
    schedule_event("report_quarantined", report=str(schedule), code=error.code, problem=error.message)


def _record(decisions: Iterable[Decision], *, now: datetime, opened: Opened) -> None:
    runs: list[ReportRun] = []
    moved: list[ReportSchedule] = []
    for decision in decisions:
        schedule = decision.schedule
        if decision.beyond_lookback:
            schedule_event(
                "times_beyond_lookback", report=str(schedule), since=schedule.decided_until.isoformat()
            )
        runs += [_run(schedule, nominal, now=now) for nominal in decision.run_for]
        runs += [_skipped(schedule, nominal, now=now) for nominal in decision.skip_for]
        schedule.decided_until = max(schedule.decided_until, now)
        schedule.next_run_at = decision.next_run_at
        moved.append(schedule)
    ReportSchedule.objects.bulk_update(moved, ["decided_until", "next_run_at"], batch_size=BATCH)
    _insert(runs, opened)


def _insert(runs: Sequence[ReportRun], opened: Opened) -> None:
    """Inserts what is not there yet: the occurrence's uniqueness is the last word."""
    if not runs:
        return
    ReportRun.objects.bulk_create(runs, ignore_conflicts=True, batch_size=BATCH)
    kept = ReportRun.objects.in_bulk([run.reference for run in runs], field_name="reference")
    for run in kept.values():
        if run.status == Status.SKIPPED:
            opened.skipped += 1
            run_event("run_skipped", run, scheduled_for=run.scheduled_for.isoformat(), reason=run.error)
        else:
            opened.runs += 1
            opened.run_ids.append(run.pk)
            run_event("run_opened", run, scheduled_for=run.scheduled_for.isoformat(), trigger=run.trigger)


def _run(schedule: ReportSchedule, nominal: datetime, *, now: datetime) -> ReportRun:
    return ReportRun(
        schedule=schedule,
        report_key=schedule.report_key,
        report_name=schedule.name,
        trigger=Trigger.SCHEDULED.value,
        scheduled_for=nominal,
        run_date=nominal.astimezone(zone_of(schedule)).date(),
        priority=schedule.priority,
        status=Status.QUEUED.value,
        wake_at=now,
        created_at=now,
    )


def _skipped(schedule: ReportSchedule, nominal: datetime, *, now: datetime) -> ReportRun:
    run = _run(schedule, nominal, now=now)
    run.status, run.wake_at, run.ended_at = Status.SKIPPED.value, None, now
    run.error_code = "missed"
    run.error = (
        "Nobody was there at its time, and MISSED_RUNS says which of the missed times run. "
        "Run it by hand for that date if it is still wanted."
    )
    return run


def open_manual_run(
    schedule: ReportSchedule, *, run_date: date | None, asked_by: str, ports: Ports, ring: bool = True
) -> ReportRun:
    """Opens a run that a person asked for. It has an occurrence of its own: asking twice gives two runs.

    `run_date` is in the report's zone; None means today. With `ring=False` no worker is told: the caller does the work.

    Raises:
        InvalidReportError: the report is disabled or gone. A quarantined one may be tried: its run says what is wrong.
    """
    refuse_if_not_runnable(schedule)
    now = ports.clock()
    with transaction.atomic(using=database()):
        run = _run(schedule, _nominal(schedule, run_date, now), now=now)
        run.trigger = Trigger.MANUAL.value
        run.triggered_by = asked_by[:150]
        run.run_date = run_date or run.run_date
        run.save(force_insert=True)
        run_event("run_opened", run, trigger=run.trigger, triggered_by=run.triggered_by)
        if ring:
            ports.queue.ring([run.pk])
    return run


def refuse_if_not_runnable(schedule: ReportSchedule) -> None:
    """Raises `InvalidReportError` where the host says that a report may not run, or no longer has it."""
    if schedule.state == ScheduleState.REMOVED:
        raise ReportNotFoundError(f"{schedule} is no longer in the project. Check the id.")
    if schedule.state == ScheduleState.DISABLED:
        raise InvalidReportError(
            f"{schedule} is disabled in the project. Enable it on its own page, then run it.",
            code="disabled",
        )


def _nominal(schedule: ReportSchedule, run_date: date | None, now: datetime) -> datetime:
    if run_date is None:
        return now
    zone = named_zone("" if schedule.state == ScheduleState.QUARANTINED else schedule.timezone, str(schedule))
    return datetime.combine(run_date, time(), tzinfo=zone)


def first_run_at(cron: str, timezone_name: str, *, report: str, after: datetime) -> datetime:
    """When a report is due first after an instant.

    Raises:
        InvalidReportError: its cron or its zone cannot be read.
    """
    try:
        expression: CronExpression = parse_cron(cron)
    except InvalidCronError as error:
        raise InvalidCronError(f"{report}: {error.message}") from error
    return next_time(expression, named_zone(timezone_name, report), after=after)
