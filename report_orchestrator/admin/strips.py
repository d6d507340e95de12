"""A run's steps as strips of time: what was worked is solid, what was waited is hatched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from django.utils.translation import gettext

from report_orchestrator.admin.display import duration
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.models.runs import STEP_LABELS

WIDTH = 1000.0
"""The length of a strip, in the drawing's own units."""
NARROWEST = 5.0
"""A moment is still seen, and still found with a finger."""

Look: TypeAlias = Literal["good", "bad", "warn", "busy", "wait"]

LOOKS: dict[str, Look] = {
    StepResult.STARTED: "busy",
    StepResult.COMPLETED: "good",
    StepResult.WAITING: "wait",
    StepResult.RETRIED: "warn",
    StepResult.FAILED: "bad",
    StepResult.LOST: "warn",
    StepResult.CANCELED: "warn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a strip, `x` and `width` in units of `WIDTH`. `told` says it to those who do not see it."""

    x: float
    width: float
    look: Look
    is_waiting: bool
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One step. `state` is a word: done, now, ahead, stopped."""

    step: str
    state: Literal["done", "now", "ahead", "stopped"]
    word: str
    took: str
    pieces: tuple[Piece, ...]

    @property
    def told(self) -> str:
        """The strip in a sentence."""
        return "; ".join(piece.told for piece in self.pieces) or self.word


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    step: str
    since: datetime
    until: datetime
    look: Look
    is_waiting: bool
    told: str


def strips(run: ReportRun, attempts: Sequence[RunStep], now: datetime | None = None) -> list[Strip]:
    """The five steps, in order, on one scale from the opening of the run to its end, or to now."""
    until = run.ended_at or now or datetime.now(UTC)
    spans = list(_spans(run, attempts, until))
    begin, end = run.created_at, max([until, *(span.until for span in spans)])
    scale = WIDTH / max((end - begin).total_seconds(), 0.001)
    return [_strip(run, step, [span for span in spans if span.step == step], begin, scale) for step in Step]


def _spans(run: ReportRun, attempts: Sequence[RunStep], until: datetime) -> Iterator[_Span]:
    """The attempts, and before each of them what was waited for it."""
    reached = run.created_at
    for attempt in attempts:
        ended = max(attempt.ended_at or until, attempt.started_at)
        if attempt.started_at > reached:
            yield _waited(attempt.step, reached, attempt.started_at)
        yield _Span(
            step=attempt.step,
            since=attempt.started_at,
            until=ended,
            look=LOOKS.get(attempt.result, "warn"),
            is_waiting=attempt.step == Step.JOB_COMPLETION_STATUS,
            told=gettext("attempt {number}: {result}, {span}").format(
                number=attempt.attempt,
                result=attempt.get_result_display(),
                span=duration(ended - attempt.started_at),
            ),
        )
        reached = max(reached, ended)
    if not run.has_ended and run.status != Status.RUNNING and until > reached:
        yield _waited(run.step, reached, until)


def _waited(step: str, since: datetime, until: datetime) -> _Span:
    told = gettext("waited {span}").format(span=duration(until - since))
    return _Span(step=step, since=since, until=until, look="wait", is_waiting=True, told=told)


def _strip(run: ReportRun, step: Step, spans: Sequence[_Span], begin: datetime, scale: float) -> Strip:
    state = _state(run, step, spans)
    words = {
        "done": gettext("done"),
        "now": gettext("here now"),
        "ahead": gettext("not begun"),
        "stopped": gettext("stopped here"),
    }
    took = ""
    if spans:
        took = duration(spans[-1].until - spans[0].since)
    return Strip(
        step=str(STEP_LABELS[step]),
        state=state,
        word=words[state],
        took=took,
        pieces=tuple(_piece(span, begin, scale) for span in spans),
    )


def _state(run: ReportRun, step: Step, spans: Sequence[_Span]) -> Literal["done", "now", "ahead", "stopped"]:
    order = list(Step)
    if run.status == Status.SUCCEEDED or order.index(step) < order.index(Step(run.step)):
        return "done"
    if step != run.step or run.status == Status.SKIPPED:
        return "ahead"
    return "stopped" if run.has_ended else "now"


def _piece(span: _Span, begin: datetime, scale: float) -> Piece:
    x = max(0.0, (span.since - begin).total_seconds() * scale)
    width = max((span.until - span.since).total_seconds() * scale, NARROWEST)
    x = min(x, WIDTH - NARROWEST)
    return Piece(
        x=round(x, 1),
        width=round(min(width, WIDTH - x), 1),
        look=span.look,
        is_waiting=span.is_waiting,
        told=span.told,
    )
