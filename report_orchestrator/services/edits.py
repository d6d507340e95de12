"""The host's reports compared with our rows, and every difference written with its history, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.reports import Json, ReportSummary, describe_report
from report_orchestrator.models import Mark, ReportChange, ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database, schedule_event
from report_orchestrator.services.approaches import in_force
from report_orchestrator.services.definitions import (
    DEFINED,
    Change,
    Definition,
    apply,
    arrival,
    define,
    differences,
    has_undecided_times,
    is_retimed,
)
from report_orchestrator.services.found import Acceptance, Discovery
from report_orchestrator.services.reconciling import reconcile_soon
from report_orchestrator.services.scheduling import RUNG_AT_ONCE, decide_before_edit

CHUNK = 1000
MUTEX = "mutex: discovery"
LONGEST_KEY = 200

_COMPARED = (*DEFINED, "overlap", "host_updated_at")
_COLUMNS = (*_COMPARED, "next_run_at", "decided_until", "changed_at")


@dataclass(slots=True, kw_only=True)
class _Edits:
    """What a chunk of reports will write."""

    now: datetime
    source: ChangeSource
    overdue: list[ReportSchedule] = field(default_factory=list)
    """Reports as they were, with times that had come when they were edited."""
    fresh: list[ReportSchedule] = field(default_factory=list)
    edited: list[ReportSchedule] = field(default_factory=list)
    changes: list[tuple[ReportSchedule, Change, datetime]] = field(default_factory=list)
    """Each with the instant from which on it is in force."""


def rows_of(ports: Ports) -> ScheduleQuerySet:
    """Our rows of the reports of the model that the settings name."""
    return ReportSchedule.objects.filter(report_model=ports.reports.label)


def bring_in_step(
    chunk: Sequence[ReportSummary],
    ports: Ports,
    found: Discovery,
    source: ChangeSource,
    *,
    read_at: datetime | None = None,
) -> None:
    """Brings the rows of a chunk of reports in step. Where nothing differs, nothing is locked or written.

    Who read the host's table before it held the mutex says when, in `read_at`: a row that was edited since then is left as
    it is, for its editor knew something newer.
    """
    differing = _differing([summary for summary in chunk if not _is_refused(summary)], ports, found)
    if not differing:
        return
    with transaction.atomic(using=database()):
        if not found.dry_run:  # a save's signal and a discovery may meet at a report that both think is new
            hold_mutex(ports)
        keys = [summary.key for summary in differing]
        locked = rows_of(ports).select_for_update().order_by("pk").filter(report_key__in=keys)
        rows = {row.report_key: row for row in locked}
        # After the locks: what a tick decided until then is before this edit.
        edits = _Edits(now=ports.clock(), source=source)
        for summary in differing:
            row = rows.get(summary.key)
            definition = define(summary)
            found.count(summary, definition)
            if row is None or read_at is None or row.changed_at <= read_at:
                _compare(summary, definition, row, ports, edits)
        if not found.dry_run:
            _save(edits)
            opened = decide_before_edit(edits.overdue, now=edits.now, settings=in_force(get_settings()))
            ports.queue.ring(opened.run_ids[:RUNG_AT_ONCE])
    found.changes += [change for _row, change, _since in edits.changes]


def hold_mutex(ports: Ports) -> None:
    """Has all who write definitions wait until the surrounding transaction ends."""
    Mark.objects.hold(MUTEX, now=ports.clock())


def _is_refused(summary: ReportSummary) -> bool:
    if len(summary.key) <= LONGEST_KEY:
        return False
    schedule_event("report_key_too_long", report=describe_report(summary.key[:LONGEST_KEY], summary.name))
    return True


def _differing(chunk: Sequence[ReportSummary], ports: Ports, found: Discovery) -> list[ReportSummary]:
    """Those that our rows do not say already; the others are counted."""
    keys = [summary.key for summary in chunk]
    rows = rows_of(ports).filter(report_key__in=keys).values_list("report_key", *_COMPARED)
    known = {key: tuple(values) for key, *values in rows}
    differing = []
    for summary in chunk:
        definition = define(summary)
        if known.get(summary.key) == (*definition.values, summary.overlap, summary.updated_at):
            found.count(summary, definition)
        else:
            differing.append(summary)
    return differing


def _compare(
    summary: ReportSummary,
    definition: Definition,
    row: ReportSchedule | None,
    ports: Ports,
    edits: _Edits,
) -> None:
    """Notes what one report's row needs."""
    report = describe_report(summary.key, definition.name)
    if row is None:
        row = _new_row(summary, ports, edits.now)
        changes = arrival(report, definition)
        edits.fresh.append(row)
    else:
        changes = differences(row, definition, report)
        unseen = (row.host_updated_at, row.overlap) != (summary.updated_at, summary.overlap)
        if changes or unseen:
            edits.edited.append(row)
    since = edits.now
    if changes:
        if has_undecided_times(row, edits.now) and is_retimed(row, definition):
            edits.overdue.append(copy(row))
        since = apply(row, definition, edits.now)
    row.overlap = summary.overlap
    row.host_updated_at = summary.updated_at
    edits.changes += [(row, change, since) for change in changes]


def _new_row(summary: ReportSummary, ports: Ports, now: datetime) -> ReportSchedule:
    return ReportSchedule(
        report_model=ports.reports.label,
        report_key=summary.key,
        decided_until=now,
        discovered_at=now,
        changed_at=now,
    )


def _save(edits: _Edits) -> None:
    """Writes the rows, their changes and the news of them, in the caller's transaction."""
    ReportSchedule.objects.bulk_create(edits.fresh, batch_size=CHUNK)
    ReportSchedule.objects.bulk_update(edits.edited, _COLUMNS, batch_size=200)
    ReportChange.objects.bulk_create(
        [
            ReportChange(
                schedule=row,
                kind=change.kind,
                before=dict(change.before),
                after=dict(change.after),
                source=edits.source,
                noticed_at=since,
            )
            for row, change, since in edits.changes
        ],
        batch_size=CHUNK,
    )
    reconcile_soon({row.pk for row, _change, _since in edits.changes})
    for _row, change, _since in edits.changes:
        _announce(change)


def _announce(change: Change) -> None:
    schedule_event(
        f"report_{change.kind.value}",
        report=change.report,
        before=dict(change.before),
        after=dict(change.after),
    )


def retire(
    keys: Sequence[str],
    ports: Ports,
    found: Discovery,
    source: ChangeSource,
    accepted: Acceptance | None = None,
) -> None:
    """Marks reports as removed; their history stays, and says who accepted it, if anybody had to."""
    after: dict[str, Json] = {}
    if accepted and accepted.actor:
        source, after = ChangeSource.PERSON, {"actor": accepted.actor, "reason": accepted.reason}
    for start in range(0, len(keys), CHUNK):
        _retire_chunk(keys[start : start + CHUNK], ports, found, source, after)


def _retire_chunk(
    keys: Sequence[str], ports: Ports, found: Discovery, source: ChangeSource, after: dict[str, Json]
) -> None:
    with transaction.atomic(using=database()):
        locked = rows_of(ports).select_for_update().present().order_by("pk")
        rows = list(locked.filter(report_key__in=keys))
        edits = _Edits(now=ports.clock(), source=source, edited=rows)
        for row in rows:
            before: dict[str, Json] = {"name": row.name, "cron": row.cron, "state": row.state}
            change = Change(kind=ChangeKind.REMOVED, report=str(row), before=before, after=after)
            edits.changes.append((row, change, edits.now))
            row.state = ScheduleState.REMOVED
            row.problem_code, row.problem = "", ""
            row.next_run_at, row.changed_at = None, edits.now
        if not found.dry_run:
            _save(edits)
    found.changes += [change for _row, change, _since in edits.changes]
