"""Shortens waits, leases and the wait for a probe of Fireant after the database's clock was set back.

Otherwise they would last longer by the difference.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, F, Q, Value, When

from report_orchestrator.conf import Settings
from report_orchestrator.domain.retries import LONGEST_HONOURED_RETRY_AFTER
from report_orchestrator.domain.runs import Status, spread_poll_interval
from report_orchestrator.models import ReportRun, SharedState, StateName
from report_orchestrator.models.instants import InstantField
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.fireant.circuit_breaker import LONGEST_PROBE_WAIT, YIELD_PROBE_FOR
from report_orchestrator.services.running.download_slots import PAUSE
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


def end_overlong_waits(*, runtime: Runtime) -> int:
    """End the waits that are longer than any that a run can be given; return their number.

    They come from a clock that was ahead: runs were due before it was set back, or a worker read the clock before that and
    wrote afterwards. A lease is only shortened, as its worker may still be at work.
    """
    now = runtime.clock()
    overlong = Q()
    for status, longest in _longest_waits(runtime.settings).items():
        overlong |= Q(status=status, wake_at__gt=now + longest)
    field = InstantField()
    lease = When(status=Status.RUNNING, then=Value(now + runtime.settings.lease, field))
    return ReportRun.objects.filter(overlong).update(wake_at=Case(lease, default=Value(now, field)))


def _longest_waits(settings: Settings) -> dict[Status, timedelta]:
    lease = max(settings.lease, PAUSE) + MIN_ROLLBACK
    return {
        Status.QUEUED: lease,
        Status.RUNNING: lease,
        Status.DEFERRED: max(
            spread_poll_interval(settings.poll_interval, 1), LONGEST_PROBE_WAIT + YIELD_PROBE_FOR, lease
        ),
        Status.UP_FOR_RETRY: LONGEST_HONOURED_RETRY_AFTER + MIN_ROLLBACK,
    }
