"""Compare the host's reports with our rows, and write every difference with its history, in one transaction."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import transaction

from report_orchestrator.domain.reports import Json, ReportSummary, describe_report
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState, SharedState, StateName
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.models.shared_state import CLOCK_SLACK
from report_orchestrator.models.upsert import upsert
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.definition import (
    Change,
    Definition,
    apply_definition,
    changes_between,
    changes_of_new,
    define,
    has_undecided_times,
    is_retimed,
)
from report_orchestrator.services.discovery.result import Acceptance, Discovery
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.evidence.acting_user import acting_user
from report_orchestrator.services.scheduling.clock_leaps import follow_clock
from report_orchestrator.services.scheduling.open_due_runs import NOTIFIED_AT_ONCE, decide_before_edit
from report_orchestrator.services.scheduling.scheduling_start import has_started
from report_orchestrator.services.timetable.queue_sync import request_sync

CHUNK = 1000
LONGEST_KEY = 200

_COMPARED = (*Definition._fields, "overlap", "host_updated_at")
_OF_PERSONS = ("paused_at", "paused_by", "pause_reason", "live_from", "live_until")
_COLUMNS = (*_COMPARED, *_OF_PERSONS, "next_run_at", "decided_until", "discovered_at", "changed_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One pass over reports. `result` is filled on the way; `source` is recorded with each change."""

    runtime: Runtime
    source: ChangeSource
    result: Discovery = field(default_factory=Discovery)


@dataclass(slots=True, kw_only=True)
class Edits:
    """The writes of one chunk. `overdue` are copies of edited rows that still had undecided times, and `ending` those of
    rows that are no longer active. `replaced` are copies of the rows of removed reports whose keys other reports have now.

    Each of the `changes` comes with the instant from which it is effective.
    """

    now: datetime
    source: ChangeSource
    overdue: list[ReportSchedule] = field(default_factory=list)
    ending: list[ReportSchedule] = field(default_factory=list)
    replaced: list[ReportSchedule] = field(default_factory=list)
    created: list[ReportSchedule] = field(default_factory=list)
    updated: list[ReportSchedule] = field(default_factory=list)
    changes: list[tuple[ReportSchedule, Change, datetime]] = field(default_factory=list)
    edited_at: dict[str, datetime] = field(default_factory=dict)
    """When changed reports were edited in the project, by key, as far as it is known: their editors can be found."""
    actors: Mapping[str, str] = field(default_factory=dict)

    def note_edit(self, summary: ReportSummary, known_stamp: datetime | None) -> None:
        """Note when a changed report was edited: now if a signal told of it, else by a change stamp that is new.

        An edit that leaves the stamp alone was not made by the admin.
        """
        if self.source is ChangeSource.SIGNAL:
            self.edited_at[summary.key] = self.now
        elif summary.updated_at is not None and summary.updated_at != known_stamp:
            self.edited_at[summary.key] = summary.updated_at

    def name_editors(self, runtime: Runtime) -> None:
        """Find who made the edits: the user of the request that saves, else by the log of the project's admin."""
        user = acting_user() if self.source is ChangeSource.SIGNAL else ""
        self.actors = dict.fromkeys(self.edited_at, user) if user else runtime.reports.editors(self.edited_at)


def schedules_of(runtime: Runtime) -> ScheduleQuerySet:
    return ReportSchedule.objects.filter(report_model=runtime.reports.label)


def sync_chunk(chunk: Sequence[ReportSummary], scan: Scan, *, read_at: datetime | None = None) -> None:
    """Update the rows of a chunk of reports. Where nothing differs, nothing is locked or written.

    A caller that read the host's table before it held the lock gives that instant as `read_at`: rows edited since then
    come from newer readings and are left alone.
    """
    runtime = scan.runtime
    differing = _find_differing([summary for summary in chunk if _has_usable_key(summary, scan)], scan)
    if not differing:
        return
    if not scan.result.dry_run:
        follow_clock(runtime=runtime)
    with transaction.atomic(using=database_alias()):
        if not scan.result.dry_run:  # a signal and a discovery may both find the same new report
            lock_definitions(runtime)
        keys = [summary.key for summary, _definition in differing]
        locked = schedules_of(runtime).select_for_update().order_by("pk").filter(report_key__in=keys)
        rows = {row.report_key: row for row in locked}
        # The clock is read after the locks: times that a tick decided until then precede this edit.
        edits = Edits(now=runtime.clock(), source=scan.source)
        for summary, definition in differing:
            row = rows.get(summary.key)
            if row is None or read_at is None or not read_at < row.changed_at <= edits.now + CLOCK_SLACK:
                _compare(summary, definition, row, runtime, edits)
        if not scan.result.dry_run:
            edits.name_editors(runtime)
            save_edits(edits)
            if (edits.overdue or edits.ending) and has_started():
                created = decide_before_edit(edits.overdue, now=edits.now, settings=runtime.settings)
                # A person who ends a report's schedule does not expect its missed times to run now.
                ends_only = replace(runtime.settings, missed_runs="none")
                created.run_ids += decide_before_edit(edits.ending, now=edits.now, settings=ends_only).run_ids
                runtime.queue.notify(created.run_ids[:NOTIFIED_AT_ONCE])
    scan.result.changes += [change for _row, change, _since in edits.changes]


def lock_definitions(runtime: Runtime) -> None:
    """Make other writers of definitions wait until the surrounding transaction ends."""
    SharedState.objects.lock(StateName.DISCOVERY_LOCK, now=runtime.clock())


def _has_usable_key(summary: ReportSummary, scan: Scan) -> bool:
    problem = summary.key_problem or long_key_problem(summary.key)
    if not problem:
        return True
    report = describe_report(summary.key[:LONGEST_KEY], summary.name)
    scan.result.refuse_key(report, problem)
    event = "report_key_unusable" if summary.key_problem else "report_key_too_long"
    emit_schedule_event(event, report=report, problem=problem)
    return False


def long_key_problem(key: str) -> str:
    """Return the reason why a key cannot be stored; an empty text if it can."""
    if len(key) <= LONGEST_KEY:
        return ""
    return f"The key is too long: it has {len(key)} characters, and at most {LONGEST_KEY} are possible. Shorten it."


def _find_differing(chunk: Sequence[ReportSummary], scan: Scan) -> list[tuple[ReportSummary, Definition]]:
    """Count all reports, and return those that differ from our rows."""
    keys = [summary.key for summary in chunk]
    rows = schedules_of(scan.runtime).filter(report_key__in=keys).order_by().values_list("report_key", *_COMPARED)
    known = {row[0]: row[1:] for row in rows}
    differing = []
    for summary in chunk:
        definition = define(summary)
        scan.result.count(summary, definition)
        if known.get(summary.key) != (*definition, summary.overlap, summary.updated_at):
            differing.append((summary, definition))
    return differing


def _compare(
    summary: ReportSummary, definition: Definition, row: ReportSchedule | None, runtime: Runtime, edits: Edits
) -> None:
    report = describe_report(summary.key, definition.name)
    known_stamp = None if row is None else row.host_updated_at
    if row is None:
        row = ReportSchedule(
            report_model=runtime.reports.label,
            report_key=summary.key,
            decided_until=edits.now,
            discovered_at=edits.now,
            changed_at=edits.now,
        )
        changes = changes_of_new(report, definition)
        edits.created.append(row)
    else:
        changes = changes_between(row, definition, report)
        if row.state == ScheduleState.REMOVED:
            edits.replaced.append(copy(row))
            row.discovered_at = edits.now
            row.paused_at, row.paused_by, row.pause_reason = None, "", ""
            row.live_from = row.live_until = None
        if changes or (row.host_updated_at, row.overlap) != (summary.updated_at, summary.overlap):
            edits.updated.append(row)
    since = edits.now
    if changes:
        edits.note_edit(summary, known_stamp)
        if has_undecided_times(row, edits.now) and is_retimed(row, definition):
            overdue = edits.overdue if definition.state == ScheduleState.ACTIVE else edits.ending
            overdue.append(copy(row))
        since = apply_definition(row, definition, edits.now)
    if row.overlap != summary.overlap:
        row.overlap, row.changed_at = summary.overlap, edits.now
    row.host_updated_at = summary.updated_at
    edits.changes += [(row, change, since) for change in changes]


def save_edits(edits: Edits) -> None:
    for row in edits.replaced:
        _archive_runs(row)
    ReportSchedule.objects.bulk_create(edits.created, batch_size=CHUNK)
    upsert(*edits.updated, update=_COLUMNS, batch_size=CHUNK)
    ReportChange.objects.bulk_create(
        [
            ReportChange(
                schedule=row,
                kind=change.kind,
                before=dict(change.before),
                after=dict(change.after),
                source=edits.source,
                actor=edits.actors.get(row.report_key, str(change.after.get("actor", "")))[:150],
                noticed_at=since,
            )
            for row, change, since in edits.changes
        ],
        batch_size=CHUNK,
    )
    request_sync({row.pk for row, _change, _since in edits.changes})
    for _row, change, _since in edits.changes:
        emit_schedule_event(
            f"report_{change.kind.value}", report=change.report, before=dict(change.before), after=dict(change.after)
        )


def _archive_runs(row: ReportSchedule) -> None:
    """Move the runs of a removed report to a row of their own, so that none counts as a run of the report that replaces it.

    The key of that row names the last run, because a report may be replaced several times.
    """
    runs = ReportRun.objects.filter(schedule=row.pk)
    last = runs.order_by("-pk").values_list("pk", flat=True).first()
    if last is None:
        return
    row.pk, row._state.adding = None, True
    row.report_key = f"{row.report_key[: LONGEST_KEY - 40]} (until run {last})"
    row.save(force_insert=True)
    runs.update(schedule=row)


def retire(keys: Sequence[str], scan: Scan, accepted: Acceptance | None = None) -> list[ReportSchedule]:
    """Mark the reports of at most a chunk of keys as removed, and return them. Call it under the lock of definitions.

    Their history stays, and names the person who accepted the removal, if any.
    """
    source, after = scan.source, dict[str, Json]()
    if accepted and accepted.actor:
        source, after = ChangeSource.PERSON, {"actor": accepted.actor, "reason": accepted.reason}
    locked = schedules_of(scan.runtime).select_for_update().present().order_by("pk")
    rows = list(locked.filter(report_key__in=keys))
    edits = Edits(now=scan.runtime.clock(), source=source, updated=rows)
    for row in rows:
        before: dict[str, Json] = {"name": row.name, "cron": row.cron, "state": row.state}
        change = Change(kind=ChangeKind.REMOVED, report=str(row), before=before, after=after)
        edits.changes.append((row, change, edits.now))
        row.state = ScheduleState.REMOVED
        row.problem_code, row.problem = "", ""
        row.next_run_at, row.changed_at = None, edits.now
    if not scan.result.dry_run:
        if source is ChangeSource.SIGNAL:
            edits.edited_at = {row.report_key: edits.now for row in rows}
            edits.name_editors(scan.runtime)
        save_edits(edits)
    scan.result.changes += [change for _row, change, _since in edits.changes]
    return rows
