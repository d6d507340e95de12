"""Correct the stored next times that today's rules no longer give.

They depend on more than a report's definition: on the project's `TIME_ZONE`, the time zone data, and this app's cron rules.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache

from django.db import transaction

from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.reports import Json
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.definition import Change
from report_orchestrator.services.discovery.schedule_sync import (
    CHUNK,
    Edits,
    lock_definitions,
    save_edits,
    schedules_of,
)
from report_orchestrator.services.events import database_alias
from report_orchestrator.services.scheduling.create_runs import Created, insert_runs, new_skipped_run
from report_orchestrator.services.scheduling.scheduling_start import has_started
from report_orchestrator.services.timetable.cron_zone import next_run_at, next_time_after
from report_orchestrator.services.timetable.due_times import Skip

REASON = "The project's TIME_ZONE, the time zone data or the app's rules for crons changed."


def correct_next_times(*, runtime: Runtime) -> list[Change]:
    """Compare the next time of every scheduled report with the one computed now; return the changes. Idempotent.

    As after an edit of a cron, no time before the correction fires. One that was due by the old rules is recorded as missed.
    """
    outdated = _outdated_keys(_scheduled(runtime))
    changes: list[Change] = []
    for start in range(0, len(outdated), CHUNK):
        changes += _correct(outdated[start : start + CHUNK], runtime)
    return changes


def _scheduled(runtime: Runtime) -> ScheduleQuerySet:
    return schedules_of(runtime).filter(state=ScheduleState.ACTIVE, paused_at__isnull=True)


def _outdated_keys(schedules: ScheduleQuerySet) -> list[int]:
    """Return the primary keys of outdated rows. Rows with the same cron, zone and last decision share one search."""
    expected = lru_cache(maxsize=4096)(_expected)
    columns = ("next_run_at", "decided_until", "cron", "timezone")
    different = schedules.order_by().values_list(*columns).distinct()
    if all(expected(*inputs) in {None, stored} for stored, *inputs in different.iterator(chunk_size=CHUNK)):
        return []
    rows = schedules.values_list("pk", *columns)
    return [pk for pk, stored, *inputs in rows.iterator(chunk_size=CHUNK) if expected(*inputs) not in {None, stored}]


def _expected(decided_until: datetime, cron: str, timezone_name: str) -> datetime | None:
    """Return the next time by today's rules; None for an invalid report, which the next tick or discovery quarantines."""
    try:
        return next_time_after(decided_until, cron, timezone_name)
    except InvalidReportError:
        return None


def _correct(keys: Sequence[int], runtime: Runtime) -> list[Change]:
    with transaction.atomic(using=database_alias()):
        lock_definitions(runtime)
        locked = list(_scheduled(runtime).select_for_update().order_by("pk").filter(pk__in=keys))
        edits = Edits(now=runtime.clock(), source=ChangeSource.DISCOVERY)
        edits.updated = [
            row
            for row in locked
            if row.decided_until <= edits.now
            and _expected(row.decided_until, row.cron, row.timezone) not in {None, row.next_run_at}
        ]
        if has_started():
            insert_runs([run for row in edits.updated for run in _missed(row, edits.now, runtime)], Created())
        edits.changes = [(row, _retimed(row, edits.now), edits.now) for row in edits.updated]
        save_edits(edits)
    return [change for _row, change, _since in edits.changes]


def _missed(row: ReportSchedule, now: datetime, runtime: Runtime) -> Iterator[ReportRun]:
    due = row.next_run_at
    if due is not None and due <= now and row.is_live_at(due, unless_switched=not runtime.settings.shadow):
        yield new_skipped_run(row, Skip(scheduled_for=due, reason=ErrorCode.MISSED), now=now)


def _retimed(row: ReportSchedule, now: datetime) -> Change:
    before: Json = None if row.next_run_at is None else row.next_run_at.isoformat()
    row.decided_until = row.changed_at = now
    row.next_run_at = next_run_at(row)
    after: dict[str, Json] = {"next_run_at": row.next_run_at.isoformat(), "reason": REASON}
    return Change(kind=ChangeKind.RETIMED, report=str(row), before={"next_run_at": before}, after=after)
