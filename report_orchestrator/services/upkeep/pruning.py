"""Deletes old runs with their steps, old payloads and changes, removed reports, and the queue's own failures, in batches.

Unfinished runs and the last run of each report that the project has stay. If a prune and a person's retry want the same run, the
first to lock it wins.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from report_orchestrator.conf import Settings
from report_orchestrator.models import (
    Intervention,
    ReportChange,
    ReportRun,
    ReportSchedule,
    RunPayload,
    ScheduleState,
    SharedState,
    StateName,
)
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.models.shared_state import CLUSTER_PREFIX
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.timetable.due_times import on_time_since
from report_orchestrator.services.timetable.effective_settings import Switch
from report_orchestrator.services.upkeep_failures import UpkeepTask, forget_failure, record_failure
from report_orchestrator.setting_values import MOST_DAYS

EVERY = timedelta(hours=1)
RETRY_AFTER = timedelta(minutes=10)
BATCH = 500
CLUSTERS_KEPT_FOR = timedelta(days=1)
"""The rows of clusters that have ended are deleted after this time."""


def prune_if_due(*, runtime: Runtime, until: datetime) -> dict[str, int]:
    """Prune at most once an hour over all clusters. Return the number of rows deleted of each kind, zeros left out."""
    now = runtime.clock()
    if now >= until or not SharedState.objects.claim_turn(StateName.PRUNING, now=now, until=now + EVERY):
        return {}
    return prune(runtime=runtime, until=until)


def prune(*, runtime: Runtime, until: datetime) -> dict[str, int]:
    """Delete rows that are older than the settings keep them, until none is left or `until` has come.

    The kinds take turns, so that many rows of one kind, or an error, do not delay the others.
    """
    now = runtime.clock()
    batches: dict[str, Callable[[], int]] = {"clusters": lambda: _ended_clusters(now).delete()[0]}
    if runtime.settings.keep_runs_days:
        before = now - timedelta(days=runtime.settings.keep_runs_days)
        audit_before = min(before, now - timedelta(days=runtime.settings.keep_audit_days or MOST_DAYS))
        batches |= {
            "runs": lambda: _delete(_old_runs(before, audit_before)),
            "changes": lambda: _delete(_unused_changes(before, audit_before, now, runtime.settings)),
            "reports": lambda: _delete(_reports_without_history(before)),
            "queue_failures": lambda: runtime.queue.prune_failures(before=before, most=BATCH),
        }
    if runtime.settings.keep_payloads_days:
        unused_since = now - timedelta(days=runtime.settings.keep_payloads_days)
        batches["payloads"] = lambda: _delete(RunPayload.objects.filter(run__ended_at__lt=unused_since))
    counts: Counter[str] = Counter()
    errors: list[Exception] = []
    while batches and runtime.clock() < until:
        for kind, batch in list(batches.items()):
            deleted = _try(kind, batch, errors)
            counts[kind] += deleted
            if deleted < BATCH:
                del batches[kind]
    _record_result(errors, runtime)
    pruned = {kind: count for kind, count in counts.items() if count}
    if pruned:
        emit_schedule_event("pruned", **pruned)
    return pruned


def _old_runs(before: datetime, audit_before: datetime) -> QuerySet[ReportRun]:
    later = ReportRun.objects.filter(schedule=OuterRef("schedule"), pk__gt=OuterRef("pk"))
    # In the order of the index on `ended_at`: in the default order each batch would read all runs that are kept.
    ended = ReportRun.objects.ended().filter(ended_at__lt=before).order_by("ended_at")
    acted_on = Intervention.objects.filter(run=OuterRef("pk"))
    return ended.filter(
        Q(schedule__state=ScheduleState.REMOVED) | Exists(later), Q(ended_at__lt=audit_before) | ~Exists(acted_on)
    )


def _unused_changes(
    before: datetime, audit_before: datetime, now: datetime, settings: Settings
) -> QuerySet[ReportChange]:
    """Return the old changes that no later decision needs.

    Pauses since the last window decide which of its times were missed; the removal of a report whose key another one has
    now decides where the backfill of that one begins.
    """
    switch = Switch.from_state(SharedState.objects.filter(name=StateName.SCHEDULES).first())
    old = ReportChange.objects.filter(noticed_at__lt=min(before, on_time_since(now, settings, switch)))
    successors = ReportSchedule.objects.present().filter(pk=OuterRef("schedule"))
    audit = Q(source__in=[ChangeSource.PERSON, ChangeSource.SETTINGS], noticed_at__gte=audit_before)
    return old.exclude(audit | Q(kind=ChangeKind.REMOVED) & Exists(successors))


def _reports_without_history(before: datetime) -> QuerySet[ReportSchedule]:
    """Return removed reports whose runs and changes have been deleted."""
    # Not by joins: PostgreSQL refuses to lock the outer side of one.
    runs, changes = (model.objects.filter(schedule=OuterRef("pk")) for model in (ReportRun, ReportChange))
    removed = ReportSchedule.objects.filter(state=ScheduleState.REMOVED, changed_at__lt=before)
    return removed.exclude(Exists(runs) | Exists(changes))


def _ended_clusters(now: datetime) -> QuerySet[SharedState]:
    return SharedState.objects.filter(name__startswith=CLUSTER_PREFIX, marked_at__lt=now - CLUSTERS_KEPT_FOR)


def _delete(
    rows: QuerySet[ReportRun] | QuerySet[ReportChange] | QuerySet[RunPayload] | QuerySet[ReportSchedule],
) -> int:
    """Delete one batch. Locks first: a run that a person has retried since is no longer old."""
    with transaction.atomic(using=database_alias()):
        keys = [row.pk for row in rows.select_for_update(skip_locked=True).only("pk")[:BATCH]]
        rows.model._default_manager.filter(pk__in=keys).delete()
    return len(keys)


def _record_result(errors: Sequence[Exception], runtime: Runtime) -> None:
    if not errors:
        forget_failure(UpkeepTask.PRUNING)
        return
    record_failure(UpkeepTask.PRUNING, errors[0], clock=runtime.clock)
    SharedState.objects.filter(name=StateName.PRUNING).update(due_at=runtime.clock() + RETRY_AFTER)


def _try(kind: str, batch: Callable[[], int], errors: list[Exception]) -> int:
    try:
        return batch()
    except Exception as error:  # noqa: BLE001 - recorded as a failure; the queue's broker may raise anything
        errors.append(error)
        emit_schedule_event("pruning_failed", kind=kind, error=str(error))
        return 0
