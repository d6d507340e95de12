"""Which runs are late: those that somebody should have seen to by now, and none that wait on purpose."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Min

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun
from report_orchestrator.services.gate import (
    BEFORE_FIREANT,
    FIREANT_STEPS,
    Circuit,
    is_limited,
    places_left,
    read_circuit,
    was_submitted_since,
)

GRACE = timedelta(seconds=60)
"""How late anything may be before it counts as overdue."""


def first_to_go_on(now: datetime, settings: Settings, circuit: Circuit | None = None) -> datetime | None:
    """When the first of the runs that no worker holds may go on; None where none may.

    A run waits on purpose in line behind another, for a place under the limits, and for a Fireant that is down. The circuit
    is read where it is not given.
    """
    free = ReportRun.objects.live().exclude(status=Status.RUNNING)
    waiting = free.exclude(step__in=_held_back_steps(now, settings, circuit or read_circuit())).out_of_line()
    return _first_wake(waiting.aggregate(at=Min("wake_at")))


def first_lease_to_end() -> datetime | None:
    """When the first of the leases ends, or has ended; None where no worker holds a run."""
    return _first_wake(ReportRun.objects.live().filter(status=Status.RUNNING).aggregate(at=Min("wake_at")))


def lateness(now: datetime, settings: Settings) -> timedelta | None:
    """How long the first run or lease that nobody has seen to has waited for it; None where none waits."""
    firsts = [at for at in (first_to_go_on(now, settings), first_lease_to_end()) if at is not None]
    return now - min(firsts) if firsts and min(firsts) < now else None


def _first_wake(found: dict[str, datetime | None]) -> datetime | None:
    return found["at"]


def _held_back_steps(now: datetime, settings: Settings, circuit: Circuit) -> list[Step]:
    """Steps at which a run may wait for a place or for Fireant, for as long as that takes, while all is well with us.

    All is well only while somebody uses what is free: a place, or the turn to ask Fireant whether it is back.
    """
    held: set[Step] = set()
    probe_at = circuit.probe_at
    if probe_at is not None and now - probe_at <= GRACE:
        held |= FIREANT_STEPS
    if is_limited(settings) and (places_left(now, settings) <= 0 or was_submitted_since(now - GRACE)):
        held |= set(BEFORE_FIREANT)
    return sorted(held)
