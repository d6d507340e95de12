"""Update the queue's schedule table to the effective scheduling approach, without a restart.

The shared state `StateName.SCHEDULES` keeps five keys in its detail: `in_force`, the settings synced last; `time_zone`, the
project's at that time; `switch`, when others were replaced by them; `reports`, the primary keys of reports that changed
since; and `stale`, a token while the whole table has to be synced. Its `due_at` is the time of the next check for
rows that somebody deleted or damaged.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from report_orchestrator.conf import FIELDS, Settings
from report_orchestrator.models import ReportChange, SharedState, StateName
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.ports import ScheduleSync
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.timetable.due_times import on_time_since
from report_orchestrator.services.timetable.effective_settings import (
    DECIDING,
    Switch,
    effective_settings,
    schedule_settings,
)
from report_orchestrator.services.timetable.queue_schedules import (
    count_pipeline_schedules,
    pipeline_schedules,
    ticks,
    wanted_schedules,
)
from report_orchestrator.services.upkeep_failures import UpkeepTask, recording_failure

CHECK_EVERY = timedelta(minutes=1)
SETTING_NAMES = {field: setting for setting, field in FIELDS.items()}
MANY = 500
"""If more reports than this changed, the whole table is synced."""


def sync_schedules(*, runtime: Runtime) -> ScheduleSync:
    """Make these settings effective for all processes, and the schedule table match them. Idempotent.

    A runtime with effective settings leaves those in effect as they are.
    """
    with recording_failure(UpkeepTask.QUEUE_SCHEDULES, clock=runtime.clock):
        return _sync_all(runtime)


def _sync_all(runtime: Runtime) -> ScheduleSync:
    now = runtime.clock()
    settings, token = _begin(runtime)
    synced = runtime.queue.sync_schedules(wanted_schedules(settings, now, report_model=runtime.reports.label))
    _end(settings, token)
    _correct_turns(settings, now)
    _emit(synced, settings)
    return synced


def _correct_turns(settings: Settings, now: datetime) -> None:
    """Compute the next turns of the ticks again: an interval, the schedule's cron or `TIME_ZONE` may have changed."""
    for tick in ticks(settings):
        SharedState.objects.filter(name=tick.state_name, due_at__gt=now).update(due_at=tick.turn_after(now))


def remove_schedules(*, runtime: Runtime) -> ScheduleSync:
    """Remove all schedules of this app. The next tick or start of a cluster creates them again. Idempotent."""
    with transaction.atomic(using=database_alias()):
        SharedState.objects.filter(name=StateName.SCHEDULES).delete()
        removed = runtime.queue.sync_schedules([])
    _emit(removed, runtime.settings)
    return removed


def _begin(runtime: Runtime) -> tuple[Settings, str]:
    """Store the settings, and mark the table as stale until this sync ends; a crash leaves it stale for the next tick.

    The sync covers the reports that changed before. One that is edited meanwhile is recorded again, and stays recorded.
    """
    token, now = uuid4().hex, runtime.clock()
    with transaction.atomic(using=database_alias()):
        SharedState.objects.lock(StateName.SCHEDULES, now=now)
        # Read under the lock: a tick that began before a switch must not undo it.
        settings = runtime.read_settings()
        state = SharedState.objects.get(name=StateName.SCHEDULES)
        switch = _switch(state, settings, now)
        detail: dict[str, object] = {
            "in_force": schedule_settings(settings),
            "time_zone": timezone.get_default_timezone_name(),
            "stale": token,
        }
        _write(state, detail if switch is None else detail | {"switch": switch.as_json()})
    return settings, token


def _end(settings: Settings, token: str) -> None:
    """Mark the table as no longer stale, unless another sync or edit did so meanwhile.

    If that sync was for other settings, this one may have overwritten its rows: the table is stale again. If the schedules
    were removed, the next tick syncs it.
    """
    with transaction.atomic(using=database_alias()):
        state = SharedState.objects.select_for_update().filter(name=StateName.SCHEDULES).first()
        if state is None:
            return
        if state.detail.get("in_force") != schedule_settings(settings):
            _write(state, {**state.detail, "stale": uuid4().hex})
        elif state.detail.get("stale") == token:
            _write(state, {name: value for name, value in state.detail.items() if name != "stale"})


def _switch(state: SharedState, settings: Settings, now: datetime) -> Switch | None:
    """Return the last switch of approach. If these settings decide at other times than those in effect, it is now, and is
    recorded.
    """
    last = Switch.from_state(state)
    if "in_force" not in state.detail:
        return last
    in_force = effective_settings(settings, states={StateName.SCHEDULES: state})
    zone = state.detail.get("time_zone", timezone.get_default_timezone_name())
    same_windows = in_force.scheduling_approach != "schedule" or zone == timezone.get_default_timezone_name()
    if same_windows and all(getattr(in_force, name) == getattr(settings, name) for name in DECIDING):
        return last
    _record_switch(state, settings, now, zone)
    return Switch(at=now, on_time_since=on_time_since(now, in_force, last, ZoneInfo(zone)))


def _record_switch(state: SharedState, settings: Settings, now: datetime, zone: str) -> None:
    """Record the settings that changed, by name, for the audit. `zone` is the project's time zone before."""
    before = {"time_zone": zone, **state.detail["in_force"]}
    after = {"time_zone": timezone.get_default_timezone_name(), **schedule_settings(settings)}
    changed = {
        SETTING_NAMES.get(name, "TIME_ZONE"): name
        for name in (*DECIDING, "time_zone")
        if before.get(name) != after[name]
    }
    ReportChange.objects.create(
        schedule=None,
        kind=ChangeKind.APPROACH,
        before={setting: before.get(name) for setting, name in changed.items()},
        after={setting: after[name] for setting, name in changed.items()},
        source=ChangeSource.SETTINGS,
        noticed_at=now,
    )


def _write(state: SharedState, detail: dict[str, object]) -> None:
    state.detail = detail
    state.save(update_fields=["detail"])


def request_sync(keys: Collection[int]) -> None:
    """Record that the next tick must sync the schedules of the reports with these primary keys."""
    if not keys:
        return
    with transaction.atomic(using=database_alias()):
        state = SharedState.objects.select_for_update().filter(name=StateName.SCHEDULES).first()
        if state is None:
            return
        changed = set(state.detail.get("reports", [])) | set(keys)
        if len(changed) <= MANY:
            _write(state, {**state.detail, "reports": sorted(changed)})
        else:
            _write(state, {**state.detail, "reports": [], "stale": uuid4().hex})


def sync_if_stale(*, runtime: Runtime) -> ScheduleSync | None:
    """Sync the schedules of changed reports, or all if the table is stale. One query where nothing changed.

    Once a minute, over all clusters, restore rows that somebody deleted or damaged.
    """
    state = SharedState.objects.filter(name=StateName.SCHEDULES).first()
    if state is None or "in_force" not in state.detail or state.detail.get("stale"):
        return sync_schedules(runtime=runtime)
    if state.detail.get("reports"):
        return _sync_changed(runtime=runtime)
    return _restore(runtime=runtime) if _claim_check(state, runtime.clock()) else None


def _claim_check(state: SharedState, now: datetime) -> bool:
    """Return True if the next check is due and no other process has claimed it. One that is too far ahead is due too."""
    if state.due_at is not None and now < state.due_at <= now + CHECK_EVERY:
        return False
    claimed = SharedState.objects.filter(name=state.name, due_at=state.due_at).update(due_at=now + CHECK_EVERY)
    return bool(claimed)


def _restore(*, runtime: Runtime) -> ScheduleSync | None:
    """Sync the table if it lacks rows. Few rows are compared whole; those of many reports are only counted."""
    settings = runtime.read_settings()
    if settings.scheduling_approach == "pipeline":
        wanted = count_pipeline_schedules(settings, runtime.clock(), report_model=runtime.reports.label)
        return None if runtime.queue.count_schedules() == wanted else sync_schedules(runtime=runtime)
    with recording_failure(UpkeepTask.QUEUE_SCHEDULES, clock=runtime.clock), transaction.atomic(using=database_alias()):
        state = SharedState.objects.select_for_update().filter(name=StateName.SCHEDULES).first()
        if state is None or state.detail.get("stale"):  # removed, or a sync has begun meanwhile
            return None
        settings = runtime.read_settings()
        wanted_rows = wanted_schedules(settings, runtime.clock(), report_model=runtime.reports.label)
        synced = runtime.queue.sync_schedules(wanted_rows)
    _emit(synced, settings)
    return synced if synced.changed else None


def _sync_changed(*, runtime: Runtime) -> ScheduleSync | None:
    # One transaction with the record of the changed reports, so that a failure leaves them recorded.
    with recording_failure(UpkeepTask.QUEUE_SCHEDULES, clock=runtime.clock), transaction.atomic(using=database_alias()):
        state = SharedState.objects.select_for_update().filter(name=StateName.SCHEDULES).first()
        if state is None:  # removed meanwhile
            return None
        settings = runtime.read_settings()
        keys = state.detail.get("reports", [])
        _write(state, {**state.detail, "reports": []})
        if settings.scheduling_approach != "pipeline":
            return None
        wanted = pipeline_schedules(runtime.reports.label, keys)
        synced = runtime.queue.sync_schedules(wanted, only=[(key,) for key in keys])
    _emit(synced, settings)
    return synced


def _emit(synced: ScheduleSync, settings: Settings) -> None:
    if synced.changed:
        emit_schedule_event(
            "schedules_synced",
            approach=settings.scheduling_approach,
            lines_created=len(synced.created),
            lines_updated=len(synced.updated),
            lines_removed=len(synced.removed),
        )
