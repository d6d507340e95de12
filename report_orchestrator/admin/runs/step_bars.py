"""A run's five steps as bars on one time scale: work is solid, waiting is hatched."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from django.utils.translation import gettext

from report_orchestrator.admin.ui.format import duration
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import Intervention, InterventionKind, ReportRun, RunStep
from report_orchestrator.models.runs import STEP_LABELS

WIDTH = 1000.0  # of a bar, in the drawing's own units
NARROWEST = 5.0  # still visible, and wide enough for a finger

Look: TypeAlias = Literal["good", "bad", "warn", "busy", "wait"]
State: TypeAlias = Literal["done", "now", "ahead", "stopped"]

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
class Segment:
    """An attempt at a step, or the wait before it. As drawn, `x` and `width` are in units of `WIDTH`.

    In an idle wait the run had failed, until a person retried it.
    """

    step: str
    since: datetime
    until: datetime
    look: Look
    is_waiting: bool
    label: str
    is_idle: bool = False
    x: float = 0
    width: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBar:
    step: str
    state: State
    state_label: str
    duration: str
    segments: Sequence[Segment]

    @property
    def label(self) -> str:
        """The bar in words, for screen readers."""
        return "; ".join(segment.label for segment in self.segments) or self.state_label


def step_bars(
    run: ReportRun, attempts: Sequence[RunStep], interventions: Sequence[Intervention], now: datetime
) -> list[StepBar]:
    """Return one bar for each step, on a scale from the run's creation to its end, or to `now`."""
    until = run.ended_at or now
    retries = [action.made_at for action in interventions if action.kind == InterventionKind.RETRIED]
    segments = list(_segments(run, attempts, retries, until))
    end = max([until, *(segment.until for segment in segments)])
    scale = WIDTH / max((end - run.created_at).total_seconds(), 0.001)
    placed = [_placed(segment, run.created_at, scale) for segment in segments]
    return [_bar(run, step, [segment for segment in placed if segment.step == step]) for step in Step]


def _segments(
    run: ReportRun, attempts: Sequence[RunStep], retries: Sequence[datetime], until: datetime
) -> Iterator[Segment]:
    """Yield the attempts, each after the wait for it."""
    reached = run.created_at
    for attempt in attempts:
        ended = max(attempt.ended_at or until, attempt.started_at)
        if attempt.started_at > reached:
            yield from _waits(attempt.step, reached, attempt.started_at, retries)
        yield Segment(
            step=attempt.step,
            since=attempt.started_at,
            until=ended,
            look=LOOKS.get(attempt.result, "warn"),
            is_waiting=attempt.step == Step.JOB_COMPLETION_STATUS,
            label=gettext("attempt {number}: {result}, {span}").format(
                number=attempt.attempt, result=attempt.get_result_display(), span=duration(ended - attempt.started_at)
            ),
        )
        reached = max(reached, ended)
    if not run.has_ended and run.status != Status.RUNNING and until > reached:
        yield from _waits(run.step, reached, until, retries)


def _waits(step: str, since: datetime, until: datetime, retries: Sequence[datetime]) -> Iterator[Segment]:
    """Yield the wait, behind the idle time that a retry ended."""
    if retried_at := max((at for at in retries if since < at <= until), default=None):
        yield _wait(step, since, retried_at, gettext("{span} until the retry"), is_idle=True)
        since = retried_at
    if until > since:
        yield _wait(step, since, until, gettext("waited {span}"))


def _wait(step: str, since: datetime, until: datetime, label: str, *, is_idle: bool = False) -> Segment:
    return Segment(
        step=step,
        since=since,
        until=until,
        look="wait",
        is_waiting=True,
        label=label.format(span=duration(until - since)),
        is_idle=is_idle,
    )


def _placed(segment: Segment, begin: datetime, scale: float) -> Segment:
    x = max(0.0, (segment.since - begin).total_seconds() * scale)
    x = min(x, WIDTH - NARROWEST)
    width = max((segment.until - segment.since).total_seconds() * scale, NARROWEST)
    return replace(segment, x=round(x, 1), width=round(min(width, WIDTH - x), 1))


def _bar(run: ReportRun, step: Step, segments: Sequence[Segment]) -> StepBar:
    state = _state(run, step)
    labels = {
        "done": gettext("done"),
        "now": gettext("current step"),
        "ahead": gettext("not started"),
        "stopped": gettext("stopped"),
    }
    working = sum((segment.until - segment.since for segment in segments if not segment.is_idle), timedelta(0))
    return StepBar(
        step=str(STEP_LABELS[step]),
        state=state,
        state_label=labels[state],
        duration=duration(working) if segments else "",
        segments=segments,
    )


def _state(run: ReportRun, step: Step) -> State:
    order = list(Step)
    if run.status == Status.SUCCEEDED or order.index(step) < order.index(Step(run.step)):
        return "done"
    if step != run.step or run.status == Status.SKIPPED:
        return "ahead"
    return "stopped" if run.has_ended else "now"
