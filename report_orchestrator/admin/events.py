"""A run's log lines, told from the rows that hold the same facts: the events and their keys are those of the log.

Nothing is kept twice: each line of the log about a run is an opening, an attempt's beginning or end, or a person's act, and all
of these are rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from report_orchestrator.admin.display import instant
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import Intervention, ReportRun, RunStep

ENDINGS: Mapping[str, str] = {
    StepResult.COMPLETED: "step_completed",
    StepResult.RETRIED: "step_retried",
    StepResult.FAILED: "run_failed",
    StepResult.LOST: "run_rescued",
}
RUN_ENDINGS: Mapping[str, str] = {
    Status.SUCCEEDED: "run_succeeded",
    Status.FAILED: "run_failed",
    Status.TIMED_OUT: "run_timed_out",
    Status.SKIPPED: "run_skipped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One event: when, its name in the log, and its keys. `tone` is that of the log's level."""

    at: datetime
    event: str
    keys: Mapping[str, object] = field(default_factory=dict)

    @property
    def tone(self) -> str:
        """How loud it is."""
        if self.event in {"run_failed", "run_timed_out"}:
            return "bad"
        return "warn" if self.event in {"run_rescued", "step_retried", "run_handed_back"} else "quiet"

    @property
    def when(self) -> str:
        """The instant in the reader's zone."""
        return instant(self.at)

    @property
    def told(self) -> str:
        """The keys as the log of a developer shows them."""
        return " ".join(f"{key}={value!r}" for key, value in self.keys.items() if value not in ("", None))


def lines(run: ReportRun, attempts: Sequence[RunStep], acts: Sequence[Intervention]) -> list[Line]:
    """What happened to the run, in order."""
    told = [_opened(run), *(_act(act) for act in acts)]
    for attempt in attempts:
        told += _attempted(attempt)
    failed = bool(attempts) and attempts[-1].result == StepResult.FAILED
    if run.ended_at and run.status in RUN_ENDINGS and not failed:
        told.append(_ended(run, run.ended_at))
    return sorted(told, key=lambda line: line.at)


def _opened(run: ReportRun) -> Line:
    keys = {
        "scheduled_for": run.scheduled_for.isoformat(),
        "trigger": run.trigger,
        "triggered_by": run.triggered_by,
    }
    return Line(at=run.created_at, event="run_opened", keys=keys)


def _act(act: Intervention) -> Line:
    return Line(at=act.made_at, event=f"run_{act.kind}", keys={"actor": act.actor, "reason": act.reason})


def _attempted(attempt: RunStep) -> Iterator[Line]:
    where: dict[str, object] = {"step": attempt.step, "attempt": attempt.attempt}
    yield Line(at=attempt.started_at, event="step_started", keys=where)
    event = _ending(attempt)
    if attempt.ended_at is None or event is None:
        return
    took = round((attempt.ended_at - attempt.started_at).total_seconds(), 3)
    wrong = {"error_code": attempt.error_code, "error": attempt.error}
    yield Line(at=attempt.ended_at, event=event, keys={**where, "duration_s": took, **wrong})


def _ending(attempt: RunStep) -> str | None:
    """The event that the log has for an attempt's end; none where the run's own end, or a person's act, says it."""
    if attempt.result == StepResult.COMPLETED and attempt.step == Step.RESULTS_STORAGE:
        return None
    match attempt.error_code:
        case "handed_back":
            return "run_handed_back"
        case "poll_attempts_used_up":
            return "run_timed_out"
        case _:
            return ENDINGS.get(attempt.result)


def _ended(run: ReportRun, at: datetime) -> Line:
    keys = {
        "duration_s": run.seconds,
        "error_code": run.error_code,
        "error": run.error,
        "results_path": run.results_path,
    }
    return Line(at=at, event=RUN_ENDINGS[run.status], keys=keys)
