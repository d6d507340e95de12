"""How a report is defined, what follows for its schedule, and what differs from what we knew of it. Saves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from report_orchestrator.domain.reports import Json, ReportSummary, describe_report, single_event_kind
from report_orchestrator.exceptions import InvalidCronError, InvalidReportError
from report_orchestrator.models import ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.services.timing import first_run_at, named_zone, read_cron

LONGEST_CRON = 200

DEFINED = ("name", "cron", "timezone", "priority", "state", "problem_code", "problem")
"""What a definition says of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference of one report, before it is a row."""

    kind: ChangeKind
    report: str
    before: Mapping[str, Json] = field(default_factory=dict)
    after: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """How a report is defined now, and what follows for its schedule."""

    name: str
    cron: str
    timezone: str
    priority: int
    state: ScheduleState
    problem_code: str = ""
    problem: str = ""

    @property
    def values(self) -> tuple[object, ...]:
        """What it says of the columns in `DEFINED`, in their order."""
        return tuple(getattr(self, name) for name in DEFINED)


def define(summary: ReportSummary) -> Definition:
    """What the scheduler may do with a report."""
    definition = partial(
        Definition,
        name=summary.name[:500],
        cron=summary.cron[:200],
        timezone=summary.timezone[:64],
        priority=summary.priority,
    )
    if not summary.enabled:
        return definition(state=ScheduleState.DISABLED)
    report = describe_report(summary.key, summary.name)
    try:
        single_event_kind(report, summary.event_kinds)
        if not summary.cron:
            return definition(state=ScheduleState.UNSCHEDULED)
        if len(summary.cron) > LONGEST_CRON:
            raise InvalidCronError(
                f"{report} has a cron of more than {LONGEST_CRON} characters. Write it shorter, with ranges and steps."
            )
        read_cron(summary.cron, report=report)
        named_zone(summary.timezone, report)
    except InvalidReportError as error:
        return definition(
            state=ScheduleState.QUARANTINED,
            problem_code=error.code,
            problem=error.message,
        )
    return definition(state=ScheduleState.ACTIVE)


def arrival(report: str, definition: Definition) -> list[Change]:
    """What is recorded of a report that was not there before."""
    after: dict[str, Json] = {
        "name": definition.name,
        "cron": definition.cron,
        "state": definition.state.value,
    }
    changes = [Change(kind=ChangeKind.NEW, report=report, after=after)]
    if definition.state == ScheduleState.QUARANTINED:
        changes.append(_quarantined(report, definition))
    return changes


def _quarantined(report: str, definition: Definition, before: Mapping[str, Json] | None = None) -> Change:
    return Change(
        kind=ChangeKind.QUARANTINED,
        report=report,
        before=before or {},
        after={"problem_code": definition.problem_code, "problem": definition.problem},
    )


def differences(row: ReportSchedule, definition: Definition, report: str) -> list[Change]:
    """What is recorded of a report that is defined otherwise than its row says; nothing where they agree."""
    if row.state == ScheduleState.REMOVED:
        return arrival(report, definition)
    changes = [
        Change(kind=kind, report=report, before=before, after=after)
        for kind, names in (
            (ChangeKind.RENAMED, ("name",)),
            (ChangeKind.RETIMED, ("cron", "timezone")),
            (ChangeKind.REPRIORITISED, ("priority",)),
        )
        for before, after in [_changed_fields(row, definition, names)]
        if before
    ]
    return changes + _state_changes(row, definition, report)


def _changed_fields(
    row: ReportSchedule, definition: Definition, names: Sequence[str]
) -> tuple[dict[str, Json], dict[str, Json]]:
    differing = [name for name in names if getattr(row, name) != getattr(definition, name)]
    return (
        {name: getattr(row, name) for name in differing},
        {name: getattr(definition, name) for name in differing},
    )


def _state_changes(row: ReportSchedule, definition: Definition, report: str) -> list[Change]:
    changes: list[Change] = []
    states: tuple[dict[str, Json], dict[str, Json]] = (
        {"state": row.state},
        {"state": definition.state.value},
    )
    was_disabled = row.state == ScheduleState.DISABLED
    if was_disabled != (definition.state == ScheduleState.DISABLED):
        kind = ChangeKind.ENABLED if was_disabled else ChangeKind.DISABLED
        changes.append(Change(kind=kind, report=report, before=states[0], after=states[1]))
    if definition.problem != row.problem:
        before: dict[str, Json] = {"problem_code": row.problem_code, "problem": row.problem}
        if definition.problem:
            changes.append(_quarantined(report, definition, before if row.problem else None))
        elif not changes:
            changes.append(Change(kind=ChangeKind.REPAIRED, report=report, before=before, after=states[1]))
    return changes


def has_undecided_times(row: ReportSchedule, now: datetime) -> bool:
    """Whether times may have come that the old definition has to decide; a paused report's wait for nobody after an edit."""
    if row.state != ScheduleState.ACTIVE:
        return False
    return row.paused_at is not None or (row.next_run_at is not None and row.next_run_at <= now)


def is_retimed(row: ReportSchedule, definition: Definition) -> bool:
    """Whether the report's times are others from now on."""
    return any(getattr(row, name) != getattr(definition, name) for name in ("cron", "timezone", "state"))


def apply(row: ReportSchedule, definition: Definition, now: datetime) -> datetime:
    """Writes a definition on its row; returns from when on it is in force. It never fires for times before that."""
    retimed = is_retimed(row, definition)
    for name in DEFINED:
        setattr(row, name, getattr(definition, name))
    row.changed_at = now
    if not retimed:
        return now
    row.decided_until = max(row.decided_until, now)
    is_due = row.state == ScheduleState.ACTIVE and row.paused_at is None
    row.next_run_at = (
        first_run_at(row.cron, row.timezone, report=str(row), after=row.decided_until) if is_due else None
    )
    return row.decided_until
