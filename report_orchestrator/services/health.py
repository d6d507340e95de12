"""Proof that work is being done: marks that only a scheduler and a worker can set, and nothing overdue.

A process that exists proves nothing; killed workers can leave a cluster that looks alive and does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Min

from report_orchestrator.conf import Settings
from report_orchestrator.models import Mark, ReportSchedule
from report_orchestrator.ports import Ports
from report_orchestrator.services.approaches import bells
from report_orchestrator.services.gate import read_circuit
from report_orchestrator.services.lateness import GRACE, first_lease_to_end, first_to_go_on
from report_orchestrator.services.maintenance import TICK_MARK
from report_orchestrator.services.pausing import all_are_paused

SILENCE = timedelta(seconds=40)
"""How long nothing may be heard of a cluster that ticks every few seconds."""
QUEUES_OWN_SILENCE = timedelta(seconds=150)
"""The same for Django-Q's own scheduler, which looks every 30 seconds at a schedule of a minute."""
CLOCK_SLACK = timedelta(seconds=5)
"""How far ahead of the clock a mark may be: more, and the clock was set back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `hint` says what to do where it is not well."""

    name: str
    well: bool
    detail: str
    hint: str = ""


def examine(*, ports: Ports, settings: Settings) -> list[Finding]:
    """All findings; the product is healthy when all are well."""
    now = ports.clock()
    return [
        _worker(now),
        *_scheduler(now, settings),
        _overdue_runs(now, settings),
        _expired_leases(now),
        _overdue_schedules(now, ports, settings),
        _circuit(now),
    ]


def _worker(now: datetime) -> Finding:
    """The tick's mark is set inside a task, so a message went from the scheduler through the broker and a worker."""
    marked_at = Mark.objects.filter(name=TICK_MARK).values_list("marked_at", flat=True).first()
    bound = SILENCE if _ticks_itself() else QUEUES_OWN_SILENCE
    return _heard("worker", marked_at, now, bound, "Restart qcluster: no worker is at work on a tick.")


def _scheduler(now: datetime, settings: Settings) -> Iterator[Finding]:
    """Who rings the tick, where our broker does."""
    if not _ticks_itself():
        return
    bell = bells(settings)[0]
    marked_at = Mark.objects.filter(name=bell.mark).values_list("marked_at", flat=True).first()
    yield _heard("scheduler", marked_at, now, SILENCE, "Restart qcluster: its pusher rings no ticks.")


def _ticks_itself() -> bool:
    """Whether any cluster has ever rung our own bells."""
    return Mark.objects.filter(name__startswith="bell: ").exists()


def _heard(name: str, at: datetime | None, now: datetime, bound: timedelta, hint: str) -> Finding:
    if at is None:
        return Finding(name=name, well=False, detail="never heard of", hint="Start qcluster.")
    age = now - at
    well = -CLOCK_SLACK <= age <= bound
    ahead = " ahead of the clock: it was set back" if age < timedelta(0) else " ago"
    return Finding(
        name=name,
        well=well,
        detail=f"last heard of {abs(age.total_seconds()):.0f} s{ahead if abs(age) > CLOCK_SLACK else ' ago'}",
        hint="" if well else hint,
    )


def _overdue_runs(now: datetime, settings: Settings) -> Finding:
    return _late(
        "runs",
        first_to_go_on(now, settings),
        now,
        GRACE,
        "More is due than is being done: look at qcluster's log, or start more workers.",
    )


def _expired_leases(now: datetime) -> Finding:
    return _late(
        "leases",
        first_lease_to_end(),
        now,
        GRACE,
        "Workers were lost and nobody rescues their runs: restart qcluster.",
    )


def _overdue_schedules(now: datetime, ports: Ports, settings: Settings) -> Finding:
    bound = GRACE + (
        settings.schedule_interval
        if settings.scheduling_approach == "schedule"
        else settings.cron_sensor_interval
    )
    if all_are_paused():
        return Finding(name="schedules", well=True, detail="all are paused by a person")
    return _late(
        "schedules",
        ReportSchedule.objects.filter(report_model=ports.reports.label).aggregate(at=Min("next_run_at"))[
            "at"
        ],
        now,
        bound,
        "Due reports are not opened: run sync_schedules, and look at qcluster's log.",
    )


def _late(name: str, at: datetime | None, now: datetime, bound: timedelta, hint: str) -> Finding:
    late = timedelta(0) if at is None else max(now - at, timedelta(0))
    well = late <= bound
    detail = "nothing overdue" if late == timedelta(0) else f"the oldest is {late.total_seconds():.0f} s late"
    return Finding(name=name, well=well, detail=detail, hint="" if well else hint)


def _circuit(now: datetime) -> Finding:
    """Fireant being down is told, but is no illness of ours: a restart would not help."""
    circuit = read_circuit()
    if circuit.probe_at is None:
        return Finding(name="fireant", well=True, detail="answers, as far as is known")
    wait = circuit.probe_at - now
    when = (
        f"in {wait.total_seconds():.0f} s"
        if wait > timedelta(0)
        else "by the next run that needs it, from now on"
    )
    return Finding(
        name="fireant",
        well=True,
        detail=f"taken to be down after {circuit.failures} failures; tried again {when}",
    )
