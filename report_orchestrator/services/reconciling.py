"""The queue's schedule table kept as the approach in force wants it, without a restart."""

from __future__ import annotations

from collections.abc import Collection
from uuid import uuid4

from django.db import transaction

from report_orchestrator.conf import Settings
from report_orchestrator.models import Mark
from report_orchestrator.ports import Ports, ScheduleSync
from report_orchestrator.services.announce import database, schedule_event
from report_orchestrator.services.approaches import SETTINGS_MARK, report_lines, shaping, wanted_schedules

MANY = 500
"""Where more reports than this changed, all lines are looked at."""


def sync_schedules(*, ports: Ports, settings: Settings) -> ScheduleSync:
    """Leaves exactly the lines of these settings, puts them in force for all processes, and says what differed. Idempotent."""
    now = ports.clock()
    token = _begin(settings, ports)
    synced = ports.queue.sync_schedules(wanted_schedules(settings, now, report_model=ports.reports.label))
    _end(token)
    _announce(synced, settings)
    return synced


def _begin(settings: Settings, ports: Ports) -> str:
    """Puts the settings in force. Should we die on the way, the table counts as stale until somebody came to the end.

    Reports that changed before are read with all others; an edit that comes meanwhile is noted again, and that stands.
    """
    token = uuid4().hex
    detail = {"in_force": shaping(settings), "stale": token}
    with transaction.atomic(using=database()):
        Mark.objects.hold(SETTINGS_MARK, now=ports.clock())
        Mark.objects.filter(name=SETTINGS_MARK).update(detail=detail)
    return token


def _end(token: str) -> None:
    with transaction.atomic(using=database()):
        mark = Mark.objects.select_for_update().get(name=SETTINGS_MARK)
        if mark.detail.get("stale") == token:
            _write(mark, {name: value for name, value in mark.detail.items() if name != "stale"})


def _write(mark: Mark, detail: dict[str, object]) -> None:
    mark.detail = detail
    mark.save(update_fields=["detail"])


def reconcile_soon(keys: Collection[int]) -> None:
    """Has the next tick bring the lines of these reports in step; `keys` are the primary keys of our rows."""
    if not keys:
        return
    with transaction.atomic(using=database()):
        mark = Mark.objects.select_for_update().filter(name=SETTINGS_MARK).first()
        if mark is None:
            return
        changed = set(mark.detail.get("reports", [])) | set(keys)
        if len(changed) <= MANY:
            _write(mark, {**mark.detail, "reports": sorted(changed)})
        else:
            _write(mark, {**mark.detail, "reports": [], "stale": uuid4().hex})


def sync_if_stale(*, ports: Ports, settings: Settings) -> ScheduleSync | None:
    """Brings the lines in step: of reports that changed since, or all where they were never made. Cheap enough for every tick."""
    mark = Mark.objects.filter(name=SETTINGS_MARK).first()
    if mark is None or "in_force" not in mark.detail or mark.detail.get("stale"):
        return sync_schedules(ports=ports, settings=settings)
    return _sync_changed(ports=ports, settings=settings) if mark.detail.get("reports") else None


def _sync_changed(*, ports: Ports, settings: Settings) -> ScheduleSync | None:
    """In one transaction with the note of what changed, so that a failure leaves it noted."""
    with transaction.atomic(using=database()):
        mark = Mark.objects.select_for_update().get(name=SETTINGS_MARK)
        keys = mark.detail.get("reports", [])
        _write(mark, {**mark.detail, "reports": []})
        if settings.scheduling_approach != "pipeline":
            return None
        wanted = report_lines(ports.reports.label, keys)
        synced = ports.queue.sync_schedules(wanted, only=[(key,) for key in keys])
    _announce(synced, settings)
    return synced


def _announce(synced: ScheduleSync, settings: Settings) -> None:
    if synced.changed:
        schedule_event(
            "schedules_synced",
            approach=settings.scheduling_approach,
            lines_created=len(synced.created),
            lines_updated=len(synced.updated),
            lines_removed=len(synced.removed),
        )
