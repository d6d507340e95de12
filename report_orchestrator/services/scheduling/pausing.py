"""Pause and resume the scheduling of one report or of all; times of the pause are decided afterwards."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from django.db import transaction
from django.db.models import Count, Q

from report_orchestrator.domain.error_codes import RefusalCode
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import ReportChange, ReportSchedule, ScheduleState, SharedState, StateName
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.models.upsert import upsert
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.scheduling.scheduling_start import drop_undecided_times
from report_orchestrator.services.timetable.cron_zone import next_run_at_or_due
from report_orchestrator.services.timetable.due_times import Pause, Pauses
from report_orchestrator.services.timetable.queue_sync import request_sync


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledCounts:
    """The number of active reports that are not paused individually, and of reports that are."""

    scheduled: int
    paused: int


def count_scheduled(runtime: Runtime) -> ScheduledCounts:
    """Count the reports that a pause or resumption of all concerns."""
    is_paused = Q(paused_at__isnull=False)
    return ScheduledCounts(
        **ReportSchedule.objects.present()
        .filter(report_model=runtime.reports.label)
        .aggregate(scheduled=Count("pk", ~is_paused & Q(state=ScheduleState.ACTIVE)), paused=Count("pk", is_paused))
    )


def all_are_paused() -> bool:
    """True while the scheduling of all reports is paused. Runs in progress continue."""
    return SharedState.objects.filter(name=StateName.ALL_PAUSED).exists()


def pauses_since(instant: datetime) -> Pauses:
    """Return the pauses that ended after an instant, by report; those of all reports under None."""
    ended = ReportChange.objects.filter(kind=ChangeKind.RESUMED, noticed_at__gt=instant).order_by()
    pauses: dict[int | None, list[Pause]] = defaultdict(list)
    for schedule, before, resumed_at in ended.values_list("schedule", "before", "noticed_at"):
        if "paused_at" in before:  # not in changes that version 0.2 recorded
            pauses[schedule].append((datetime.fromisoformat(before["paused_at"]), resumed_at))
    return pauses


def pause_all(*, actor: str, reason: str, runtime: Runtime) -> ReportChange:
    """Pause the scheduling of all reports until `resume_all`; return the recorded change.

    A repeated call replaces the reason; each is recorded.
    """
    now = runtime.clock()
    detail: dict[str, object] = {"actor": actor, "reason": reason}
    with transaction.atomic(using=database_alias()):
        if earlier := SharedState.objects.select_for_update().filter(name=StateName.ALL_PAUSED).first():
            detail["since"] = _beginning(earlier)
        SharedState.objects.record(StateName.ALL_PAUSED, now=now, detail=detail)
        change = _record_pause(actor, reason, now)
    emit_schedule_event("all_paused", actor=actor, reason=reason)
    return change


def pause_all_if_scheduled(*, actor: str, reason: str, runtime: Runtime) -> ReportChange | None:
    """Pause all reports as `pause_all` does; return None, and leave its reason alone, if a pause is in effect already."""
    now = runtime.clock()
    state = {"marked_at": now, "detail": {"actor": actor, "reason": reason}}
    with transaction.atomic(using=database_alias()):
        _pause, is_new = SharedState.objects.get_or_create(name=StateName.ALL_PAUSED, defaults=state)
        if not is_new:
            return None
        change = _record_pause(actor, reason, now)
    emit_schedule_event("all_paused", actor=actor, reason=reason)
    return change


def _record_pause(actor: str, reason: str, now: datetime) -> ReportChange:
    change = _change(None, ChangeKind.PAUSED, actor, reason, now)
    change.save()
    return change


def resume_all(
    *, actor: str, runtime: Runtime, reason: str = "", paused_at: datetime | None = None, from_now: bool = False
) -> ReportChange | None:
    """Resume scheduling; times of the pause are decided by `MISSED_RUNS`, or dropped with `from_now`. Idempotent.

    Reports that are paused individually stay paused. With `paused_at`, a pause of another instant is left alone; a whole
    second stands for all instants within it. Returns the recorded change; None, without a record, if all were not paused.
    """
    with transaction.atomic(using=database_alias()):
        pause = SharedState.objects.select_for_update().filter(name=StateName.ALL_PAUSED).first()
        if pause is None or not _is_at(pause.marked_at, paused_at):
            return None
        pause.delete()
        now = runtime.clock()
        if from_now:
            unpaused = ReportSchedule.objects.filter(report_model=runtime.reports.label, paused_at__isnull=True)
            drop_undecided_times(unpaused, now=now)
            emit_schedule_event("scheduling_starts", at=now, actor=actor)
        change = _change(None, ChangeKind.RESUMED, actor, reason, now, paused_at=_beginning(pause))
        change.save()
    emit_schedule_event("all_resumed", actor=actor, reason=reason)
    return change


def _is_at(marked_at: datetime | None, instant: datetime | None) -> bool:
    if instant is None or marked_at is None:
        return instant is None
    return marked_at == instant or (not instant.microsecond and marked_at.replace(microsecond=0) == instant)


def _beginning(pause: SharedState) -> str:
    """Return the beginning of a pause of all reports, which a repeated call does not change."""
    return str(pause.detail.get("since") or pause.marked_at.isoformat())  # type: ignore[union-attr]  # always set


def _change(
    schedule: ReportSchedule | None, kind: ChangeKind, actor: str, reason: str, now: datetime, *, paused_at: str = ""
) -> ReportChange:
    return ReportChange(
        schedule=schedule,
        kind=kind,
        before={"paused_at": paused_at} if paused_at else {},
        after={"actor": actor, "reason": reason},
        source=ChangeSource.PERSON,
        actor=actor[:150],
        noticed_at=now,
    )


def pause(keys: Sequence[str], *, actor: str, reason: str, runtime: Runtime) -> list[ReportSchedule]:
    """Pause the scheduling of these reports; return those that were not paused before.

    Raises:
        NotPossibleError: one of the keys is no report.
    """
    now = runtime.clock()
    with transaction.atomic(using=database_alias()):
        changed = [row for row in _locked(keys, runtime) if row.paused_at is None]
        for schedule in changed:
            schedule.paused_at, schedule.paused_by, schedule.pause_reason = now, actor[:150], reason
            schedule.next_run_at = None
        _save(changed, ChangeKind.PAUSED, actor, reason, runtime)
    return changed


def resume(
    keys: Sequence[str],
    *,
    actor: str,
    runtime: Runtime,
    reason: str = "",
    paused_at: datetime | None = None,
    from_now: bool = False,
) -> list[ReportSchedule]:
    """Resume the scheduling of these reports; `MISSED_RUNS` selects which of the missed times run, none with `from_now`.

    Returns those that were paused. With `paused_at` (UTC), reports paused at another instant are left alone: a person
    confirms the end of the pause that the page showed, not of a later one.

    Raises:
        NotPossibleError: one of the keys is no report.
    """
    with transaction.atomic(using=database_alias()):
        changed = [
            row for row in _locked(keys, runtime) if row.paused_at is not None and paused_at in (None, row.paused_at)
        ]
        since = {row.pk: row.paused_at.isoformat() for row in changed if row.paused_at is not None}
        for schedule in changed:
            schedule.paused_at, schedule.paused_by, schedule.pause_reason = None, "", ""
            if from_now:
                schedule.decided_until = runtime.clock()
                emit_schedule_event("scheduling_starts", at=schedule.decided_until, report=str(schedule), actor=actor)
            if schedule.state == ScheduleState.ACTIVE:
                schedule.next_run_at = next_run_at_or_due(schedule)
        _save(changed, ChangeKind.RESUMED, actor, reason, runtime, since)
    return changed


def _locked(keys: Sequence[str], runtime: Runtime) -> list[ReportSchedule]:
    rows = list(
        ReportSchedule.objects.select_for_update()
        .present()
        .filter(report_model=runtime.reports.label, report_key__in=keys)
        .order_by("pk")
    )
    if missing := set(keys) - {row.report_key for row in rows}:
        raise NotPossibleError(
            f"Report {', '.join(sorted(missing))} does not exist. Nothing was changed. Run "
            "discover_reports if it is new.",
            code=RefusalCode.NO_SUCH_REPORT,
        )
    return rows


def _save(
    rows: Sequence[ReportSchedule],
    kind: ChangeKind,
    actor: str,
    reason: str,
    runtime: Runtime,
    since: Mapping[int, str] = MappingProxyType({}),
) -> None:
    now = runtime.clock()
    columns = ["paused_at", "paused_by", "pause_reason", "next_run_at", "decided_until"]
    upsert(*rows, update=columns, batch_size=500)
    ReportChange.objects.bulk_create(
        _change(row, kind, actor, reason, now, paused_at=since.get(row.pk, "")) for row in rows
    )
    request_sync({row.pk for row in rows})
    for row in rows:
        emit_schedule_event(f"report_{kind.value}", report=str(row), actor=actor, reason=reason)
