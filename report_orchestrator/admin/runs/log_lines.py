"""Rebuild a run's log lines from its rows, with the event names and keys of the log.

Every log line about a run is its creation, the start or end of an attempt, or an operator's action. All of these are
rows, so the lines are not stored a second time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from report_orchestrator.admin.ui.format import instant
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import Intervention, InterventionKind, ReportRun, RunStep

ATTEMPT_END_EVENTS: Mapping[str, str] = {
    StepResult.COMPLETED: "step_completed",
    StepResult.RETRIED: "step_retried",
    StepResult.FAILED: "run_failed",
    StepResult.LOST: "run_rescued",
}
RUN_END_EVENTS: Mapping[str, str] = {
    Status.SUCCEEDED: "run_succeeded",
    Status.FAILED: "run_failed",
    Status.TIMED_OUT: "run_timed_out",
    Status.SKIPPED: "run_skipped",
}
OPENING = {InterventionKind.OPENED, InterventionKind.BACKFILLED}
"""Actions that opened the run: its first line has their actor and reason."""
ERRORS = {"run_failed", "run_timed_out"}
WARNINGS = {"run_rescued", "step_retried", "run_handed_back"}


@dataclass(frozen=True, slots=True)
class LogLine:
    at: datetime
    event: str
    keys: Mapping[str, object]

    @property
    def tone(self) -> str:
        """The log level as a CSS tone."""
        if self.event in ERRORS:
            return "bad"
        return "warn" if self.event in WARNINGS else "quiet"

    @property
    def time(self) -> str:
        return instant(self.at)

    @property
    def keys_text(self) -> str:
        """The keys as `key='value'`, without empty ones."""
        return " ".join(f"{key}={value!r}" for key, value in self.keys.items() if value not in ("", None))


def log_lines(run: ReportRun, attempts: Sequence[RunStep], interventions: Sequence[Intervention]) -> list[LogLine]:
    """Return the run's log lines, oldest first."""
    opened = next((action for action in interventions if action.kind in OPENING), None)
    keys: dict[str, object] = {
        "scheduled_for": run.scheduled_for.isoformat(),
        "trigger": run.trigger,
        "triggered_by": run.triggered_by,
        "reason": "" if opened is None else opened.reason,
    }
    # A backfill may open a run that was recorded as skipped before.
    lines = [LogLine(run.created_at if opened is None else opened.made_at, "run_opened", keys)]
    for action in interventions:
        if action.kind in OPENING:
            continue
        keys = {"actor": action.actor, "reason": action.reason}
        lines.append(LogLine(action.made_at, f"run_{action.kind}", keys))
    for attempt in attempts:
        lines += _attempt_lines(attempt)
    last_attempt_failed = bool(attempts) and attempts[-1].result == StepResult.FAILED
    if run.ended_at and run.status in RUN_END_EVENTS and not last_attempt_failed:
        keys = {
            "duration_s": run.seconds,
            "error_code": run.error_code,
            "error": run.error,
            "results_path": run.results_path,
        }
        lines.append(LogLine(run.ended_at, RUN_END_EVENTS[run.status], keys))
    return sorted(lines, key=lambda line: line.at)


def _attempt_lines(attempt: RunStep) -> Iterator[LogLine]:
    keys: dict[str, object] = {"step": attempt.step, "attempt": attempt.attempt}
    yield LogLine(attempt.started_at, "step_started", keys)
    event = _attempt_end_event(attempt)
    if attempt.ended_at is None or event is None:
        return
    duration = round((attempt.ended_at - attempt.started_at).total_seconds(), 3)
    error = {"error_code": attempt.error_code, "error": attempt.error}
    yield LogLine(attempt.ended_at, event, {**keys, "duration_s": duration, **error})


def _attempt_end_event(attempt: RunStep) -> str | None:
    """The log's event for the end of an attempt; None if the end of the run or an operator's action logs it."""
    if attempt.result == StepResult.COMPLETED and attempt.step == Step.RESULTS_STORAGE:
        return None
    match attempt.error_code:
        case ErrorCode.HANDED_BACK:
            return "run_handed_back"
        case ErrorCode.POLL_ATTEMPTS_USED_UP:
            return "run_timed_out"
        case _:
            return ATTEMPT_END_EVENTS.get(attempt.result)
