"""Notice that the database's clock leapt ahead, and undo what was decided by it once it has come back.

The shared state `StateName.CLOCK` holds the last instant seen. A gap after it is an outage or a leap. If the clock comes
back into the gap, it was a leap, and the rows written since its end have wrong times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min, Q

from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.models import (
    Intervention,
    ReportChange,
    ReportRun,
    ReportSchedule,
    RunStep,
    ScheduleState,
    SharedState,
    StateName,
)
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.models.shared_state import CLUSTER_PREFIX
from report_orchestrator.models.upsert import upsert
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.timetable.cron_zone import next_run_at_or_due
from report_orchestrator.services.timetable.due_times import CatchUp
from report_orchestrator.services.timetable.queue_sync import request_sync

MIN_ROLLBACK = timedelta(minutes=1)
"""A smaller step back is ignored: nothing is late by more than this."""
NOTED_EVERY = timedelta(seconds=10)
MIN_LEAP = timedelta(minutes=45)
"""A leap of an hour has to be noticed. After a shorter one, reports wait until the clock has caught up."""
UNVERIFIED_FOR = timedelta(days=1)
"""After a longer gap nothing is deleted until the clock has run on for this time, because it may have leapt."""
KEPT_FOR = timedelta(days=30)
"""A clock that ran ahead for longer before it comes back is treated as one that was set back."""
LEAPS_KEPT = 10
CHUNK = 500

_DECIDED = (Trigger.SCHEDULED, Trigger.SHADOW)
_STAMPS = (
    (ReportRun, ("created_at", "started_at", "ended_at")),
    (RunStep, ("started_at", "ended_at")),
    (Intervention, ("made_at",)),
    (ReportChange, ("noticed_at",)),
    (ReportSchedule, ("changed_at", "discovered_at", "paused_at")),
)
"""The columns with the time of an event, which other code compares with the current time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leap:
    """A gap between two instants of the clock."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A leap of the clock that was undone at `at`, for `reports` whose times had been decided by it."""

    leap: Leap
    at: datetime
    reports: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockHistory:
    """The last instant seen, the latest leaps ahead, each within a month after the one before, and the last correction."""

    seen_at: datetime
    leaps: Sequence[Leap] = ()
    correction: Correction | None = None

    @classmethod
    def from_state(cls, state: SharedState | None) -> ClockHistory | None:
        if state is None or state.marked_at is None:
            return None
        correction = state.detail.get("correction")
        return cls(
            seen_at=state.marked_at,
            leaps=[_leap(pair) for pair in state.detail.get("leaps", [])],
            correction=correction
            and Correction(
                leap=_leap(correction["leap"]),
                at=datetime.fromisoformat(correction["at"]),
                reports=correction["reports"],
            ),
        )

    def as_json(self) -> dict[str, object]:
        detail: dict[str, object] = {"leaps": [_pair(leap) for leap in self.leaps]}
        if self.correction is not None:
            correction = self.correction
            detail["correction"] = {
                "leap": _pair(correction.leap),
                "at": correction.at.isoformat(),
                "reports": correction.reports,
            }
        return detail

    def set_back_by(self, now: datetime) -> timedelta:
        """Return how far the clock was set back since it was last seen; zero if it was not."""
        return max(self.seen_at - now, timedelta(0)) if self.seen_at - now > MIN_ROLLBACK else timedelta(0)

    def unverified_leap(self, now: datetime) -> Leap | None:
        """Return a leap of more than a day within the last day: an outage, or a clock that is wrong now."""
        return next((leap for leap in self.leaps if _is_unverified(leap, now)), None)

    def leap_around(self, now: datetime) -> Leap | None:
        """Return the leap from which the clock has come back to now."""
        if not self.leaps or self.seen_at - self.leaps[-1].end > KEPT_FOR:
            return None
        return next((leap for leap in self.leaps if leap.start - MIN_LEAP <= now < leap.end), None)


def _is_unverified(leap: Leap, now: datetime) -> bool:
    return leap.end - leap.start > UNVERIFIED_FOR and now - leap.end < UNVERIFIED_FOR


def _pair(leap: Leap) -> list[str]:
    return [leap.start.isoformat(), leap.end.isoformat()]


def _leap(pair: Sequence[str]) -> Leap:
    start, end = map(datetime.fromisoformat, pair)
    return Leap(start=start, end=end)


def follow_clock(*, runtime: Runtime, state: SharedState | None = None) -> None:
    """Record the clock's time, and undo what was decided by a leap from which it came back. One query where it runs on.

    `state` is the shared state, if the caller has read it.
    """
    now = runtime.clock()
    state = state or SharedState.objects.filter(name=StateName.CLOCK).first()
    history = ClockHistory.from_state(state)
    if history is not None and timedelta(0) <= now - history.seen_at < NOTED_EVERY:
        return
    with transaction.atomic(using=database_alias()):
        locked = SharedState.objects.select_for_update().filter(name=StateName.CLOCK).first()
        history = ClockHistory.from_state(locked) or ClockHistory(seen_at=_last_decision(now))
        leap = history.leap_around(now) if history.set_back_by(now) else None
        if leap is not None:
            _undo(leap, history, now, runtime)
        elif now >= history.seen_at:
            SharedState.objects.record(StateName.CLOCK, now=now, detail=_moved_on(history, now).as_json())


def accept_clock(now: datetime, *, is_verified: bool) -> None:
    """Continue scheduling from now, even if the clock was set back. Call it in a transaction, before rows are locked.

    Unless a person has verified the clock, a leap ahead until now can still be undone.
    """
    history = ClockHistory.from_state(SharedState.objects.select_for_update().filter(name=StateName.CLOCK).first())
    if is_verified or history is None or now < history.seen_at:
        history = ClockHistory(seen_at=now)
    SharedState.objects.record(StateName.CLOCK, now=now, detail=_moved_on(history, now).as_json())
    _decide_again({}, now)


def _last_decision(now: datetime) -> datetime:
    """Return the last instant of a decision, for databases of a version that did not record the clock."""
    latest: datetime | None = (
        ReportSchedule.objects.filter(decided_until__lte=now)
        .order_by("-decided_until")
        .values_list("decided_until", flat=True)
        .first()
    )
    return latest or now


def _moved_on(history: ClockHistory, now: datetime) -> ClockHistory:
    if now - history.seen_at <= MIN_LEAP:
        return ClockHistory(seen_at=now, leaps=history.leaps, correction=history.correction)
    leap = Leap(start=history.seen_at, end=now)
    has_run_on = not history.leaps or history.seen_at - history.leaps[-1].end > KEPT_FOR
    earlier = [] if has_run_on else history.leaps
    return ClockHistory(seen_at=now, leaps=[*earlier, leap][-LEAPS_KEPT:], correction=history.correction)


def is_verified(now: datetime) -> bool:
    """Return False if the clock may have leapt ahead by more than a day: then nothing may be deleted."""
    history = ClockHistory.from_state(SharedState.objects.filter(name=StateName.CLOCK).first())
    return history is None or history.unverified_leap(now) is None


def _undo(leap: Leap, history: ClockHistory, now: datetime, runtime: Runtime) -> None:
    """Correct the reports' next times, and delete or correct the rows that were written during the leap."""
    first_times = _first_times(leap)
    withdrawn = _withdraw_runs(leap, now)
    reports = _decide_again(first_times, now)
    _correct_switches(leap, now)
    _correct_pause_of_all(leap, now)
    for model, names in _STAMPS:
        for name in names:
            model._default_manager.filter(**{f"{name}__gte": leap.end}).update(**{name: now})
    SharedState.objects.filter(name__startswith=CLUSTER_PREFIX, marked_at__gte=leap.end).delete()
    _reset_change_stamps(leap)
    correction = Correction(leap=Leap(start=leap.start, end=leap.end), at=now, reports=reports)
    SharedState.objects.record(
        StateName.CLOCK, now=now, detail=ClockHistory(seen_at=now, correction=correction).as_json()
    )
    emit_schedule_event(
        "clock_leap_undone", since=leap.start, leapt_to=leap.end, reports=reports, runs_withdrawn=withdrawn
    )


def _first_times(leap: Leap) -> dict[int, datetime]:
    """Return the first time of each report that was decided since the leap."""
    decided = ReportRun.objects.filter(created_at__gte=leap.end, trigger__in=_DECIDED).order_by()
    return dict(decided.values_list("schedule").annotate(first=Min("scheduled_for")).values_list("schedule", "first"))


def _withdraw_runs(leap: Leap, now: datetime) -> int:
    """Delete the skips and runs of the leap that have not started, and return their number.

    A started run of a future time becomes a manual one, so that the time still gets its own run when it comes.
    """
    opened = ReportRun.objects.filter(created_at__gte=leap.end, trigger__in=_DECIDED)
    waiting = Q(status=Status.QUEUED, started_at__isnull=True)
    keys = list(opened.filter(Q(status=Status.SKIPPED) | waiting).select_for_update().values_list("pk", flat=True))
    for start in range(0, len(keys), CHUNK):
        ReportRun.objects.filter(pk__in=keys[start : start + CHUNK]).delete()
    started = opened.filter(trigger=Trigger.SCHEDULED, scheduled_for__gt=now)
    started.update(trigger=Trigger.MANUAL, triggered_by="a clock that was ahead")
    return len(keys)


def _decide_again(first_times: dict[int, datetime], now: datetime) -> int:
    """Schedule the reports from now, or from the first time that was decided during the leap. Return their number.

    Their schedules in the queue follow at the next tick.
    """
    ReportSchedule.objects.filter(Q(catch_up__isnull=False) | Q(decided_until__gt=now)).lock_all()
    locked = ReportSchedule.objects.select_for_update()
    for schedule in locked.filter(catch_up__isnull=False):
        catch_up = CatchUp.unfinished(schedule)
        if catch_up is not None and catch_up.until > now:  # its first times may be earlier than now
            locked.filter(pk=schedule.pk).update(decided_until=catch_up.until)
    ahead = locked.filter(decided_until__gt=now)
    ahead.update(catch_up=None)
    count = 0
    while schedules := list(ahead.order_by("pk")[:CHUNK]):
        for schedule in schedules:
            first = first_times.get(schedule.pk)
            schedule.decided_until = min(now, first - datetime.resolution) if first else now
            if schedule.state == ScheduleState.ACTIVE and schedule.paused_at is None:
                schedule.next_run_at = next_run_at_or_due(schedule)
        upsert(*schedules, update=["decided_until", "next_run_at"], batch_size=CHUNK)
        request_sync({schedule.pk for schedule in schedules})
        count += len(schedules)
    return count


def _correct_switches(leap: Leap, now: datetime) -> None:
    """Let the switches of the leap take effect now, except those that were planned for a later time."""
    switches = ReportChange.objects.filter(kind=ChangeKind.SWITCHED, noticed_at__gte=leap.end)
    for schedule, after, noticed_at in switches.values_list("schedule", "after", "noticed_at"):
        for name in ("live_from", "live_until"):
            if after[name] and leap.end <= datetime.fromisoformat(after[name]) <= noticed_at:
                ReportSchedule.objects.filter(pk=schedule, **{name: after[name]}).update(**{name: now})


def _correct_pause_of_all(leap: Leap, now: datetime) -> None:
    for pause in SharedState.objects.filter(name=StateName.ALL_PAUSED, marked_at__gte=leap.end):
        detail = pause.detail
        if "since" in detail and datetime.fromisoformat(detail["since"]) >= leap.end:
            detail = detail | {"since": now.isoformat()}
        SharedState.objects.record(StateName.ALL_PAUSED, now=now, detail=detail)


def _reset_change_stamps(leap: Leap) -> None:
    """Read change stamps again from before the leap, because those of the leap would hide later ones."""
    state = SharedState.objects.filter(name=StateName.CHANGE_STAMPS).first()
    if state is not None and datetime.fromisoformat(state.detail["newest"]) > leap.start:
        newest = leap.start.isoformat()
        state.detail = {"newest": newest, "seen_at": newest, "is_settled": False}
        state.save(update_fields=["detail"])
