"""The tasks that qcluster calls by dotted path. Each calls a service, and ends well within the queue's time limit."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial, wraps
from typing import ParamSpec, TypeVar

from django.db import Error
from django.db.models import QuerySet

from report_orchestrator.adapters.queue.django_q import URGENT, send
from report_orchestrator.adapters.queue.message_slots import free_message_slot
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import TransientError
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.models.shared_state import CLOCK_SLACK, TURN_PREFIX
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.changed import refresh_changed_at_tick, refresh_changed_if_due
from report_orchestrator.services.discovery.full_scan import discover, renew_lease
from report_orchestrator.services.fireant.limits import blocked_steps
from report_orchestrator.services.running import worker
from report_orchestrator.services.running.db_retry import with_conflict_retry, with_db_retry
from report_orchestrator.services.running.progress import record_progress
from report_orchestrator.services.scheduling.create_runs import Created
from report_orchestrator.services.scheduling.evaluations import is_recorded, record_evaluation
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.services.scheduling.scheduling_start import start_scheduling
from report_orchestrator.services.timetable.queue_schedules import (
    PREFIX,
    TASKS,
    pipeline_group,
    pipeline_name,
    window_schedule,
)
from report_orchestrator.services.timetable.queue_sync import MANY, request_sync, sync_schedules
from report_orchestrator.services.upkeep import tick as upkeep
from report_orchestrator.services.upkeep_failures import UpkeepTask, record_failure
from report_orchestrator.wiring import get_runtime

LONGEST = timedelta(seconds=45)
"""Longest time in which one tick begins more work."""
TURN = timedelta(seconds=2)
"""Longest time in which one message takes more runs: then the host's own tasks have their turn, and the next message
continues.
"""
DECIDE_FOR = timedelta(seconds=20)
"""Longest time in which one tick takes more due reports, as a ticking cluster sends no heartbeats meanwhile. The next tick
follows at once.
"""
FIRST_DISCOVERY_RETRY, LAST_DISCOVERY_RETRY = timedelta(minutes=1), timedelta(hours=1)
SLICE = timedelta(seconds=1)
"""Interval at which a busy worker checks for overdue upkeep, whose message may be far behind in the queue."""

P = ParamSpec("P")
T = TypeVar("T")


def _repeating_conflicts(task: Callable[P, T]) -> Callable[P, T]:
    """Run a tick again at once where a deadlock or a serialization failure ended it: the queue would count a failed task."""

    @wraps(task)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return with_conflict_retry(partial(task, *args, **kwargs))

    return run


def work(run_id: int | None = None, kind: str = "") -> int:
    """Work on the run that the message names, then on other startable runs. Return the number of runs advanced.

    The next message is sent before this turn ends, so that no worker waits for it.
    """
    if kind != URGENT:
        with_db_retry(free_message_slot)
    runtime = get_runtime()
    until = runtime.clock() + TURN
    moved = 0
    while (now := runtime.clock()) < until:
        advance = partial(worker.run_due, run_id, runtime=runtime, until=min(until, now + SLICE))
        some = with_db_retry(advance)
        if not some:
            break
        moved += some
        with_db_retry(partial(record_progress, StateName.WORKER, StateName.RUNS_ADVANCED, now=runtime.clock()))
        with_conflict_retry(partial(upkeep.tick_if_overdue, runtime=runtime, until=now + LONGEST))
        with_db_retry(partial(_request_next_turn, runtime))
        run_id = None
    return moved


def _request_next_turn(runtime: Runtime) -> None:
    now = runtime.clock()
    left = ReportRun.objects.claimable(now).exclude(step__in=blocked_steps(now, runtime.settings))
    runtime.queue.notify(list(left.values_list("pk", flat=True)[:1]))


def tick() -> None:
    """Poll deferred runs, wake runs that are due, and rescue runs whose worker was lost."""
    run_upkeep(get_runtime(), longest=LONGEST)


@_repeating_conflicts
def run_upkeep(runtime: Runtime, *, longest: timedelta) -> None:
    """Run one tick, and check for edits in approaches without a sensor. After the time `longest`, no more polls begin."""
    upkeep.tick(runtime=runtime, until=runtime.clock() + longest)
    _replace_lost_discovery(runtime)
    if runtime.settings.scheduling_approach == "pipeline" and not is_recorded(now=runtime.clock()):
        record_evaluation(Created(), now=runtime.clock(), settings=runtime.settings)
    if runtime.settings.scheduling_approach != "sensor":
        refresh_changed_if_due(runtime=runtime)


@_repeating_conflicts
def heartbeat() -> None:
    """Record that a worker is alive, unless one has within a few seconds."""
    record_progress(StateName.WORKER, now=get_runtime().clock())


@_repeating_conflicts
def cron_sensor() -> int:
    """Tick of the sensor approach: sync edits that sent no signal, then create due runs. Return their number."""
    runtime = get_runtime()
    start_scheduling(runtime=runtime)
    refresh_changed_at_tick(runtime=runtime)
    return _open_due_runs(runtime, "cron_sensor").runs


@_repeating_conflicts
def decide_window() -> int:
    """Tick of the schedule approach: sync edits that sent no signal, then create due runs. Return their number."""
    runtime = get_runtime()
    start_scheduling(runtime=runtime)
    refresh_changed_at_tick(runtime=runtime)
    created = _open_due_runs(runtime, "decide_window")
    # Without time zones the queue's own next time would skip a repeated hour.
    line = window_schedule(runtime.read_settings(), runtime.clock())
    runtime.queue.move_schedule(line.name, line.next_run_at)
    return created.runs


def _open_due_runs(runtime: Runtime, task: str) -> Created:
    """Create due runs for as long as a tick may take; if some are left, let the tick follow at once."""
    created = open_due_runs(runtime=runtime, until=runtime.clock() + DECIDE_FOR)
    record_evaluation(created, now=runtime.clock(), settings=runtime.settings)
    if not created.is_complete:
        record_progress(StateName.TIMES_DECIDED, now=runtime.clock())
        now, dotted = runtime.clock(), f"{TASKS}.{task}"
        if not SharedState.objects.filter(name=TURN_PREFIX + dotted).update(due_at=now):
            send(dotted, name=task)
    return created


@_repeating_conflicts
def run_report(schedule_id: int) -> int:
    """Tick of the pipeline approach for one report: create its due runs, then those of others. Return their number."""
    runtime = get_runtime()
    start_scheduling(runtime=runtime)
    until = runtime.clock() + DECIDE_FOR
    only = ReportSchedule.objects.filter(pk=schedule_id)
    created = open_due_runs(runtime=runtime, schedules=only, notify=False, until=until)
    if schedule := only.first():
        name = pipeline_name(schedule.pk, schedule.report_key, schedule.name)
        runtime.queue.notify(created.run_ids, group=pipeline_group(schedule.pk))
        if (
            schedule.next_run_at is None or schedule.next_run_at > runtime.clock()
        ):  # else the scheduler would fire it at every pass
            runtime.queue.move_schedule(name, schedule.next_run_at)
    return created.runs + _create_others(runtime, until)


def _create_others(runtime: Runtime, until: datetime) -> int:
    """Create the due runs of reports whose messages a burst left out. The next tick moves their rows."""
    due = ReportSchedule.objects.filter(report_model=runtime.reports.label, next_run_at__lte=runtime.clock())
    keys = list(due.values_list("pk", flat=True)[: MANY + 1])
    if not keys:
        return 0
    created = open_due_runs(runtime=runtime, until=until)
    if created.runs:
        request_sync(keys)
    return created.runs


@_repeating_conflicts
def rediscover() -> None:
    """Tick of a cluster: discover, unless the queue's own schedule has done so lately."""
    runtime = get_runtime()
    now = runtime.clock()
    lately = (now - runtime.settings.discovery_sensor_interval / 2, now + CLOCK_SLACK)
    if not SharedState.objects.filter(name=StateName.DISCOVERY, marked_at__range=lately).exists():
        run_discovery()


@_repeating_conflicts
def run_discovery() -> int:
    """Discover the host's reports and sync the queue's schedules. Return the number of changes.

    After a failure the next discovery is in a minute, then in two and so on up to an hour.
    """
    runtime = get_runtime()
    SharedState.objects.record(StateName.DISCOVERY_LEASE, now=runtime.clock())
    renew_lease(runtime)
    try:
        result = discover(runtime=runtime)
    except Exception as error:
        with suppress(Error):
            _record_failed_discovery(runtime, error)
        raise
    sync_schedules(runtime=runtime)
    return len(result.changes)


def _replace_lost_discovery(runtime: Runtime) -> None:
    """Record a discovery whose worker was lost as failed, and discover again."""
    if _lease().filter(due_at__lte=runtime.clock()).delete()[0]:
        lost = TransientError("The worker was lost during the discovery.", code=ErrorCode.WORKER_LOST)
        _record_failed_discovery(runtime, lost)


def _record_failed_discovery(runtime: Runtime, error: Exception) -> None:
    failures = record_failure(UpkeepTask.DISCOVERY, error, clock=runtime.clock)
    _lease().delete()
    _discover_again(runtime, failures)


def _lease() -> QuerySet[SharedState]:
    return SharedState.objects.filter(name=StateName.DISCOVERY_LEASE)


def _discover_again(runtime: Runtime, failures: int) -> None:
    pause = min(FIRST_DISCOVERY_RETRY * 2 ** min(failures - 1, 10), LAST_DISCOVERY_RETRY)
    retry_at = runtime.clock() + pause
    turn = SharedState.objects.filter(name=f"{TURN_PREFIX}{TASKS}.rediscover")
    if turn.exists():
        turn.filter(due_at__gt=retry_at).update(due_at=retry_at)
    elif pause < runtime.settings.discovery_sensor_interval:  # a cluster without our ticks
        runtime.queue.move_schedule(f"{PREFIX}discovery", retry_at)
