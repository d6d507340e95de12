"""What a discovery found, counted and listed for people."""

from __future__ import annotations

from dataclasses import dataclass, field

from report_orchestrator.domain.reports import ReportSummary, describe_report
from report_orchestrator.services.definitions import Change, Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A person's word that held removals are right. With a `digest` it is about those that the person saw."""

    actor: str
    reason: str = ""
    digest: str = ""


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

    def count(self, summary: ReportSummary, definition: Definition) -> None:
        """Counts a report by the state that it is in."""
        self.examined += 1
        self.states[definition.state.value] = self.states.get(definition.state.value, 0) + 1
        if definition.problem:
            report = describe_report(summary.key, definition.name)
            self.quarantined.append(
                Quarantined(report=report, code=definition.problem_code, problem=definition.problem)
            )
