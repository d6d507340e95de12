"""Derive a report's definition, and its differences from the row that we have. Saves nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import NamedTuple

from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.printable import storable
from report_orchestrator.domain.reports import Json, ReportSummary, describe_report, incomplete_event, single_event_kind
from report_orchestrator.exceptions import InvalidCronError, InvalidReportError
from report_orchestrator.models import ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.models.shared_state import CLOCK_SLACK
from report_orchestrator.services.timetable.cron_zone import named_zone, next_run_at, read_cron

LONGEST_CRON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A `ReportChange` before it is saved."""

    kind: ChangeKind
    report: str
    before: Mapping[str, Json] = field(default_factory=dict)
    after: Mapping[str, Json] = field(default_factory=dict)


class Definition(NamedTuple):
    """The columns of a row that the host's report determines."""

    name: str
    cron: str
    timezone: str
    priority: int
    state: ScheduleState
    problem_code: str = ""
    problem: str = ""


def define(summary: ReportSummary) -> Definition:
    """Return the definition of a report as the host has it now; quarantined where it cannot run."""
    definition = partial(
        Definition,
        name=storable(summary.name)[:500],
        cron=storable(summary.cron)[:200],
        timezone=storable(summary.timezone)[:64],
        priority=summary.priority,
    )
    if not summary.enabled:
        return definition(state=ScheduleState.DISABLED)
    report = describe_report(summary.key, summary.name)
    try:
        if summary.event_problem:
            raise InvalidReportError(summary.event_problem, code=ErrorCode.EVENT_SOURCE)
        single_event_kind(report, summary.event_kinds, unknown=summary.unknown_event, owns_events=summary.owns_events)
        if summary.has_incomplete_events:
            raise incomplete_event(report, "an event that lacks a number, such as its latitude or radius")
        if not summary.cron:
            return definition(state=ScheduleState.UNSCHEDULED)
        if len(summary.cron) > LONGEST_CRON:
            raise InvalidCronError(
                f"{report} has a cron of more than {LONGEST_CRON} characters. Shorten it with ranges and steps."
            )
        read_cron(summary.cron, report=report)
        named_zone(summary.timezone, report)
    except InvalidReportError as error:
        return definition(state=ScheduleState.QUARANTINED, problem_code=error.code, problem=storable(error.message))
    return definition(state=ScheduleState.ACTIVE)


def changes_of_new(report: str, definition: Definition) -> list[Change]:
    after: dict[str, Json] = {"name": definition.name, "cron": definition.cron, "state": definition.state.value}
    changes = [Change(kind=ChangeKind.NEW, report=report, after=after)]
    if definition.state == ScheduleState.QUARANTINED:
        changes.append(_quarantine_change(report, definition))
    return changes


def _quarantine_change(report: str, definition: Definition, before: Mapping[str, Json] | None = None) -> Change:
    return Change(
        kind=ChangeKind.QUARANTINED,
        report=report,
        before=before or {},
        after={"problem_code": definition.problem_code, "problem": definition.problem},
    )


def changes_between(row: ReportSchedule, definition: Definition, report: str) -> list[Change]:
    """Return the changes that lead from a row to a definition; none where they agree."""
    if row.state == ScheduleState.REMOVED:
        return changes_of_new(report, definition)
    changes = [
        Change(
            kind=kind,
            report=report,
            before={name: getattr(row, name) for name in differing},
            after={name: getattr(definition, name) for name in differing},
        )
        for kind, names in (
            (ChangeKind.RENAMED, ("name",)),
            (ChangeKind.RETIMED, ("cron", "timezone")),
            (ChangeKind.REPRIORITISED, ("priority",)),
        )
        if (differing := [name for name in names if getattr(row, name) != getattr(definition, name)])
    ]
    return changes + _state_changes(row, definition, report)


def _state_changes(row: ReportSchedule, definition: Definition, report: str) -> list[Change]:
    changes: list[Change] = []
    old_state: dict[str, Json] = {"state": row.state}
    new_state: dict[str, Json] = {"state": definition.state.value}
    was_disabled = row.state == ScheduleState.DISABLED
    if was_disabled != (definition.state == ScheduleState.DISABLED):
        kind = ChangeKind.ENABLED if was_disabled else ChangeKind.DISABLED
        changes.append(Change(kind=kind, report=report, before=old_state, after=new_state))
    if definition.problem != row.problem:
        before: dict[str, Json] = {"problem_code": row.problem_code, "problem": row.problem}
        if definition.problem:
            changes.append(_quarantine_change(report, definition, before if row.problem else None))
        elif not changes:
            changes.append(Change(kind=ChangeKind.REPAIRED, report=report, before=before, after=new_state))
    return changes


def has_undecided_times(row: ReportSchedule, now: datetime) -> bool:
    """True if the old definition may still have due times to decide. Those of a paused report are decided too."""
    if row.state != ScheduleState.ACTIVE:
        return False
    return row.paused_at is not None or (row.next_run_at is not None and row.next_run_at <= now)


def is_retimed(row: ReportSchedule, definition: Definition) -> bool:
    return any(getattr(row, name) != getattr(definition, name) for name in ("cron", "timezone", "state"))


def apply_definition(row: ReportSchedule, definition: Definition, now: datetime) -> datetime:
    """Copy a definition to its row; return the instant from which it is effective. No earlier time fires."""
    retimed = is_retimed(row, definition)
    for name, value in definition._asdict().items():
        setattr(row, name, value)
    row.changed_at = now
    if not retimed:
        return now
    # Another process's clock may be ahead by a moment; by more than that, the clock was set back.
    if not now < row.decided_until <= now + CLOCK_SLACK:
        row.decided_until = now
    is_due = row.state == ScheduleState.ACTIVE and row.paused_at is None
    row.next_run_at = next_run_at(row) if is_due else None
    return row.decided_until
