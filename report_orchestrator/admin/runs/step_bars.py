"""A run's five steps as bars on one time scale: work is solid, waiting is hatched."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

from django.utils.translation import gettext

from report_orchestrator.admin.runs.attempts import anchor
from report_orchestrator.admin.ui.format import duration
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import Intervention, InterventionKind, ReportRun, RunStep
from report_orchestrator.models.runs import STEP_LABELS

WIDTH = 1000.0  # of a bar, in the drawing's own units
GAP = 24.0  # of the time before a retry by a person, however long
NARROWEST = 5.0  # still visible, and wide enough for a finger

Look: TypeAlias = Literal["good", "bad", "warn", "busy", "wait", "idle"]
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


class Worked(Protocol):
    """The values of a run that its bars need."""

    @property
    def created_at(self) -> datetime: ...
    @property
    def status(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def has_ended(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """An attempt at a step, or the wait before it. As drawn, `x` and `width` are in units of `WIDTH`.

    In an idle wait the run had failed, until a person retried it. `address` leads to the attempt's row on the page.
    """

    step: str
    since: datetime
    until: datetime
    look: Look
    is_waiting: bool
    label: str
    is_idle: bool = False
    address: str | None = None
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
    def has_links(self) -> bool:
        return any(segment.address for segment in self.segments)

    @property
    def label(self) -> str:
        """The bar in words, for screen readers."""
        return "; ".join(segment.label for segment in self.segments) or self.state_label


def step_bars(
    run: ReportRun, attempts: Sequence[RunStep], interventions: Sequence[Intervention], now: datetime
) -> list[StepBar]:
    """Return one bar for each step, on a scale from the run's creation to its end, or to `now`.

    The scale is that of the work: the time until a retry by a person is cut to `GAP`. A step's duration is that since the
    last retry, if it was taken since.
    """
    until = run.ended_at or now
    retries = [action.made_at for action in interventions if action.kind == InterventionKind.RETRIED]
    segments = list(segments_of(run, attempts, retries, until))
    end = max([until, *(segment.until for segment in segments)])
    gaps = [(segment.since, segment.until) for segment in segments if segment.is_idle]
    scale = _Scale(begin=run.created_at, end=end, gaps=gaps)
    placed = [_placed(segment, scale) for segment in segments]
    handed_over = max((until for _since, until in gaps), default=run.created_at)
    return [_bar(run, step, [segment for segment in placed if segment.step == step], handed_over) for step in Step]


def segments_of(
    run: Worked, attempts: Sequence[RunStep], retries: Sequence[datetime], until: datetime
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
            address=f"#{anchor(attempt)}",
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
        look="idle" if is_idle else "wait",
        is_waiting=True,
        label=label.format(span=duration(until - since)),
        is_idle=is_idle,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """The places of instants between `begin` and `end`, with each of the `gaps` as wide as the others."""

    begin: datetime
    end: datetime
    gaps: Sequence[tuple[datetime, datetime]]

    def place(self, at: datetime) -> float:
        gap = min(GAP, WIDTH / 2 / max(len(self.gaps), 1))
        unit = (WIDTH - gap * len(self.gaps)) / max(self._worked(self.end).total_seconds(), 0.001)
        return max(self._worked(at).total_seconds() * unit, 0.0) + gap * sum(at >= until for _since, until in self.gaps)

    def _worked(self, at: datetime) -> timedelta:
        return (
            at
            - self.begin
            - sum((max(min(at, until) - since, timedelta(0)) for since, until in self.gaps), timedelta(0))
        )


def _placed(segment: Segment, scale: _Scale) -> Segment:
    x = min(scale.place(segment.since), WIDTH - NARROWEST)
    width = max(scale.place(segment.until) - x, NARROWEST)
    return replace(segment, x=round(x, 1), width=round(min(width, WIDTH - x), 1))


def _bar(run: ReportRun, step: Step, segments: Sequence[Segment], handed_over: datetime) -> StepBar:
    state = _state(run, step)
    labels = {
        "done": gettext("done"),
        "now": gettext("current step"),
        "ahead": gettext("not started"),
        "stopped": gettext("stopped"),
    }
    work = [segment for segment in segments if not segment.is_idle]
    current = [segment for segment in work if segment.since >= handed_over] or work
    working = sum((segment.until - segment.since for segment in current), timedelta(0))
    return StepBar(
        step=str(STEP_LABELS[step]),
        state=state,
        state_label=labels[state],
        duration=duration(working) if work else "",
        segments=segments,
    )


def _state(run: ReportRun, step: Step) -> State:
    order = list(Step)
    if run.status == Status.SUCCEEDED or order.index(step) < order.index(Step(run.step)):
        return "done"
    if step != run.step or run.status == Status.SKIPPED:
        return "ahead"
    return "stopped" if run.has_ended else "now"
