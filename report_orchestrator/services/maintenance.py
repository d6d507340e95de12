"""The tick that keeps everything moving: what waits is polled, what is due again is woken, what was lost is rescued."""

from __future__ import annotations

from datetime import datetime, timedelta

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import Mark, ReportRun, ReportSchedule
from report_orchestrator.ports import Ports
from report_orchestrator.services.approaches import LONGEST_UPKEEP
from report_orchestrator.services.clock_changes import follow_clock
from report_orchestrator.services.deciding import on_time
from report_orchestrator.services.gate import closed_steps
from report_orchestrator.services.polling import poll_due
from report_orchestrator.services.pruning import prune_if_due
from report_orchestrator.services.reconciling import sync_if_stale
from report_orchestrator.services.scheduling import RUNG_AT_ONCE, open_due_runs
from report_orchestrator.services.sweeping import sweep_if_due

TICK_MARK = "tick"
POLLER_MARK = "poller"
KEEP_TURN_EVERY = timedelta(seconds=2)
"""How often the poller renews its turn; a batch may come in between, which a lease outlasts anyway."""
PRUNING = timedelta(seconds=5)
"""The longest that a tick may spend on what is old; an hour later the next one goes on."""
PATIENCE = timedelta(seconds=10)
"""A run queued for longer than this lost its bell, or waits behind others: ringing again costs little."""


def tick(*, ports: Ports, settings: Settings, until: datetime) -> None:
    """One round of upkeep. Any number of clusters may tick at once."""
    follow_clock(TICK_MARK, now=ports.clock())
    Mark.objects.note(TICK_MARK, now=ports.clock())
    ring_startable(ports=ports, settings=settings)
    open_overlooked(ports=ports, settings=settings)
    poll_as_one(ports=ports, settings=settings, until=until)
    sync_if_stale(ports=ports, settings=settings)
    prune_if_due(ports=ports, settings=settings, until=min(until, ports.clock() + PRUNING))
    sweep_if_due(ports=ports)
    Mark.objects.note(TICK_MARK, now=ports.clock())


def tick_if_overdue(*, ports: Ports, settings: Settings, until: datetime) -> None:
    """Upkeep by a worker in the midst of other work, where all workers are so busy that the ticks wait behind it."""
    lately = ports.clock() - 2 * LONGEST_UPKEEP
    if not Mark.objects.filter(name=TICK_MARK, marked_at__gt=lately).exists():
        tick(ports=ports, settings=settings, until=until)


def open_overlooked(*, ports: Ports, settings: Settings) -> int:
    """Opens what a lost message or a broken line of the queue's table left undecided. Returns how many runs were opened.

    The schedule approach decides a window at a time on purpose, so nothing of it is overlooked before its next window.
    """
    if settings.scheduling_approach == "schedule":
        return 0
    late = ports.clock() - on_time(settings) / 2
    overlooked = ReportSchedule.objects.filter(report_model=ports.reports.label, next_run_at__lte=late)
    if not overlooked.exists():
        return 0
    return open_due_runs(ports=ports, settings=settings, schedules=overlooked).runs


def ring_startable(*, ports: Ports, settings: Settings) -> int:
    """Rings for runs that may start and that nobody seems to be about to take. Returns how many bells were rung."""
    now = ports.clock()
    overlooked = (
        ReportRun.objects.claimable(now)
        .exclude(status=Status.QUEUED, wake_at__gt=now - PATIENCE)
        .exclude(step__in=closed_steps(now, settings))
    )
    keys = list(overlooked.values_list("pk", flat=True)[:RUNG_AT_ONCE])
    ports.queue.ring(keys)
    return len(keys)


def poll_as_one(*, ports: Ports, settings: Settings, until: datetime) -> int:
    """Polls unless another worker is polling already, so that slow answers never take all workers.

    The turn is held as a run is, by a lease that is renewed between batches: a poller that died is missed for no longer.
    """
    now = ports.clock()
    if not ReportRun.objects.pollable(now).exists():
        return 0
    if not Mark.objects.win(POLLER_MARK, now=now, until=now + settings.lease):
        return 0

    kept_at = now

    def keep_turn() -> None:
        nonlocal kept_at
        if ports.clock() - kept_at >= KEEP_TURN_EVERY:
            kept_at = ports.clock()
            Mark.objects.filter(name=POLLER_MARK).update(due_at=kept_at + settings.lease)
            Mark.objects.note(TICK_MARK, now=kept_at)

    try:
        return poll_due(ports=ports, settings=settings, until=until, before_batch=keep_turn)
    finally:
        Mark.objects.filter(name=POLLER_MARK).update(due_at=ports.clock())
