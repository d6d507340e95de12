"""Due times become runs or recorded skips, each once, whichever approach ticked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction

from report_orchestrator.conf import Settings
from report_orchestrator.domain.cron import next_time, parse_cron, times_between
from report_orchestrator.domain.runs import Trigger
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database, schedule_event
from report_orchestrator.services.opening import BATCH, Opened, insert_runs, new_run, skipped_run
from report_orchestrator.services.pausing import all_are_paused
from report_orchestrator.services.timing import zone_of

TIMES_AT_ONCE = 500
"""Times of one report that are decided in one go; after a long outage the rest follows in the next."""
ROWS_AT_ONCE = 5000
RUNG_AT_ONCE = 8
"""Every worker that is rung goes on with whatever else is due, so a few bells wake them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is decided for one report at one tick, up to and with `until`. `skip_for` says why each time does not run."""

    schedule: ReportSchedule
    until: datetime
    run_for: Sequence[datetime]
    skip_for: Sequence[tuple[datetime, str]]
    next_run_at: datetime | None
    beyond_lookback: bool
    in_line: bool


def on_time(settings: Settings) -> timedelta:
    """How far back a tick of the approach is on time; anything older was missed, and goes by `MISSED_RUNS`."""
    match settings.scheduling_approach:
        case "sensor":
            return max(2 * settings.cron_sensor_interval, timedelta(minutes=2))
        case "schedule":
            return settings.schedule_interval
        case "pipeline":
            return timedelta(minutes=2)


def open_due_runs(
    *, ports: Ports, settings: Settings, schedules: ScheduleQuerySet | None = None, ring: bool = True
) -> Opened:
    """Decides every time that has come since the last one decided: each becomes a run or a recorded skip, once.

    `schedules` narrows it to some reports; with `ring=False` no worker is told. Idempotent: called twice, or by two
    clusters at once, it opens nothing twice.
    """
    opened = Opened()
    if all_are_paused():
        return opened
    chosen = (ReportSchedule.objects.all() if schedules is None else schedules).filter(
        report_model=ports.reports.label  # rows of a model that the settings no longer name stay as history
    )
    now = ports.clock()
    while True:
        known = len(opened.run_ids)
        decided = _decide_batch(chosen, now=now, settings=settings, opened=opened)
        if ring:
            ports.queue.ring(opened.run_ids[known : known + RUNG_AT_ONCE])
        if decided < BATCH:
            return opened


def _decide_batch(schedules: ScheduleQuerySet, *, now: datetime, settings: Settings, opened: Opened) -> int:
    """One batch in one transaction, its rows locked, so that of two deciders each report has one.

    Returns how many reports were due, or a whole batch where there is more to decide at once.
    """
    with transaction.atomic(using=database()):
        due = list(schedules.due(now).select_for_update(skip_locked=True)[:BATCH])
        decisions, all_of_them = _decisions(due, now, settings)
        _record(decisions, now=now, opened=opened)
    return len(due) if all_of_them else BATCH


def _decisions(
    due: Sequence[ReportSchedule], now: datetime, settings: Settings
) -> tuple[list[Decision], bool]:
    """Decisions, until they would make more rows than one transaction should; the rest is due again at once."""
    busy = _busy(due)
    decisions: list[Decision] = []
    rows = 0
    for schedule in due:
        try:
            decision = _decide(schedule, now, settings, is_busy=schedule.pk in busy)
        except InvalidReportError as error:
            quarantine(schedule, error, now)
            continue
        decisions.append(decision)
        rows += len(decision.run_for) + len(decision.skip_for)
        if rows >= ROWS_AT_ONCE:
            return decisions, False
    return decisions, True


def decide_before_edit(schedules: Sequence[ReportSchedule], *, now: datetime, settings: Settings) -> Opened:
    """Decides all that had come under the old definition of reports that are being edited, in the editor's transaction.

    `schedules` are copies of the rows as they were; they are not saved. Nobody is rung. While all is paused, the times are
    recorded as missed: under the new definition nobody would ask for them any more.
    """
    opened = Opened()
    busy = _busy(schedules)
    paused = all_are_paused()
    for schedule in schedules:
        for decision in _all_decisions(schedule, now, settings, is_busy=schedule.pk in busy):
            insert_runs(_rows([_put_off(decision) if paused else decision], now), opened)
    return opened


def _all_decisions(
    schedule: ReportSchedule, now: datetime, settings: Settings, *, is_busy: bool
) -> Iterator[Decision]:
    """One report's decisions, piece by piece, up to now; none where its old definition could not be read."""
    while schedule.decided_until < now:
        try:
            decision = _decide(schedule, now, settings, is_busy=is_busy)
        except InvalidReportError:
            return
        yield decision
        schedule.decided_until = decision.until


def _put_off(decision: Decision) -> Decision:
    skipped = [*decision.skip_for, *((nominal, "missed") for nominal in decision.run_for)]
    return replace(decision, run_for=[], skip_for=skipped)


def _busy(schedules: Sequence[ReportSchedule]) -> set[int]:
    """Those whose last run has not ended. What a person runs by hand holds up no schedule."""
    live = ReportRun.objects.live().filter(schedule__in=schedules).exclude(trigger=Trigger.MANUAL)
    return set(live.values_list("schedule_id", flat=True))


def _decide(schedule: ReportSchedule, now: datetime, settings: Settings, *, is_busy: bool) -> Decision:
    """Raises `InvalidReportError` where the report's cron or zone cannot be read."""
    cron, zone = parse_cron(schedule.cron), zone_of(schedule)
    earliest = now - settings.max_lookback
    come = times_between(cron, zone, after=max(schedule.decided_until, earliest), until=now)
    times = list(islice(come, TIMES_AT_ONCE))
    until = times[-1] if len(times) == TIMES_AT_ONCE else now
    wanted = _wanted(times, now=now, settings=settings, more_follow=until < now)
    overlap = schedule.overlap or settings.overlap
    run_for = [] if is_busy and overlap == "skip" else wanted
    runs, wishes = set(run_for), set(wanted)
    return Decision(
        schedule=schedule,
        until=until,
        run_for=run_for,
        skip_for=[
            (nominal, "overlap" if nominal in wishes else "missed")
            for nominal in times
            if nominal not in runs
        ],
        next_run_at=next_time(cron, zone, after=until),
        beyond_lookback=schedule.next_run_at is not None and schedule.next_run_at <= earliest,
        in_line=overlap != "allow" and (is_busy or len(run_for) > 1),
    )


def _wanted(
    times: Sequence[datetime], *, now: datetime, settings: Settings, more_follow: bool
) -> Sequence[datetime]:
    """Times on time always run; missed ones by the policy. The latest is not among these where `more_follow`."""
    if settings.missed_runs == "all":
        return times
    punctual = [nominal for nominal in times if nominal > now - on_time(settings)]
    if punctual or more_follow or settings.missed_runs == "none":
        return punctual
    return times[-1:]


def quarantine(schedule: ReportSchedule, error: InvalidReportError, now: datetime) -> None:
    """Sets one report aside, with the reason, so that it stops no other."""
    schedule.state = ScheduleState.QUARANTINED
    schedule.problem_code, schedule.problem = error.code, error.message
    schedule.next_run_at = None
    schedule.changed_at = now
    schedule.save(update_fields=["state", "problem_code", "problem", "next_run_at", "changed_at"])
    schedule_event("report_quarantined", report=str(schedule), code=error.code, problem=error.message)


def _record(decisions: Sequence[Decision], *, now: datetime, opened: Opened) -> None:
    runs = _rows(decisions, now)
    for decision in decisions:
        decision.schedule.decided_until = max(decision.schedule.decided_until, decision.until)
        decision.schedule.next_run_at = decision.next_run_at
    moved = [decision.schedule for decision in decisions]
    ReportSchedule.objects.bulk_update(moved, ["decided_until", "next_run_at"], batch_size=BATCH)
    insert_runs(runs, opened)


def _rows(decisions: Iterable[Decision], now: datetime) -> list[ReportRun]:
    runs: list[ReportRun] = []
    for decision in decisions:
        schedule = decision.schedule
        if decision.beyond_lookback:
            schedule_event("times_beyond_lookback", report=str(schedule), since=schedule.decided_until)
        runs += [
            new_run(schedule, nominal, now=now, in_line=decision.in_line) for nominal in decision.run_for
        ]
        runs += [
            skipped_run(schedule, nominal, now=now, because=because) for nominal, because in decision.skip_for
        ]
    return runs
