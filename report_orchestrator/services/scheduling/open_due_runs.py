"""Create the runs and recorded skips of all due times, each once, whichever scheduling approach calls."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from django.db import transaction

from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.runs import Trigger
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState, SharedState, StateName
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.models.upsert import upsert
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_schedule_event
from report_orchestrator.services.scheduling.clock_leaps import follow_clock
from report_orchestrator.services.scheduling.create_runs import BATCH, Created, insert_runs, new_run, new_skipped_run
from report_orchestrator.services.scheduling.pausing import all_are_paused, pauses_since
from report_orchestrator.services.timetable.due_times import Decision, DueTimes
from report_orchestrator.services.timetable.effective_settings import Switch
from report_orchestrator.services.timetable.queue_sync import request_sync

ROWS_AT_ONCE = 5000
NOTIFIED_AT_ONCE = 8
"""A notified worker continues with other due runs, so a few messages wake all workers."""
MOST_UPDATES = 50
"""Up to this many UPDATE statements are cheaper than one that names the values of each row."""


def open_due_runs(
    *, runtime: Runtime, schedules: ScheduleQuerySet | None = None, notify: bool = True, until: datetime | None = None
) -> Created:
    """Create a run or a recorded skip for every time since the last one decided.

    `schedules` limits it to some reports; with `notify=False` no worker is notified. After `until`, if given, no more
    begins: what is left stays due. Idempotent, and safe to call from several clusters at once.
    """
    created = Created()
    states = SharedState.objects.in_bulk([StateName.ALL_PAUSED, StateName.SCHEDULES, StateName.CLOCK])
    follow_clock(runtime=runtime, state=states.get(StateName.CLOCK))
    if StateName.ALL_PAUSED in states:
        return created
    chosen = (ReportSchedule.objects.all() if schedules is None else schedules).filter(
        report_model=runtime.reports.label  # rows of a model that the settings no longer name are history
    )
    due_times = _due_times(runtime.clock(), runtime.settings, states)
    while True:
        known = len(created.run_ids)
        is_complete = _decide_batch(chosen, due_times, created)
        if notify:
            runtime.queue.notify(created.run_ids[known : known + NOTIFIED_AT_ONCE])
        if is_complete or all_are_paused():
            return created
        if until is not None and runtime.clock() >= until:
            created.is_complete = False
            return created


def _due_times(now: datetime, settings: Settings, states: Mapping[str, SharedState]) -> DueTimes:
    switch = Switch.from_state(states.get(StateName.SCHEDULES))
    return DueTimes(now=now, settings=settings, switch=switch, pauses_since=pauses_since)


def _decide_batch(schedules: ScheduleQuerySet, due_times: DueTimes, created: Created) -> bool:
    """Decide one batch in one transaction, with its rows locked against other processes.

    Return True if no report is left that is due, except those that other processes are deciding.
    """
    with transaction.atomic(using=database_alias()):
        due = list(schedules.due(due_times.now).select_for_update(skip_locked=True)[:BATCH])
        decisions, are_all = _decisions(due, due_times)
        for decision in decisions:
            _apply(decision)
        _save_schedules(decisions)
        insert_runs(_rows(decisions, due_times), created)
    return len(due) < BATCH and are_all and not any(decision.until < due_times.now for decision in decisions)


def _apply(decision: Decision) -> None:
    schedule = decision.schedule
    schedule.decided_until, schedule.next_run_at = decision.until, decision.next_run_at
    schedule.catch_up = decision.rest and decision.rest.as_json()


def _decisions(due: Sequence[ReportSchedule], due_times: DueTimes) -> tuple[list[Decision], bool]:
    """Decide until one transaction has enough rows, and return False if reports are left: they remain due."""
    busy = _busy(due)
    decisions: list[Decision] = []
    rows = 0
    for schedule in due:
        try:
            decision = _decide(schedule, due_times, is_busy=schedule.pk in busy)
        except InvalidReportError as error:
            quarantine(schedule, error, due_times.now)
            continue
        decisions.append(decision)
        rows += len(decision.run_for) + len(decision.skip_for)
        if rows >= ROWS_AT_ONCE:
            return decisions, False
    return decisions, True


def decide_before_edit(schedules: Sequence[ReportSchedule], *, now: datetime, settings: Settings) -> Created:
    """Decide the due times of edited reports by their old definition, in the caller's transaction.

    `schedules` are copies of the rows before the edit; they are not saved, and no worker is notified. The times of paused
    reports are recorded as missed, since the new definition does not have them.
    """
    created = Created()
    if not schedules:
        return created
    busy = _busy(schedules)
    states = SharedState.objects.in_bulk([StateName.ALL_PAUSED, StateName.SCHEDULES])
    due_times = _due_times(now, settings, states)
    for schedule in schedules:
        paused = StateName.ALL_PAUSED in states or schedule.paused_at is not None
        for decision in _all_decisions(schedule, due_times, is_busy=schedule.pk in busy):
            insert_runs(_rows([decision.as_missed() if paused else decision], due_times), created)
    return created


def _all_decisions(schedule: ReportSchedule, due_times: DueTimes, *, is_busy: bool) -> Iterator[Decision]:
    """Yield one report's decisions up to now; none if its old definition was invalid or makes no progress."""
    while schedule.decided_until < due_times.now:
        try:
            decision = _decide(schedule, due_times, is_busy=is_busy)
        except InvalidReportError:
            return
        yield decision
        _apply(decision)


def _decide(schedule: ReportSchedule, due_times: DueTimes, *, is_busy: bool) -> Decision:
    """Decide the next due times of a report.

    Raises:
        InvalidReportError: its cron or zone is invalid, or the decision makes no progress: it would be repeated without end.
    """
    decision, now = due_times.decide(schedule, is_busy=is_busy), due_times.now
    is_due = decision.until < now or (decision.next_run_at is not None and decision.next_run_at <= now)
    if is_due and decision.until <= schedule.decided_until:
        raise InvalidReportError(
            f"{schedule}: its scheduled times after {schedule.decided_until.isoformat(timespec='seconds')} cannot be decided, "
            "because of an error in this app. Change its cron, and report this to the app's developers.",
            code=ErrorCode.UNEXPECTED,
        )
    return decision


def _busy(schedules: Sequence[ReportSchedule]) -> set[int]:
    """Return the keys of reports with a scheduled run that has not ended. Work by hand delays no schedule."""
    unfinished = ReportRun.objects.unfinished().on_schedule().filter(schedule__in=schedules)
    return set(unfinished.values_list("schedule_id", flat=True))


def quarantine(schedule: ReportSchedule, error: InvalidReportError, now: datetime) -> None:
    schedule.state = ScheduleState.QUARANTINED
    schedule.problem_code, schedule.problem = error.code, error.message
    schedule.next_run_at = None
    schedule.changed_at = now
    schedule.save(update_fields=["state", "problem_code", "problem", "next_run_at", "changed_at"])
    ReportChange.objects.create(
        schedule=schedule,
        kind=ChangeKind.QUARANTINED,
        after={"problem_code": error.code, "problem": error.message},
        source=ChangeSource.TICK,
        noticed_at=now,
    )
    request_sync([schedule.pk])
    emit_schedule_event("report_quarantined", report=str(schedule), code=error.code, problem=error.message)


def _save_schedules(decisions: Sequence[Decision]) -> None:
    """Update with one statement for each distinct pair of values: most reports of a tick share theirs."""
    alike: dict[tuple[datetime, datetime | None], list[int]] = defaultdict(list)
    whole = [decision.schedule for decision in decisions if not decision.is_piece]
    for decision in decisions:
        if decision.is_piece:
            decision.schedule.save(update_fields=["decided_until", "next_run_at", "catch_up"])
    for schedule in whole:
        alike[schedule.decided_until, schedule.next_run_at].append(schedule.pk)
    if len(alike) > MOST_UPDATES:
        upsert(*whole, update=["decided_until", "next_run_at"], batch_size=BATCH)
        return
    for (decided_until, next_run_at), keys in alike.items():
        ReportSchedule.objects.filter(pk__in=keys).update(decided_until=decided_until, next_run_at=next_run_at)


def _rows(decisions: Iterable[Decision], due_times: DueTimes) -> list[ReportRun]:
    runs: list[ReportRun] = []
    now = due_times.now
    for decision in decisions:
        schedule = decision.schedule
        runs += [new_run(schedule, moment, now=now, in_line=decision.in_line) for moment in decision.run_for]
        for skip in decision.skip_for:
            if skip.covers_until is not None:
                emit_schedule_event(
                    "times_beyond_lookback", report=str(schedule), since=skip.scheduled_for, until=skip.covers_until
                )
            runs.append(new_skipped_run(schedule, skip, now=now))
    for run in runs:
        if not run.schedule.is_live_at(run.scheduled_for, unless_switched=not due_times.settings.shadow):
            run.trigger, run.in_line = Trigger.SHADOW.value, False
    return runs
