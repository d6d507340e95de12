"""What is old is removed, a little at a time: runs with all that belongs to them, payloads, changes, the queue's own failures.

Nothing that is live is touched, and the last run of a report stays however old it is. What a prune and a person's retry both
want goes to whoever locks the row first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from report_orchestrator.conf import Settings
from report_orchestrator.models import Mark, ReportChange, ReportRun, RunPayload
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database, schedule_event

PRUNE_MARK = "prune"
EVERY = timedelta(hours=1)
BATCH = 500


def prune_if_due(*, ports: Ports, settings: Settings, until: datetime) -> dict[str, int]:
    """Prunes once an hour, whoever asks and has time left. Returns how many rows of each kind went, where any did."""
    now = ports.clock()
    if now >= until or not Mark.objects.win(PRUNE_MARK, now=now, until=now + EVERY):
        return {}
    return prune(ports=ports, settings=settings, until=until)


def prune(*, ports: Ports, settings: Settings, until: datetime) -> dict[str, int]:
    """Removes what is older than the settings keep, batch by batch, until nothing is left or the time is up."""
    now = ports.clock()
    kinds: dict[str, Callable[[], int]] = {}
    if settings.keep_runs_days:
        before = now - timedelta(days=settings.keep_runs_days)
        kinds |= {
            "runs": lambda: _delete(_old_runs(before)),
            "changes": lambda: _delete(ReportChange.objects.filter(noticed_at__lt=before)),
            "queue_failures": lambda: ports.queue.forget_failures(before=before, most=BATCH),
        }
    if settings.keep_payloads_days:
        unused_since = now - timedelta(days=settings.keep_payloads_days)
        kinds["payloads"] = lambda: _delete(RunPayload.objects.filter(run__ended_at__lt=unused_since))
    pruned = {kind: _until_empty(batch, ports, until) for kind, batch in kinds.items()}
    found = {kind: count for kind, count in pruned.items() if count}
    if found:
        schedule_event("pruned", **found)
    return found


def _old_runs(before: datetime) -> QuerySet[ReportRun]:
    later = ReportRun.objects.filter(schedule=OuterRef("schedule"), pk__gt=OuterRef("pk"))
    # The longest ended first, as their index has them: by the default order each batch would read all runs that are kept.
    return ReportRun.objects.ended().filter(Exists(later), ended_at__lt=before).order_by("ended_at")


def _delete(rows: QuerySet[ReportRun] | QuerySet[ReportChange] | QuerySet[RunPayload]) -> int:
    """One batch. Locked first: a run that a person has retried meanwhile is not old any more."""
    with transaction.atomic(using=database()):
        keys = [row.pk for row in rows.select_for_update(skip_locked=True).only("pk")[:BATCH]]
        rows.model._default_manager.filter(pk__in=keys).delete()
    return len(keys)


def _until_empty(batch: Callable[[], int], ports: Ports, until: datetime) -> int:
    removed = 0
    while ports.clock() < until:
        count = batch()
        removed += count
        if count < BATCH:
            break
    return removed
