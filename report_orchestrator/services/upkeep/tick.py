"""One round of upkeep: wake runs that may start, create runs that were overlooked, poll, prune, sweep."""

from datetime import datetime, timedelta

from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.models.shared_state import CLOCK_SLACK
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.fireant.limits import blocked_steps
from report_orchestrator.services.running.poller import poll_due
from report_orchestrator.services.running.progress import record_progress
from report_orchestrator.services.scheduling.clock_leaps import follow_clock, is_verified
from report_orchestrator.services.scheduling.open_due_runs import NOTIFIED_AT_ONCE, open_due_runs
from report_orchestrator.services.scheduling.scheduling_start import start_scheduling
from report_orchestrator.services.timetable.due_times import longest_delay
from report_orchestrator.services.timetable.queue_schedules import LONGEST_UPKEEP
from report_orchestrator.services.timetable.queue_sync import sync_if_stale
from report_orchestrator.services.upkeep.clock_rollback import end_overlong_waits, shift_waits_after_rollback
from report_orchestrator.services.upkeep.pruning import prune_if_due
from report_orchestrator.services.upkeep.temp_files import sweep_if_due
from report_orchestrator.services.upkeep_failures import UpkeepTask, recording_failure

RENEW_EVERY = timedelta(seconds=2)
"""The poller renews its lease this often between batches; a batch takes less time than a lease lasts."""
PRUNE_FOR = timedelta(seconds=5)
"""The longest that one tick prunes; the next one, an hour later, continues."""
NOTIFY_AFTER = timedelta(seconds=10)
"""A run queued for longer than this lost its message or waits behind others: sending another costs little."""


def tick(*, runtime: Runtime, until: datetime) -> None:
    """Run one round of upkeep. Any number of clusters may tick at once."""
    with recording_failure(UpkeepTask.TICK, clock=runtime.clock):
        start_scheduling(runtime=runtime)
        shift_waits_after_rollback(StateName.TICK, now=runtime.clock())
        end_overlong_waits(runtime=runtime)
        follow_clock(runtime=runtime)
        SharedState.objects.record(StateName.TICK, now=runtime.clock())
        notify_startable(runtime=runtime)
        create_overlooked_runs(runtime=runtime, until=until)
        poll_exclusively(runtime=runtime, until=until)
    if is_verified(runtime.clock()):
        prune_if_due(runtime=runtime, until=min(until, runtime.clock() + PRUNE_FOR))
        sweep_if_due(runtime=runtime)
    sync_if_stale(runtime=runtime)  # last, so that its errors delay no other task
    SharedState.objects.record(StateName.TICK, now=runtime.clock())


def tick_if_overdue(*, runtime: Runtime, until: datetime) -> None:
    """Tick between two runs if the last tick is too long ago, as when all workers are busy and tick messages queue up."""
    now = runtime.clock()
    lately = (now - 2 * LONGEST_UPKEEP, now + CLOCK_SLACK)
    if not SharedState.objects.filter(name=StateName.TICK, marked_at__range=lately).exists():
        tick(runtime=runtime, until=until)


def create_overlooked_runs(*, runtime: Runtime, until: datetime) -> int:
    """Create the runs that a lost message or a broken queue schedule left out. Return their number.

    Does nothing in the schedule approach: there a run may wait for the next window on purpose.
    """
    if runtime.settings.scheduling_approach == "schedule":
        return 0
    late = runtime.clock() - longest_delay(runtime.settings) / 2
    overlooked = ReportSchedule.objects.filter(report_model=runtime.reports.label, next_run_at__lte=late)
    if not overlooked.exists():
        return 0
    return open_due_runs(runtime=runtime, schedules=overlooked, until=until).runs


def notify_startable(*, runtime: Runtime) -> int:
    """Send messages for runs that may start and that no worker has taken for a while. Return the number of messages."""
    now = runtime.clock()
    overlooked = (
        ReportRun.objects.claimable(now)
        .exclude(status=Status.QUEUED, wake_at__gt=now - NOTIFY_AFTER)
        .exclude(step__in=blocked_steps(now, runtime.settings))
    )
    keys = list(overlooked.values_list("pk", flat=True)[:NOTIFIED_AT_ONCE])
    runtime.queue.notify(keys)
    return len(keys)


def poll_exclusively(*, runtime: Runtime, until: datetime) -> int:
    """Poll unless another worker is polling, so that slow responses never occupy all workers. Return the number of polls.

    The poller's lease is renewed between batches: a dead poller is replaced once it ends.
    """
    now = runtime.clock()
    if not ReportRun.objects.pollable(now).exists():
        return 0
    if not SharedState.objects.claim_turn(StateName.POLLER, now=now, until=now + runtime.settings.lease):
        return 0

    renewed_at = now

    def renew() -> None:
        nonlocal renewed_at
        if runtime.clock() - renewed_at >= RENEW_EVERY:
            renewed_at = runtime.clock()
            SharedState.objects.filter(name=StateName.POLLER).update(due_at=renewed_at + runtime.settings.lease)
            SharedState.objects.record(StateName.TICK, now=renewed_at)
            record_progress(StateName.POLLS_DONE, now=renewed_at)

    try:
        polls = poll_due(runtime=runtime, until=until, before_batch=renew)
        if polls:
            record_progress(StateName.POLLS_DONE, now=runtime.clock())
        return polls
    finally:
        SharedState.objects.filter(name=StateName.POLLER).update(due_at=runtime.clock())
