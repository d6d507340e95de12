"""Due times become runs or recorded skips, each once, whichever approach ticked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from django.db import transaction

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Trigger
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database, schedule_event
from report_orchestrator.services.deciding import Decider, Decision
from report_orchestrator.services.opening import BATCH, Opened, insert_runs, new_run, skipped_run
from report_orchestrator.services.pausing import all_are_paused

ROWS_AT_ONCE = 5000
RUNG_AT_ONCE = 8
"""Every worker that is rung goes on with whatever else is due, so a few bells wake them all."""
FEW = 50
"""Up to so many statements are cheaper than one that names each row's own values."""


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
    decider = Decider(now=ports.clock(), settings=settings)
    while True:
        known = len(opened.run_ids)
        decided = _decide_batch(chosen, decider, opened)
        if ring:
            ports.queue.ring(opened.run_ids[known : known + RUNG_AT_ONCE])
        if decided < BATCH:
            return opened


def _decide_batch(schedules: ScheduleQuerySet, decider: Decider, opened: Opened) -> int:
    """One batch in one transaction, its rows locked, so that of two deciders each report has one.

    Returns how many reports were due, or a whole batch where there is more to decide at once.
    """
    with transaction.atomic(using=database()):
        due = list(schedules.due(decider.now).select_for_update(skip_locked=True)[:BATCH])
        decisions, all_of_them = _decisions(due, decider)
        _record(decisions, now=decider.now, opened=opened)
    return len(due) if all_of_them else BATCH


def _decisions(due: Sequence[ReportSchedule], decider: Decider) -> tuple[list[Decision], bool]:
    """Decisions, until they would make more rows than one transaction should; the rest is due again at once."""
    busy = _busy(due)
    decisions: list[Decision] = []
    rows = 0
    for schedule in due:
        try:
            decision = decider.decide(schedule, is_busy=schedule.pk in busy)
        except InvalidReportError as error:
            quarantine(schedule, error, decider.now)
            continue
        decisions.append(decision)
        rows += len(decision.run_for) + len(decision.skip_for)
        if rows >= ROWS_AT_ONCE:
            return decisions, False
    return decisions, True


def decide_before_edit(schedules: Sequence[ReportSchedule], *, now: datetime, settings: Settings) -> Opened:
    """Decides all that had come under the old definition of reports that are being edited, in the editor's transaction.

    `schedules` are copies of the rows as they were; they are not saved. Nobody is rung. What is paused, by itself or with
    all, opens nothing: its times are recorded as missed, since under the new definition nobody would ask for them any more.
    """
    opened = Opened()
    busy = _busy(schedules)
    all_paused = all_are_paused()
    decider = Decider(now=now, settings=settings)
    for schedule in schedules:
        paused = all_paused or schedule.paused_at is not None
        for decision in _all_decisions(schedule, decider, is_busy=schedule.pk in busy):
            insert_runs(_rows([decision.put_off() if paused else decision], now), opened)
    return opened


def _all_decisions(schedule: ReportSchedule, decider: Decider, *, is_busy: bool) -> Iterator[Decision]:
    """One report's decisions, piece by piece, up to now; none where its old definition could not be read."""
    while schedule.decided_until < decider.now:
        try:
            decision = decider.decide(schedule, is_busy=is_busy)
        except InvalidReportError:
            return
        yield decision
        schedule.decided_until = decision.until


def _busy(schedules: Sequence[ReportSchedule]) -> set[int]:
    """Those whose last run has not ended. What a person runs by hand holds up no schedule."""
    live = ReportRun.objects.live().filter(schedule__in=schedules).exclude(trigger=Trigger.MANUAL)
    return set(live.values_list("schedule_id", flat=True))


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
    _move_on([decision.schedule for decision in decisions])
    insert_runs(runs, opened)


def _move_on(schedules: Sequence[ReportSchedule]) -> None:
    """Reports that were decided at one tick mostly share their next time: one statement for each that differs."""
    alike: dict[tuple[datetime, datetime | None], list[int]] = defaultdict(list)
    for schedule in schedules:
        alike[schedule.decided_until, schedule.next_run_at].append(schedule.pk)
    if len(alike) > FEW:
        ReportSchedule.objects.bulk_update(schedules, ["decided_until", "next_run_at"], batch_size=BATCH)
        return
    for (decided_until, next_run_at), keys in alike.items():
        ReportSchedule.objects.filter(pk__in=keys).update(
            decided_until=decided_until, next_run_at=next_run_at
        )


def _rows(decisions: Iterable[Decision], now: datetime) -> list[ReportRun]:
    runs: list[ReportRun] = []
    for decision in decisions:
        schedule = decision.schedule
        runs += [
            new_run(schedule, nominal, now=now, in_line=decision.in_line) for nominal in decision.run_for
        ]
        for skip in decision.skip_for:
            if skip.stands_until is not None:
                _warn_of_times_beyond_lookback(schedule, skip.nominal, skip.stands_until)
            runs.append(skipped_run(schedule, skip, now=now))
    return runs


def _warn_of_times_beyond_lookback(schedule: ReportSchedule, since: datetime, until: datetime) -> None:
    schedule_event("times_beyond_lookback", report=str(schedule), since=since, until=until)
