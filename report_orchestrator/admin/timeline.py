"""A run's attempts at its steps, in the order in which they began."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.safestring import SafeString

from report_orchestrator.admin.causes import cause_in_words
from report_orchestrator.admin.display import RESULT_SIGNS, elapsed, instant, pretty_json, signed
from report_orchestrator.admin.masking import without_secrets
from report_orchestrator.domain.runs import StepResult
from report_orchestrator.models import RunStep

UNDER_WAY = {StepResult.STARTED, StepResult.WAITING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attempt as the page shows it."""

    step: str
    attempt: int
    result: SafeString
    started: str
    took: str
    learned: str
    cause: str
    error: str
    traceback: str


def timeline(attempts: Iterable[RunStep]) -> list[Entry]:
    """A run's attempts."""
    return [_entry(attempt) for attempt in attempts]


def _entry(attempt: RunStep) -> Entry:
    open_or_ended = attempt.ended_at is not None or attempt.result in UNDER_WAY
    return Entry(
        step=attempt.get_step_display(),
        attempt=attempt.attempt,
        result=signed(RESULT_SIGNS, attempt.result, attempt.get_result_display()),
        started=instant(attempt.started_at),
        took=elapsed(attempt.started_at if open_or_ended else None, attempt.ended_at),
        learned=pretty_json(without_secrets(attempt.metadata)) if attempt.metadata else "",
        cause=cause_in_words(attempt.error_code) if attempt.error_code else "",
        error=attempt.error,
        traceback=attempt.traceback,
    )
