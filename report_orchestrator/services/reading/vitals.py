"""Whether scheduler, workers, Fireant and the lake are well, from the marks that only work can set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from report_orchestrator.conf import Settings
from report_orchestrator.models import Mark
from report_orchestrator.services.approaches import bells
from report_orchestrator.services.discovery import DISCOVERY_MARK
from report_orchestrator.services.gate import CIRCUIT, Circuit
from report_orchestrator.services.health import CLOCK_SLACK, QUEUES_OWN_SILENCE, SILENCE
from report_orchestrator.services.maintenance import TICK_MARK
from report_orchestrator.services.pausing import ALL

Marks = Mapping[str, Mark]


def read_marks() -> Marks:
    """All marks: a handful, in one query."""
    return Mark.objects.in_bulk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """When a process was last heard of; None for never. `bound` is the longest silence that is well."""

    heard_at: datetime | None
    bound: timedelta

    def is_well(self, now: datetime) -> bool:
        """Whether it was heard of lately, and by a clock that has not been set back since."""
        return self.heard_at is not None and -CLOCK_SLACK <= now - self.heard_at <= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Everything was stopped by a person."""

    since: datetime | None
    actor: str
    reason: str


def worker_pulse(marks: Marks) -> Pulse:
    """The tick's mark is set inside a task, so a message went from the scheduler through the broker and a worker."""
    return Pulse(
        heard_at=_marked_at(marks, TICK_MARK), bound=SILENCE if _ticks(marks) else QUEUES_OWN_SILENCE
    )


def scheduler_pulse(marks: Marks, settings: Settings) -> Pulse:
    """Who rings the tick. Where the queue's own scheduler does, a tick that was worked off is its only sign."""
    if not _ticks(marks):
        return worker_pulse(marks)
    return Pulse(heard_at=_marked_at(marks, bells(settings)[0].mark), bound=SILENCE)


def circuit_of(marks: Marks) -> Circuit:
    """What is known of Fireant."""
    mark = marks.get(CIRCUIT)
    if mark is None:
        return Circuit()
    return Circuit(
        failures=mark.detail.get("failures", 0), probes=mark.detail.get("probes", 0), probe_at=mark.due_at
    )


def pause_of(marks: Marks) -> Pause | None:
    """Who stopped everything, and why; None while nobody did."""
    mark = marks.get(ALL)
    if mark is None:
        return None
    return Pause(
        since=mark.marked_at,
        actor=str(mark.detail.get("actor", "")),
        reason=str(mark.detail.get("reason", "")),
    )


def held_removals(marks: Marks) -> int:
    """Reports that the host no longer has, kept until a person accepts it."""
    mark = marks.get(DISCOVERY_MARK)
    return 0 if mark is None else int(mark.detail.get("held_removals") or 0)


def discovered_at(marks: Marks) -> datetime | None:
    """When all reports were last read."""
    return _marked_at(marks, DISCOVERY_MARK)


def _ticks(marks: Marks) -> bool:
    return any(name.startswith("bell: ") for name in marks)


def _marked_at(marks: Marks, name: str) -> datetime | None:
    mark = marks.get(name)
    return None if mark is None else mark.marked_at
