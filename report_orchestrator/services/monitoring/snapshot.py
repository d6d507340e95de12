"""One snapshot of reports, runs, workers and Fireant, read once and rendered by health, doctor, status and dashboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q

from report_orchestrator.conf import Settings
from report_orchestrator.models import ReportSchedule, ScheduleState, SharedState, StateName
from report_orchestrator.models.schedules import live_condition
from report_orchestrator.models.shared_state import FAILURE_PREFIX
from report_orchestrator.services.fireant.circuit_breaker import Circuit
from report_orchestrator.services.monitoring.overdue import (
    OVERDUE_AFTER,
    Heartbeat,
    SharedStates,
    Startable,
    has_moved,
    has_own_scheduler,
    marked_at,
    oldest_startable,
    scheduler_heartbeat,
    worker_heartbeat,
)
from report_orchestrator.services.monitoring.unfinished_runs import UnfinishedRuns, read_unfinished_runs
from report_orchestrator.services.scheduling.clock_leaps import ClockHistory
from report_orchestrator.services.timetable.effective_settings import Switch, effective_settings
from report_orchestrator.services.upkeep_failures import UpkeepTask


@dataclass(frozen=True, slots=True)
class ScheduleCount:
    """Reports of one state; `problem` is the error code of quarantined ones. `first_due_at` is their earliest next run.

    Of one quarantined report, `name` is the name.
    """

    state: ScheduleState
    problem: str
    count: int
    paused: int
    in_shadow: int
    first_due_at: datetime | None
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The pause of one report, or of all where `report` is None. `by` and `reason` may be empty."""

    report: str | None = None
    since: datetime | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedUpkeep:
    """A task of upkeep whose last `failures` attempts failed, the first of them at `since`.

    `cause` is the exception's class or our error code. `message` is its text without secrets.
    """

    task: UpkeepTask
    failures: int
    since: datetime
    last_at: datetime
    cause: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state at `now`, under the effective settings. Instants are aware UTC, and None where there is none.

    `startable_since` is the time at which the oldest run that needs only a worker became ready, `stalled_since` that of
    the runs of a kind of which none moved lately. `runs_advance` and `due_times_advance` say whether workers and
    scheduler work through a backlog. `switch` is the last change of approach. `waits_for_clock` counts the reports that
    wait until a clock that was set back has caught up.
    """

    now: datetime
    settings: Settings
    schedule_counts: Sequence[ScheduleCount]
    unfinished_runs: UnfinishedRuns
    startable_since: datetime | None
    stalled_since: datetime | None
    runs_advance: bool
    due_times_advance: bool
    workers: Heartbeat
    scheduler: Heartbeat
    has_own_scheduler: bool
    circuit: Circuit
    pause: Pause | None
    switch: Switch | None
    clock: ClockHistory | None
    waits_for_clock: int
    held_removals: int
    discovered_at: datetime | None
    polled_at: datetime | None
    failed_upkeep: Sequence[FailedUpkeep]

    @property
    def paused_reports(self) -> int:
        return sum(row.paused for row in self.schedule_counts if row.state is not ScheduleState.REMOVED)

    @property
    def reports_in_shadow(self) -> int:
        return sum(row.in_shadow for row in self.schedule_counts if row.state is not ScheduleState.REMOVED)

    @property
    def quarantined(self) -> Sequence[ScheduleCount]:
        return [row for row in self.schedule_counts if row.state is ScheduleState.QUARANTINED]

    @property
    def first_due_at(self) -> datetime | None:
        return min((row.first_due_at for row in self.schedule_counts if row.first_due_at), default=None)

    @property
    def overdue_since(self) -> datetime | None:
        """The time since which a run is ready that no worker has picked up; None if none is overdue."""
        return self._if_overdue(self.stalled_since)

    @property
    def lease_expired_since(self) -> datetime | None:
        """The end of the first lease whose worker was lost and whose run no other worker took over."""
        return None if self.runs_advance else self._if_overdue(self.unfinished_runs.earliest_lease_end)

    def _if_overdue(self, instant: datetime | None) -> datetime | None:
        return instant if instant is not None and self.now - instant > OVERDUE_AFTER else None

    @property
    def longest_overdue(self) -> timedelta | None:
        """Age of the oldest run without a worker or expired lease; None if there is none."""
        since = (self.startable_since, self.unfinished_runs.earliest_lease_end)
        ages = [self.now - instant for instant in since if instant is not None and instant < self.now]
        return max(ages, default=None)


def read_snapshot(now: datetime, settings: Settings, *, report_model: str) -> Snapshot:
    """Read the snapshot in three queries; in up to four more where the wake-up time of a run has passed, and
    one where the clock was set back."""
    states = read_shared_states()
    settings = effective_settings(settings, states=states)
    circuit, unfinished_runs = Circuit.from_state(states.get(StateName.CIRCUIT)), read_unfinished_runs()
    has_woken = unfinished_runs.earliest_wake is not None and unfinished_runs.earliest_wake <= now
    startable = oldest_startable(now, settings, circuit) if has_woken else Startable()
    discovery = states.get(StateName.DISCOVERY)
    clock = ClockHistory.from_state(states.get(StateName.CLOCK))
    ahead = ReportSchedule.objects.filter(report_model=report_model, next_run_at__isnull=False, decided_until__gt=now)
    ours = Q(report_model=report_model)
    live = live_condition(now, unless_switched=not settings.shadow)
    counts = (
        ReportSchedule.objects.order_by("state", "problem_code")
        .values_list("state", "problem_code")
        .annotate(
            n=Count("*"),
            paused=Count("pk", filter=Q(paused_at__isnull=False)),
            in_shadow=Count("pk", filter=ours) - Count("pk", filter=ours & live),
            first_due_at=Min("next_run_at", filter=ours),
            name=Min("name", filter=Q(state=ScheduleState.QUARANTINED)),
        )
    )
    return Snapshot(
        now=now,
        settings=settings,
        schedule_counts=[ScheduleCount(ScheduleState(state), *values) for state, *values in counts],
        unfinished_runs=unfinished_runs,
        startable_since=startable.oldest,
        stalled_since=startable.stalled(now, states),
        runs_advance=has_moved(now, states, StateName.RUNS_ADVANCED),
        due_times_advance=has_moved(now, states, StateName.TIMES_DECIDED),
        workers=worker_heartbeat(states),
        scheduler=scheduler_heartbeat(states, settings),
        has_own_scheduler=has_own_scheduler(states),
        circuit=circuit,
        pause=pause_from(states),
        switch=Switch.from_state(states.get(StateName.SCHEDULES)),
        clock=clock,
        waits_for_clock=ahead.count() if clock is not None and clock.set_back_by(now) else 0,
        held_removals=0 if discovery is None else int(discovery.detail.get("held_removals") or 0),
        discovered_at=marked_at(states, StateName.DISCOVERY),
        polled_at=marked_at(states, StateName.POLLS_DONE),
        failed_upkeep=_failed_upkeep(states),
    )


def _failed_upkeep(states: SharedStates) -> list[FailedUpkeep]:
    return [
        FailedUpkeep(
            task=task,
            failures=state.detail["failures"],
            since=datetime.fromisoformat(state.detail["since"]),
            last_at=state.marked_at,
            cause=state.detail["cause"],
            message=state.detail["message"],
        )
        for task in UpkeepTask
        if (state := states.get(FAILURE_PREFIX + task)) is not None and state.marked_at is not None
    ]


def read_shared_states() -> SharedStates:
    return SharedState.objects.in_bulk()


def pause_from(states: SharedStates) -> Pause | None:
    state = states.get(StateName.ALL_PAUSED)
    if state is None:
        return None
    by, reason = (str(state.detail.get(key, "")) for key in ("actor", "reason"))
    return Pause(since=state.marked_at, by=by, reason=reason)
