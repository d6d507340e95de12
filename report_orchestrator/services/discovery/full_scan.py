"""Discover all reports of the host, and retire those that are gone."""

import hashlib
from collections.abc import Sequence
from itertools import islice

from django.db import transaction

from report_orchestrator.domain.error_codes import RefusalCode
from report_orchestrator.domain.reports import describe_report
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import ReportSchedule, SharedState, StateName
from report_orchestrator.models.changes import ChangeSource
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.next_times import correct_next_times
from report_orchestrator.services.discovery.result import Acceptance, Discovery
from report_orchestrator.services.discovery.schedule_sync import (
    CHUNK,
    Scan,
    lock_definitions,
    retire,
    schedules_of,
    sync_chunk,
)
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.scheduling.clock_leaps import follow_clock
from report_orchestrator.services.upkeep_failures import UpkeepTask, forget_failure

GUARDED_SHARE = 0.2
"""Removals of more than this share of all reports are held for a person: a wrong database router is a likelier cause."""
GUARDED_FROM = 5
"""Fewer removals than this are never held, whatever their share."""

HELD_SHOWN = 50


def discover(*, runtime: Runtime, dry_run: bool = False, accepted: Acceptance | None = None) -> Discovery:
    """Read all reports of the host and update our rows. Idempotent.

    With `dry_run` nothing is written. Removals beyond the guard are held unless `accepted`, which is recorded.

    Raises:
        NotPossibleError: other reports are missing than those that were accepted. None was removed.
    """
    scan = Scan(runtime=runtime, source=ChangeSource.DISCOVERY, result=Discovery(dry_run=dry_run))
    _discover(scan, accepted)
    return scan.result


def accept_removals(accepted: Acceptance, *, runtime: Runtime) -> list[ReportSchedule]:
    """Discover, accepting the removals; return the removed reports.

    Raises:
        NotPossibleError: other reports are missing than those that were accepted. None was removed.
    """
    return _discover(Scan(runtime=runtime, source=ChangeSource.DISCOVERY), accepted)


def renew_lease(runtime: Runtime) -> None:
    """Extend the lease of the discovery under way, if a task has taken one: once it ends, its worker counts as lost."""
    due_at = runtime.clock() + runtime.settings.lease
    SharedState.objects.filter(name=StateName.DISCOVERY_LEASE).update(due_at=due_at)


def _discover(scan: Scan, accepted: Acceptance | None) -> list[ReportSchedule]:
    """Return the removed reports."""
    runtime, result = scan.runtime, scan.result
    if not result.dry_run:
        follow_clock(runtime=runtime)
    scanned_keys: set[str] = set()
    read_at = runtime.clock()  # the host's database may show the whole stream as it was at its start
    summaries = runtime.reports.summaries()
    while chunk := list(islice(summaries, CHUNK)):
        scanned_keys.update(summary.key for summary in chunk)
        sync_chunk(chunk, scan, read_at=read_at)
        if not result.dry_run:
            renew_lease(runtime)
    removed = _remove_missing(scanned_keys, scan, accepted)
    if not result.dry_run:
        result.changes += correct_next_times(runtime=runtime)
    summary: dict[str, object] = {
        "examined": result.examined,
        "changes": len(result.changes),
        "held_removals": len(result.held_removals),
        "states": dict(result.states),
        "dry_run": result.dry_run,
    }
    if not result.dry_run:
        held = {"held": result.held_removals[:HELD_SHOWN], "held_digest": result.held_digest}
        SharedState.objects.record(StateName.DISCOVERY, now=runtime.clock(), detail=summary | held)
        SharedState.objects.filter(name=StateName.DISCOVERY_LEASE).delete()
        forget_failure(UpkeepTask.DISCOVERY)
    emit_schedule_event("reports_discovered", **summary)
    if accepted and accepted.digest and not removed:
        raise NotPossibleError(
            "The reports missing from the project have changed since you confirmed. None was removed: "
            "check the list again.",
            code=RefusalCode.REPORTS_CHANGED,
        )
    return removed


def _remove_missing(scanned_keys: set[str], scan: Scan, accepted: Acceptance | None) -> list[ReportSchedule]:
    present = schedules_of(scan.runtime).present().order_by("pk").values_list("report_key", "name")
    gone = {key: name for key, name in present.iterator(chunk_size=CHUNK) if key not in scanned_keys}
    for summary in scan.runtime.reports.summaries(list(gone)):  # created while the others were read
        gone.pop(summary.key, None)
    reports = [describe_report(key, name) for key, name in gone.items()]
    known = len(scanned_keys) + len(gone)
    is_guarded = len(gone) >= GUARDED_FROM and len(gone) > known * GUARDED_SHARE
    is_accepted = accepted is not None and _digest(reports).startswith(accepted.digest)
    if gone and not is_accepted and (is_guarded or accepted):
        scan.result.held_removals, scan.result.held_digest = reports, _digest(reports)
        emit_schedule_event("removals_held", held=len(gone), known=known)
        return []
    return _retire_missing(list(gone), scan, accepted)


def _retire_missing(keys: Sequence[str], scan: Scan, accepted: Acceptance | None) -> list[ReportSchedule]:
    retired: list[ReportSchedule] = []
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        # Read again under the lock: a report that was just created under a deleted one's key has already been refreshed.
        with transaction.atomic(using=database_alias()):
            if not scan.result.dry_run:
                lock_definitions(scan.runtime)
            restored = {summary.key for summary in scan.runtime.reports.summaries(chunk)}
            retired += retire([key for key in chunk if key not in restored], scan, accepted)
    return retired


def _digest(reports: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(reports)).encode()).hexdigest()
