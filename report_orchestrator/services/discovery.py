"""The host's reports become `ReportSchedule` rows, and every difference is recorded with before and after."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction
from django.db.models import Max

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.reports import Json, ReportSummary, describe_report
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import Mark, ReportChange, ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database, schedule_event
from report_orchestrator.services.approaches import in_force, reconcile_soon
from report_orchestrator.services.definitions import Change, Definition, arrival, define, differences
from report_orchestrator.services.scheduling import RUNG_AT_ONCE, decide_before_edit

CHUNK = 1000
GUARDED_SHARE = 0.2
"""A discovery that would remove more than this share of all reports waits for a person: likelier a broken router."""
GUARDED_FROM = 5
"""Fewer removals than this are never held, whatever their share."""

STAMP_OVERLAP = timedelta(seconds=30)
"""How long a host's transaction may take to commit a stamp that it has already written."""

CLOCKS_APART = timedelta(minutes=1)
"""How far ahead of the database's the host's clock may be."""

DISCOVERY_MARK = "discovery"
MUTEX = "mutex: discovery"
LONGEST_KEY = 200
HELD_SHOWN = 50

_COLUMNS = (
    "name",
    "cron",
    "timezone",
    "priority",
    "overlap",
    "state",
    "problem_code",
    "problem",
    "next_run_at",
    "decided_until",
    "host_updated_at",
    "changed_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A report that cannot run, and why."""

    report: str
    code: str
    problem: str


@dataclass(slots=True, kw_only=True)
class Discovery:
    """What one discovery found. `held_removals` names reports that are gone, kept until a person accepts it."""

    examined: int = 0
    states: dict[str, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    held_removals: list[str] = field(default_factory=list)
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A person's word that held removals are right. With a `digest` it is about those that the person saw."""

    actor: str
    reason: str = ""
    digest: str = ""


@dataclass(slots=True, kw_only=True)
class _Edits:
    """What a chunk of reports will write."""

    now: datetime
    source: ChangeSource
    overdue: list[ReportSchedule] = field(default_factory=list)
    """Reports as they were, with times that had come when they were edited."""
    quarantined: list[Quarantined] = field(default_factory=list)
    fresh: list[ReportSchedule] = field(default_factory=list)
    edited: list[ReportSchedule] = field(default_factory=list)
    changes: list[tuple[ReportSchedule, Change]] = field(default_factory=list)


def discover(
    *, ports: Ports, dry_run: bool = False, accept_removals: bool = False, accepted: Acceptance | None = None
) -> Discovery:
    """Reads all reports of the host and brings our rows in step. Idempotent: a second time changes nothing.

    With `dry_run` nothing is written. Removals beyond the guard are held unless `accept_removals`; `accepted` says who
    accepts them and why, for the record.

    Raises:
        NotPossibleError: other reports are gone than those that were accepted. None was removed.
    """
    found = Discovery(dry_run=dry_run)
    seen: set[str] = set()
    for chunk in _chunks(ports.reports.summaries()):
        seen.update(summary.key for summary in chunk)
        _bring_in_step(chunk, ports, found, ChangeSource.DISCOVERY)
    _remove_unseen(seen, ports, found, accepted if accepted or not accept_removals else Acceptance(actor=""))
    if not dry_run:
        Mark.objects.note(DISCOVERY_MARK, now=ports.clock(), detail=_summary(found) | _held(found))
    schedule_event("reports_discovered", **_summary(found))
    if accepted and found.held_removals:
        raise NotPossibleError(
            "Other reports are gone from the project now than those that you saw. None was removed. Look at the list again."
        )
    return found


def refresh(keys: Sequence[str], *, ports: Ports, source: ChangeSource = ChangeSource.SIGNAL) -> Discovery:
    """Brings single reports in step, and retires those of them that the host no longer has."""
    found = Discovery()
    missing = set(keys)
    for chunk in _chunks(ports.reports.summaries(keys)):
        missing -= {summary.key for summary in chunk}
        _bring_in_step(chunk, ports, found, source)
    _retire(list(_rows(ports).present().filter(report_key__in=missing)), ports, found, source)
    return found


def refresh_changed(*, ports: Ports) -> Discovery:
    """Brings in step the reports whose change stamp is newer than the newest seen: edits that sent no signal.

    A stamp that was written before another but committed after it would be missed, so a little of the past is read again.
    """
    found = Discovery()
    newest = _rows(ports).aggregate(at=Max("host_updated_at"))["at"]
    if not ports.reports.has_change_stamp or newest is None:
        return found
    newest = min(newest, ports.clock())  # a stamp from the future must not blind us to all others
    settled = ports.clock() - newest > 2 * STAMP_OVERLAP
    for chunk in _chunks(ports.reports.changed_since(newest - (timedelta(0) if settled else STAMP_OVERLAP))):
        _bring_in_step(chunk, ports, found, ChangeSource.CHANGE_STAMP)
    return found


def _summary(found: Discovery) -> dict[str, object]:
    return {
        "examined": found.examined,
        "changes": len(found.changes),
        "held_removals": len(found.held_removals),
        "states": dict(found.states),
        "dry_run": found.dry_run,
    }


def _held(found: Discovery) -> dict[str, object]:
    """What the admin shows of held removals without reading the host: some of the names, and which they are in all."""
    return {"held": found.held_removals[:HELD_SHOWN], "held_digest": _digest(found.held_removals)}


def _chunks(summaries: Iterator[ReportSummary]) -> Iterator[list[ReportSummary]]:
    while chunk := list(islice(summaries, CHUNK)):
        yield chunk


def _rows(ports: Ports) -> ScheduleQuerySet:
    return ReportSchedule.objects.filter(report_model=ports.reports.label)


def _bring_in_step(
    chunk: Sequence[ReportSummary], ports: Ports, found: Discovery, source: ChangeSource
) -> None:
    """Compares and writes one chunk in one transaction, its rows locked: what a tick decides meanwhile is not undone."""
    edits = _Edits(now=ports.clock(), source=source)
    with transaction.atomic(using=database()):
        if not found.dry_run:  # a save's signal and a discovery may meet at a report that both think is new
            Mark.objects.hold(MUTEX, now=edits.now)
        keys = [summary.key for summary in chunk]
        known = _rows(ports).select_for_update().order_by("pk").filter(report_key__in=keys)
        rows = {row.report_key: row for row in known}
        for summary in chunk:
            if _is_refused(summary, rows.get(summary.key), edits.now):
                continue
            state = _compare(summary, rows.get(summary.key), ports, edits)
            found.states[state.value] = found.states.get(state.value, 0) + 1
        if not found.dry_run:
            _save(edits)
            opened = decide_before_edit(edits.overdue, now=edits.now, settings=in_force(get_settings()))
            ports.queue.ring(opened.run_ids[:RUNG_AT_ONCE])
    found.examined += len(chunk)
    found.quarantined += edits.quarantined
    found.changes += [change for _row, change in edits.changes]


def _is_refused(summary: ReportSummary, row: ReportSchedule | None, now: datetime) -> bool:
    """A summary that was read before a newer edit was noticed, or whose key does not fit our table.

    A stamp from the future is no edit's: the host's clock was wrong, or it changed its `USE_TZ`.
    """
    if len(summary.key) > LONGEST_KEY:
        schedule_event("report_key_too_long", report=describe_report(summary.key[:LONGEST_KEY], summary.name))
        return True
    newest = None if row is None else row.host_updated_at
    if newest is None or summary.updated_at is None or newest > now + CLOCKS_APART:
        return False
    return summary.updated_at < newest


def _compare(
    summary: ReportSummary, row: ReportSchedule | None, ports: Ports, edits: _Edits
) -> ScheduleState:
    """Notes what one report's row needs, and returns the state that the report is in."""
    definition = define(summary, edits.now)
    report = describe_report(summary.key, definition.name)
    if definition.problem:
        edits.quarantined.append(
            Quarantined(report=report, code=definition.problem_code, problem=definition.problem)
        )
    if row is None:
        row = _new_row(summary, ports, edits.now)
        changes = arrival(report, definition)
        edits.fresh.append(row)
    else:
        changes = differences(row, definition, report)
        unseen = (row.host_updated_at, row.overlap) != (summary.updated_at, summary.overlap)
        if changes or unseen:
            edits.edited.append(row)
    if changes:
        if row.pk and row.next_run_at and row.next_run_at <= edits.now and _is_retimed(row, definition):
            edits.overdue.append(copy(row))
        _apply(row, definition, edits.now)
    row.overlap = summary.overlap
    row.host_updated_at = summary.updated_at
    edits.changes += [(row, change) for change in changes]
    return definition.state


def _new_row(summary: ReportSummary, ports: Ports, now: datetime) -> ReportSchedule:
    return ReportSchedule(
        report_model=ports.reports.label,
        report_key=summary.key,
        decided_until=now,
        discovered_at=now,
        changed_at=now,
    )


def _is_retimed(row: ReportSchedule, definition: Definition) -> bool:
    return any(getattr(row, name) != getattr(definition, name) for name in ("cron", "timezone", "state"))


def _apply(row: ReportSchedule, definition: Definition, now: datetime) -> None:
    """Writes a definition on its row. A new time never fires for times before the edit was noticed."""
    retimed = _is_retimed(row, definition)
    for name in ("name", "cron", "timezone", "priority", "state", "problem_code", "problem"):
        setattr(row, name, getattr(definition, name))
    if retimed:
        row.decided_until = max(row.decided_until, now)
        row.next_run_at = definition.next_run_at if row.paused_at is None else None
    row.changed_at = now


def _save(edits: _Edits) -> None:
    """Writes the rows, their changes and the news of them, in the caller's transaction."""
    if edits.changes:
        reconcile_soon()
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
                noticed_at=edits.now,
            )
            for row, change in edits.changes
        ],
        batch_size=CHUNK,
    )
    for _row, change in edits.changes:
        _announce(change)


def _announce(change: Change) -> None:
    schedule_event(
        f"report_{change.kind.value}",
        report=change.report,
        before=dict(change.before),
        after=dict(change.after),
    )


def _remove_unseen(seen: set[str], ports: Ports, found: Discovery, accepted: Acceptance | None) -> None:
    present = _rows(ports).present().order_by("pk")
    gone = [row for row in present.iterator(chunk_size=CHUNK) if row.report_key not in seen]
    born_meanwhile = {summary.key for summary in ports.reports.summaries([row.report_key for row in gone])}
    gone = [row for row in gone if row.report_key not in born_meanwhile]
    known = len(seen) + len(gone)
    guarded = len(gone) >= GUARDED_FROM and len(gone) > known * GUARDED_SHARE
    if guarded and not _is_about(accepted, gone):
        found.held_removals = [str(row) for row in gone]
        schedule_event("removals_held", held=len(gone), known=known)
        return
    _retire(gone, ports, found, ChangeSource.DISCOVERY, accepted)


def _is_about(accepted: Acceptance | None, gone: Sequence[ReportSchedule]) -> bool:
    return accepted is not None and accepted.digest in {"", _digest([str(row) for row in gone])}


def _digest(reports: Sequence[str]) -> str:
    """One word for a set of reports, by which two looks at it are compared."""
    return hashlib.sha256("\n".join(sorted(reports)).encode()).hexdigest()


def _retire(
    rows: Sequence[ReportSchedule],
    ports: Ports,
    found: Discovery,
    source: ChangeSource,
    accepted: Acceptance | None = None,
) -> None:
    """Marks reports as removed; their history stays."""
    after: dict[str, Json] = {}
    if accepted and accepted.actor:
        source, after = ChangeSource.PERSON, {"actor": accepted.actor, "reason": accepted.reason}
    edits = _Edits(now=ports.clock(), source=source)
    with transaction.atomic(using=database()):
        locked = ReportSchedule.objects.select_for_update().present().order_by("pk")
        edits.edited = list(locked.filter(pk__in=[row.pk for row in rows]))
        for row in edits.edited:
            before: dict[str, Json] = {"name": row.name, "cron": row.cron, "state": row.state}
            edits.changes.append(
                (row, Change(kind=ChangeKind.REMOVED, report=str(row), before=before, after=after))
            )
            row.state = ScheduleState.REMOVED
            row.problem_code, row.problem = "", ""
            row.next_run_at, row.changed_at = None, edits.now
        if not found.dry_run:
            _save(edits)
    found.changes += [change for _row, change in edits.changes]
