"""Shortens waits, leases and the wait for a probe of Fireant after the database's clock was set back.

Otherwise they would last longer by the difference.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import F

from report_orchestrator.models import ReportRun, SharedState, StateName
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.scheduling.clock_leaps import MIN_ROLLBACK


def shift_waits_after_rollback(state: str, *, now: datetime) -> int:
    """Shift `wake_at` of all waiting runs by as much as the clock was set back since `state` was noted; return their number.

    Versions stay as they are: a running worker keeps its run, and the lease of a killed one ends when it would have ended.
    """
    rows = SharedState.objects.filter(name=state)
    before = rows.filter(marked_at__gt=now + MIN_ROLLBACK).values_list("marked_at", flat=True).first()
    if before is None:
        return 0
    with transaction.atomic(using=database_alias()):
        if not rows.filter(marked_at=before).update(marked_at=now):
            return 0  # another tick has already done it
        set_back = before - now
        moved = ReportRun.objects.filter(wake_at__gt=before).update(wake_at=F("wake_at") - set_back)
        probe = SharedState.objects.filter(name=StateName.CIRCUIT, due_at__gt=now)
        probe.update(due_at=F("due_at") - set_back)
        emit_schedule_event("clock_set_back", seconds=round(set_back.total_seconds()), runs_moved=moved)
    return moved
