"""Begin scheduling at an instant: the times before it belong to no cluster, and get neither a run nor a recorded skip."""

from datetime import datetime

from django.db import transaction

from report_orchestrator.domain.runs import Trigger
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.models.upsert import upsert
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.scheduling.clock_leaps import accept_clock
from report_orchestrator.services.scheduling.create_runs import BATCH
from report_orchestrator.services.timetable.cron_zone import next_run_at


def has_started() -> bool:
    """Return True once a cluster has ticked or a person has started scheduling, also before this was recorded."""
    return (
        SharedState.objects.filter(name__in=[StateName.SCHEDULING, StateName.TICK]).exists()
        or ReportRun.objects.filter(trigger=Trigger.SCHEDULED).exists()
    )


def start_scheduling(*, runtime: Runtime) -> None:
    """Start scheduling now if no cluster has ticked before. Idempotent, and safe to call from several clusters at once."""
    if has_started():
        return
    with transaction.atomic(using=database_alias()):
        SharedState.objects.lock(StateName.DISCOVERY_LOCK, now=runtime.clock())
        if not has_started():
            _start(runtime, actor="")


def schedule_from_now(*, actor: str, runtime: Runtime) -> datetime:
    """Start scheduling all reports now at a person's request, and return the instant.

    Times that are still undecided get no run. Runs that exist already are left alone.
    """
    with transaction.atomic(using=database_alias()):
        SharedState.objects.lock(StateName.DISCOVERY_LOCK, now=runtime.clock())
        return _start(runtime, actor=actor)


def _start(runtime: Runtime, *, actor: str) -> datetime:
    now = runtime.clock()
    SharedState.objects.record(StateName.SCHEDULING, now=now)
    accept_clock(now, is_verified=bool(actor))
    drop_undecided_times(ReportSchedule.objects.filter(report_model=runtime.reports.label), now=now)
    emit_schedule_event("scheduling_starts", at=now, actor=actor)
    return now


def drop_undecided_times(schedules: ScheduleQuerySet, *, now: datetime) -> None:
    """Move these reports on to now, without deciding their earlier times. Call it in a transaction.

    A report whose cron or zone has become invalid stays due: the next tick quarantines it.
    """
    undecided = schedules.filter(decided_until__lt=now)
    undecided.lock_all()
    moved = []
    for schedule in undecided.due(now).select_for_update().iterator(chunk_size=BATCH):
        schedule.decided_until = now
        try:
            schedule.next_run_at = next_run_at(schedule)
        except InvalidReportError:
            continue
        moved.append(schedule)
    upsert(*moved, update=["next_run_at"], batch_size=BATCH)
    undecided.update(decided_until=now)
