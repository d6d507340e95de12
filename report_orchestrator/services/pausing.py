"""Pause and resume, of a report or of all: by whom, why, and without losing a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import Mark, ReportChange, ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database, schedule_event
from report_orchestrator.services.reconciling import reconcile_soon
from report_orchestrator.services.timing import next_run_at

ALL = "paused: all"


def all_are_paused() -> bool:
    """Whether a person stopped the scheduling of everything. Runs that were opened go on."""
    return Mark.objects.filter(name=ALL).exists()


def pause_all(*, actor: str, reason: str, ports: Ports) -> None:
    """Stops the scheduling of all reports until `resume_all`. May be said again; the latest reason stands, each is recorded."""
    now = ports.clock()
    with transaction.atomic(using=database()):
        Mark.objects.note(ALL, now=now, detail={"actor": actor, "reason": reason})
        _record_of_all(ChangeKind.PAUSED, actor, reason, now)
    schedule_event("all_paused", actor=actor, reason=reason)


def resume_all(*, actor: str, ports: Ports, reason: str = "") -> bool:
    """Lets scheduling go on; times that came meanwhile are decided by `MISSED_RUNS`. Idempotent.

    Returns whether all were paused before. Only then is it recorded.
    """
    with transaction.atomic(using=database()):
        deleted, _rows = Mark.objects.filter(name=ALL).delete()
        if deleted:
            _record_of_all(ChangeKind.RESUMED, actor, reason, ports.clock())
    schedule_event("all_resumed", actor=actor, reason=reason)
    return bool(deleted)


def _record_of_all(kind: ChangeKind, actor: str, reason: str, now: datetime) -> None:
    ReportChange.objects.create(
        schedule=None,
        kind=kind,
        after={"actor": actor, "reason": reason},
        source=ChangeSource.PERSON,
        noticed_at=now,
    )


def pause(keys: Sequence[str], *, actor: str, reason: str, ports: Ports) -> list[ReportSchedule]:
    """Stops the scheduling of these reports; returns those that were not paused before.

    Raises:
        NotPossibleError: one of the keys is no report.
    """
    now = ports.clock()
    with transaction.atomic(using=database()):
        changed = [row for row in _locked(keys, ports) if row.paused_at is None]
        for schedule in changed:
            schedule.paused_at, schedule.paused_by, schedule.pause_reason = now, actor[:150], reason
            schedule.next_run_at = None
        _save(changed, ChangeKind.PAUSED, actor, reason, ports)
    return changed


def resume(
    keys: Sequence[str],
    *,
    actor: str,
    ports: Ports,
    reason: str = "",
    paused_at: datetime | None = None,
) -> list[ReportSchedule]:
    """Lets these reports be scheduled again, from the last time decided: what was missed goes by `MISSED_RUNS`.

    Returns those that were paused. Whoever decided by what they saw gives `paused_at`, UTC: reports that somebody resumed
    and paused anew since are left alone.

    Raises:
        NotPossibleError: one of the keys is no report.
    """
    with transaction.atomic(using=database()):
        changed = [
            row
            for row in _locked(keys, ports)
            if row.paused_at is not None and paused_at in (None, row.paused_at)
        ]
        for schedule in changed:
            schedule.paused_at, schedule.paused_by, schedule.pause_reason = None, "", ""
            if schedule.state == ScheduleState.ACTIVE:
                schedule.next_run_at = next_run_at(schedule, after=schedule.decided_until)
        _save(changed, ChangeKind.RESUMED, actor, reason, ports)
    return changed


def _locked(keys: Sequence[str], ports: Ports) -> list[ReportSchedule]:
    rows = list(
        ReportSchedule.objects.select_for_update()
        .present()
        .filter(report_model=ports.reports.label, report_key__in=keys)
        .order_by("pk")
    )
    if missing := set(keys) - {row.report_key for row in rows}:
        raise NotPossibleError(
            f"There is no report {', '.join(sorted(missing))}. Nothing was changed. Run discover_reports if it is new.",
            code="no_such_report",
        )
    return rows


def _save(rows: Sequence[ReportSchedule], kind: ChangeKind, actor: str, reason: str, ports: Ports) -> None:
    now = ports.clock()
    ReportSchedule.objects.bulk_update(
        rows, ["paused_at", "paused_by", "pause_reason", "next_run_at"], batch_size=500
    )
    ReportChange.objects.bulk_create(
        ReportChange(
            schedule=row,
            kind=kind,
            after={"actor": actor, "reason": reason},
            source=ChangeSource.PERSON,
            noticed_at=now,
        )
        for row in rows
    )
    reconcile_soon({row.pk for row in rows})
    for row in rows:
        schedule_event(f"report_{kind.value}", report=str(row), actor=actor, reason=reason)
