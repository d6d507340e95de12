"""Record when the scheduler checked for due reports, even if none was due, as spans without a gap."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction

from report_orchestrator.conf import Settings
from report_orchestrator.models import SharedState, StateName
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.scheduling.create_runs import Created
from report_orchestrator.services.timetable.due_times import longest_delay, next_window

SPANS_KEPT = 20
CONTINUED_WITHIN = timedelta(seconds=0.5)
RECORDED_EVERY = timedelta(seconds=30)
"""Checks of the pipeline approach that follow sooner are not recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedSpan:
    """The scheduler checked `count` times from `since` to `until` (UTC), often enough that every time in it was on time."""

    since: datetime
    until: datetime
    count: int = 1


def record_evaluation(created: Created, *, now: datetime, settings: Settings) -> None:
    """Record one check for due reports; log it as `due_times_decided`, a debug event.

    A check that follows at once, because the previous tick ran out of time, continues that check and is not counted.
    """
    emit_schedule_event("due_times_decided", runs=created.runs, skipped=created.skipped)
    if is_recorded(now=now, within=CONTINUED_WITHIN):
        return
    with transaction.atomic(using=database_alias()):
        SharedState.objects.lock(StateName.EVALUATIONS, now=now)
        state = SharedState.objects.get(name=StateName.EVALUATIONS)
        # After the clock was set back, what is recorded of later times no longer counts.
        spans = [replace(span, until=min(span.until, now)) for span in spans_of(state) if span.since <= now]
        *earlier, last = spans or [EvaluatedSpan(since=now, until=now, count=0)]
        if _has_gap(last.until, now, settings):
            earlier, last = [*earlier, last], EvaluatedSpan(since=now, until=now, count=0)
        last = replace(last, until=now, count=last.count + 1)
        state.detail = {"spans": [_as_json(span) for span in [*earlier, last][-SPANS_KEPT:]]}
        state.save(update_fields=["detail"])


def is_recorded(*, now: datetime, within: timedelta = RECORDED_EVERY) -> bool:
    """Return True if a check was recorded within this time."""
    return SharedState.objects.filter(name=StateName.EVALUATIONS, marked_at__range=(now - within, now)).exists()


def spans_of(state: SharedState | None) -> list[EvaluatedSpan]:
    """Return the recorded spans, the latest last."""
    spans = [] if state is None else state.detail.get("spans", [])
    return [
        EvaluatedSpan(
            since=datetime.fromisoformat(span["since"]),
            until=datetime.fromisoformat(span["until"]),
            count=span["count"],
        )
        for span in spans
    ]


def _has_gap(last: datetime, now: datetime, settings: Settings) -> bool:
    """Return True if a time between two checks could have been late at the second one."""
    expected = next_window(last, settings) if settings.scheduling_approach == "schedule" else last
    return now - expected > longest_delay(settings)


def _as_json(span: EvaluatedSpan) -> dict[str, object]:
    return {**asdict(span), "since": span.since.isoformat(), "until": span.until.isoformat()}
