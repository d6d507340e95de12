"""The result of a pass over the host's reports."""

from dataclasses import dataclass, field

from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.reports import ReportSummary, describe_report
from report_orchestrator.services.discovery.definition import Change, Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A person's confirmation of held removals. With a `digest`, or its beginning, it covers only the list that was seen."""

    actor: str
    reason: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    report: str
    code: str
    problem: str


@dataclass(slots=True, kw_only=True)
class Discovery:
    """`held_removals` names reports that are gone from the host but stay until a person accepts their removal; `held_digest`
    is the digest of their names, or empty.
    """

    examined: int = 0
    states: dict[str, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    held_removals: list[str] = field(default_factory=list)
    held_digest: str = ""
    dry_run: bool = False

    def count(self, summary: ReportSummary, definition: Definition) -> None:
        self.examined += 1
        state = definition.state.value
        self.states[state] = self.states.get(state, 0) + 1
        if definition.problem:
            report = describe_report(summary.key, definition.name)
            self.quarantined.append(
                Quarantined(report=report, code=definition.problem_code, problem=definition.problem)
            )

    def refuse_key(self, report: str, problem: str) -> None:
        """Count a report that gets no row, as its key cannot be stored or found again."""
        self.examined += 1
        self.states["refused"] = self.states.get("refused", 0) + 1
        self.quarantined.append(Quarantined(report=report, code=ErrorCode.UNUSABLE_KEY, problem=problem))
