"""Switch reports between live and shadow: which of their scheduled times this app serves, and which another system."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from report_orchestrator.domain.error_codes import ErrorCode, RefusalCode
from report_orchestrator.domain.runs import Status, Step, StepResult, Trigger
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, RunStep
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.models.upsert import upsert
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_run_event, emit_schedule_event
from report_orchestrator.services.scheduling.backfill import find_schedules
from report_orchestrator.services.scheduling.create_runs import refuse_if_far_away
from report_orchestrator.services.scheduling.open_due_runs import decide_before_edit, open_due_runs
from report_orchestrator.services.scheduling.scheduling_start import has_started
from report_orchestrator.services.timetable.cron_zone import next_run_at_or_due


@dataclass(slots=True, kw_only=True)
class Switched:
    """The reports that were switched, and the runs of times after `at` that were in shadow and now run."""

    at: datetime
    reports: list[ReportSchedule] = field(default_factory=list)
    run_ids: list[int] = field(default_factory=list)


def switch_to_live(
    keys: Sequence[str] | None, *, actor: str, runtime: Runtime, at: datetime | None = None, reason: str = ""
) -> Switched:
    """Serve the scheduled times after `at` (UTC; default: now) of these reports, or of all where `keys` is None.

    `at` is the instant at which the other system was stopped. Times since then that were in shadow run now, one after the
    other. Idempotent.

    Raises:
        NotPossibleError: one of the keys is no report, `at` is years away, or `at` is in the future and the report is live
            until a planned switch to shadow: its times before `at` would belong to neither system.
    """
    _begin(keys, at, runtime)
    with transaction.atomic(using=database_alias()):
        rows, switched = _lock(keys, at, runtime)
        for row in rows:
            if not _is_live_after(row, switched.at, runtime):
                _refuse_planned_end(row, switched.at, runtime)
                switched.run_ids += _decide_until_planned_end(row, switched.at, runtime)
                _make_live(row, switched.at, runtime)
                switched.reports.append(row)
        switched.run_ids += _release_shadow_runs(switched, runtime)
        _save(switched, "live", actor, reason, runtime)
        runtime.queue.notify(switched.run_ids)
    return switched


def switch_to_shadow(
    keys: Sequence[str] | None, *, actor: str, runtime: Runtime, at: datetime | None = None, reason: str = ""
) -> Switched:
    """Leave the scheduled times after `at` (UTC; default: now) to another system. Runs of earlier times continue. Idempotent.

    Raises:
        NotPossibleError: one of the keys is no report, or `at` is past: later times may have been submitted already.
    """
    if at is not None and at < runtime.clock():
        raise NotPossibleError(
            "The other system cannot take over in the past, because later times may have run here. Give a future time.",
            code=RefusalCode.IN_THE_PAST,
        )
    _begin(keys, at, runtime)
    with transaction.atomic(using=database_alias()):
        rows, switched = _lock(keys, at, runtime)
        for row in rows:
            if not _is_in_shadow_after(row, switched.at, runtime):
                row.live_until = switched.at
                switched.reports.append(row)
        _save(switched, "shadow", actor, reason, runtime)
    return switched


def _decide_until_planned_end(row: ReportSchedule, at: datetime, runtime: Runtime) -> list[int]:
    """Decide the times until now of a report that was paused before its planned end. Return the keys of its new runs.

    Its row keeps only one span in which it is live: after the switch, these times would belong to the other system.
    """
    if row.live_until is None or not row.decided_until < row.live_until < at or not has_started():
        return []
    now = runtime.clock()
    created = decide_before_edit([copy(row)], now=now, settings=runtime.settings)
    row.decided_until = now
    if row.next_run_at is not None:
        row.next_run_at = next_run_at_or_due(row)
    return created.run_ids


def _make_live(row: ReportSchedule, at: datetime, runtime: Runtime) -> None:
    """Make a report live after `at`. One that is live then only loses its planned end: its undecided times stay live."""
    if not row.is_live_at(at, unless_switched=not runtime.settings.shadow):
        row.live_from = at
    elif row.live_from is None:
        row.live_from = min(at, row.decided_until)
    row.live_until = None


def _is_live_after(row: ReportSchedule, at: datetime, runtime: Runtime) -> bool:
    if row.live_from is None:
        return row.live_until is None and not runtime.settings.shadow
    return row.live_from <= at and row.live_until is None


def _refuse_planned_end(row: ReportSchedule, at: datetime, runtime: Runtime) -> None:
    now = runtime.clock()
    if row.live_until is not None and now < at and row.is_live_at(now, unless_switched=not runtime.settings.shadow):
        raise NotPossibleError(
            f"{row} is live until {row.live_until.isoformat(timespec='seconds')}. Leave out --at to keep it live, "
            "or switch it after that time.",
            code=RefusalCode.ALREADY_LIVE,
        )


def _is_in_shadow_after(row: ReportSchedule, at: datetime, runtime: Runtime) -> bool:
    if row.live_until is None:
        return row.live_from is None and runtime.settings.shadow
    return row.live_until <= at


def _begin(keys: Sequence[str] | None, at: datetime | None, runtime: Runtime) -> None:
    """Decide the times until now by the mode before the switch, if scheduling has started."""
    if keys is not None:
        find_schedules(keys, runtime)
    if at is not None:
        refuse_if_far_away(at.date(), runtime.clock())
    if has_started():
        open_due_runs(runtime=runtime, schedules=_chosen(keys, runtime))


def _chosen(keys: Sequence[str] | None, runtime: Runtime) -> ScheduleQuerySet:
    rows = ReportSchedule.objects.present().filter(report_model=runtime.reports.label)
    return rows if keys is None else rows.filter(report_key__in=keys)


def _lock(keys: Sequence[str] | None, at: datetime | None, runtime: Runtime) -> tuple[list[ReportSchedule], Switched]:
    """Return the locked rows and an empty result. Times that a tick decided before the locks precede the switch."""
    rows = list(_chosen(keys, runtime).select_for_update().order_by("pk"))
    return rows, Switched(at=at or runtime.clock())


def _release_shadow_runs(switched: Switched, runtime: Runtime) -> list[int]:
    """Queue the shadow runs after the switch as scheduled ones. Recorded skips stay, and can be backfilled from now on."""
    in_shadow = ReportRun.objects.filter(
        schedule__in=switched.reports, trigger=Trigger.SHADOW, scheduled_for__gt=switched.at
    )
    left_out = Q(status=Status.SKIPPED) & ~Q(error_code=ErrorCode.SHADOW)
    runs = list(in_shadow.exclude(left_out).select_for_update().order_by("pk"))
    in_shadow.filter(left_out).update(trigger=Trigger.SCHEDULED)
    now = runtime.clock()
    RunStep.objects.filter(run__in=runs, result=StepResult.STARTED).update(result=StepResult.LOST, ended_at=now)
    for run in runs:
        run.write(
            trigger=Trigger.SCHEDULED.value,
            status=Status.QUEUED.value,
            step=Step.REPORT_DATA.value,
            in_line=True,
            worker="",
            wake_at=now,
            started_at=None,
            ended_at=None,
            error_code="",
            error="",
        )
        emit_run_event("run_opened", run, scheduled_for=run.scheduled_for, trigger=run.trigger)
    return [run.pk for run in runs]


def _save(switched: Switched, mode: str, actor: str, reason: str, runtime: Runtime) -> None:
    before = ReportSchedule.objects.in_bulk([row.pk for row in switched.reports])
    upsert(*switched.reports, update=["live_from", "live_until", "decided_until", "next_run_at"], batch_size=500)
    ReportChange.objects.bulk_create(
        ReportChange(
            schedule=row,
            kind=ChangeKind.SWITCHED,
            before=_bounds(before[row.pk]),
            after={**_bounds(row), "actor": actor, "reason": reason},
            source=ChangeSource.PERSON,
            actor=actor[:150],
            noticed_at=runtime.clock(),
        )
        for row in switched.reports
    )
    for row in switched.reports:
        emit_schedule_event(f"report_switched_to_{mode}", report=str(row), at=switched.at, actor=actor, reason=reason)


def _bounds(row: ReportSchedule) -> dict[str, str | None]:
    bounds = {"live_from": row.live_from, "live_until": row.live_until}
    return {name: None if instant is None else instant.isoformat() for name, instant in bounds.items()}
