"""The limits after which a silent process, a run, a lease or a report without a run is overdue.

Heartbeats are instants in the shared state that only completed work sets. A process that exists proves nothing: killed
workers can leave a cluster that looks alive and does nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Min, Q

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun, SharedState, StateName
from report_orchestrator.models.shared_state import CLOCK_SLACK, CLUSTER_PREFIX, TURN_PREFIX
from report_orchestrator.services.fireant.circuit_breaker import FIREANT_STEPS, Circuit
from report_orchestrator.services.fireant.limits import STEPS_BEFORE_JOB, is_limited, slots_left, submissions_since
from report_orchestrator.services.timetable.due_times import last_window, next_window
from report_orchestrator.services.timetable.effective_settings import Switch
from report_orchestrator.services.timetable.queue_schedules import ticks

SharedStates = Mapping[str, SharedState]

HEARTBEAT_TIMEOUT = timedelta(seconds=40)
"""For a cluster that ticks every few seconds."""
QUEUE_HEARTBEAT_TIMEOUT = timedelta(seconds=150)
"""For Django-Q's own scheduler, which checks a schedule of one minute every 30 seconds."""
OVERDUE_AFTER = timedelta(seconds=60)
"""For runs that are ready, and for leases that ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The last sign of life of a process; None before the first. `timeout` is the longest healthy silence.

    `is_stopped` is true once the last cluster has ended as planned, at `last_seen_at`.
    """

    last_seen_at: datetime | None
    timeout: timedelta
    is_stopped: bool = False

    def is_active(self, now: datetime) -> bool:
        """True if seen within the timeout, by a clock that has not been set back since."""
        if self.is_stopped or self.last_seen_at is None:
            return False
        return -CLOCK_SLACK <= now - self.last_seen_at <= self.timeout


def worker_heartbeat(states: SharedStates) -> Heartbeat:
    """Return the last message that a worker finished: a heartbeat, or a tick where the cluster does not tick by itself."""
    timeout = HEARTBEAT_TIMEOUT if has_own_scheduler(states) else QUEUE_HEARTBEAT_TIMEOUT
    if stopped_at := _stopped_at(states):
        return Heartbeat(last_seen_at=stopped_at, timeout=timeout, is_stopped=True)
    name = StateName.WORKER if _cluster_ticks(states) else StateName.TICK
    return Heartbeat(last_seen_at=marked_at(states, name), timeout=timeout)


def _stopped_at(states: SharedStates) -> datetime | None:
    """Return when the last cluster ended as planned; None if another one may be running, or ticks have gone on."""
    marked = [(row, row.marked_at) for row in states.values() if row.marked_at]
    clusters = [(row, at) for row, at in marked if row.name.startswith(CLUSTER_PREFIX)]
    ended_at = max((at for row, at in clusters if "ended" in row.detail), default=None)
    if ended_at is None or any(at > ended_at - HEARTBEAT_TIMEOUT for row, at in clusters if "ended" not in row.detail):
        return None
    ticks_sent = [at for row, at in marked if row.name == StateName.TICK or row.name.startswith(TURN_PREFIX)]
    return None if any(at > ended_at for at in ticks_sent) else ended_at


def _cluster_ticks(states: SharedStates) -> bool:
    """Return True if a cluster that ticks by itself has reported, and not long before the last tick."""
    reports = [row.marked_at for row in states.values() if row.name.startswith(CLUSTER_PREFIX) and row.marked_at]
    ticked_at = marked_at(states, StateName.TICK)
    return bool(reports) and (ticked_at is None or max(reports) > ticked_at - QUEUE_HEARTBEAT_TIMEOUT)


def scheduler_heartbeat(states: SharedStates, settings: Settings) -> Heartbeat:
    """Return the last scheduled tick; under Django-Q's own scheduler, which records none, the last finished one."""
    workers = worker_heartbeat(states)
    if workers.is_stopped or not has_own_scheduler(states):
        return workers
    return Heartbeat(last_seen_at=marked_at(states, ticks(settings)[0].state_name), timeout=HEARTBEAT_TIMEOUT)


def has_own_scheduler(states: SharedStates) -> bool:
    """True once a cluster of ours, and not only Django-Q's scheduler, has scheduled a tick."""
    return any(name.startswith(TURN_PREFIX) for name in states)


def marked_at(states: SharedStates, name: str) -> datetime | None:
    state = states.get(name)
    return None if state is None else state.marked_at


def late_before(now: datetime, settings: Settings) -> datetime:
    """Return the instant before which due reports without a run are late: the scheduler should have decided them."""
    if settings.scheduling_approach == "schedule":
        return last_window(now - late_after(settings), settings) + datetime.resolution
    return now - late_after(settings)


def late_after(settings: Settings) -> timedelta:
    """Return the time without a run after which a due report is late; in the approach `schedule`, after its window."""
    if settings.scheduling_approach == "schedule":
        return OVERDUE_AFTER
    return OVERDUE_AFTER + settings.cron_sensor_interval


def decision_due_at(due_at: datetime, settings: Settings, switch: Switch | None = None) -> datetime:
    """Return when the scheduler decides a due time: at once, or in its window; by a new approach after its beginning."""
    since = due_at if switch is None else max(due_at, switch.at)
    if settings.scheduling_approach == "schedule":
        return next_window(since - datetime.resolution, settings)
    return since


@dataclass(frozen=True, slots=True, kw_only=True)
class Startable:
    """When the oldest run due for a poll, and the oldest other one that needs only a worker, became ready; None for none."""

    poll: datetime | None = None
    other: datetime | None = None

    @property
    def oldest(self) -> datetime | None:
        return _earliest(self.poll, self.other)

    def stalled(self, now: datetime, states: SharedStates) -> datetime | None:
        """Return the oldest of a kind of which none moved within `OVERDUE_AFTER`."""
        polls_move, others_move = (
            has_moved(now, states, name) for name in (StateName.POLLS_DONE, StateName.RUNS_ADVANCED)
        )
        return _earliest(None if polls_move else self.poll, None if others_move else self.other)


def _earliest(*instants: datetime | None) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)


def has_moved(now: datetime, states: SharedStates, name: StateName) -> bool:
    """True if this kind of work went on within `OVERDUE_AFTER`: what is late then only waits its turn."""
    moved_at = marked_at(states, name)
    return moved_at is not None and -CLOCK_SLACK <= now - moved_at <= OVERDUE_AFTER


def oldest_startable(now: datetime, settings: Settings, circuit: Circuit) -> Startable:
    """Return when the oldest runs that need only a worker became, or become, ready.

    Runs queued behind another run of their report, for a slot under the limits, or for Fireant to recover wait on purpose.
    """
    free = ReportRun.objects.unfinished().exclude(status=Status.RUNNING)
    ready = free.exclude(step__in=_blocked_steps(now, settings, circuit)).out_of_line()
    polled = Q(status=Status.DEFERRED)
    return Startable(**ready.aggregate(poll=Min("wake_at", filter=polled), other=Min("wake_at", filter=~polled)))


def _blocked_steps(now: datetime, settings: Settings, circuit: Circuit) -> list[Step]:
    """Return the steps at which runs may wait for a slot or for Fireant.

    Waiting is expected only while other runs use the slots, or the next probe of Fireant is not overdue.
    """
    blocked: set[Step] = set()
    if circuit.probe_at is not None and now - circuit.probe_at <= OVERDUE_AFTER:
        blocked |= FIREANT_STEPS
    if is_limited(settings) and (slots_left(now, settings) <= 0 or submissions_since(now - OVERDUE_AFTER).exists()):
        blocked |= set(STEPS_BEFORE_JOB)
    return sorted(blocked)
