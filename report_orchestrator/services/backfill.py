"""Times of the past, run on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice

from django.db import transaction
from django.utils import timezone

from report_orchestrator.domain.cron import parse_cron, times_between
from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.exceptions import InvalidReportError, LeaseLostError, NotPossibleError
from report_orchestrator.models import InterventionKind, ReportRun, ReportSchedule
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database, run_event
from report_orchestrator.services.opening import (
    Opened,
    insert_runs,
    new_run,
    refuse_if_far_away,
    refuse_if_not_runnable,
)
from report_orchestrator.services.recording import record
from report_orchestrator.services.timing import zone_of

CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A time of a report that a backfill wants. `skipped_run` is the recorded skip that it would take up again."""

    schedule: ReportSchedule
    nominal: datetime
    skipped_run: int | None = None


def span_of_days(since: date, until: date, *, now: datetime) -> tuple[datetime, datetime]:
    """The days from one to the other, the last one whole, in the project's zone, and no future.

    Raises:
        NotPossibleError: one of the days is years away.
    """
    for day in (since, until):
        refuse_if_far_away(day, now)
    zone = timezone.get_default_timezone()
    end = datetime.combine(until + timedelta(days=1), time(), tzinfo=zone)
    return datetime.combine(since, time(), tzinfo=zone), min(end, now)


def plan_backfill(
    schedules: Sequence[ReportSchedule],
    *,
    since: datetime,
    until: datetime,
    reverse: bool = False,
    limit: int | None = None,
) -> list[Occurrence]:
    """The times of these reports in [since, until) that have not run, oldest first, or newest first with `reverse`.

    Times that have a run already, whatever became of it, are left out; times recorded as skipped are taken up.
    With `limit` the search ends once so many were found.

    Raises:
        InvalidReportError: a report may not run, or has no cron to take times from.
    """
    missing = (
        occurrence for schedule in schedules for occurrence in _missing(schedule, since=since, until=until)
    )
    found = islice(missing, limit)
    return sorted(found, key=lambda one: (one.nominal, one.schedule.pk), reverse=reverse)


def _missing(schedule: ReportSchedule, *, since: datetime, until: datetime) -> Iterator[Occurrence]:
    refuse_if_not_runnable(schedule)
    if not schedule.cron:
        raise InvalidReportError(
            f"{schedule} has no cron, so it has no times to backfill. Use run_report with --date.",
            code="no_cron",
        )
    moment = resolution_before(since)
    times = iter(times_between(parse_cron(schedule.cron), zone_of(schedule), after=moment, until=until))
    while chunk := [nominal for nominal in islice(times, CHUNK) if nominal < until]:
        known = {
            nominal: (pk, status)
            for pk, nominal, status in ReportRun.objects.filter(schedule=schedule, scheduled_for__in=chunk)
            .exclude(trigger=Trigger.MANUAL)
            .values_list("pk", "scheduled_for", "status")
        }
        for nominal in chunk:
            pk, status = known.get(nominal, (None, Status.SKIPPED))
            if status == Status.SKIPPED:
                yield Occurrence(schedule=schedule, nominal=nominal, skipped_run=pk)


def resolution_before(instant: datetime) -> datetime:
    """Just before an instant, so that a half-open search from there includes it."""
    return instant - datetime.resolution


def open_backfill(occurrences: Sequence[Occurrence], *, actor: str, ports: Ports, reason: str = "") -> Opened:
    """Opens runs for these times. Idempotent: what was opened meanwhile is left alone."""
    now = ports.clock()
    opened = Opened()
    with transaction.atomic(using=database()):
        for occurrence in occurrences:
            if occurrence.skipped_run is not None:
                _take_up(occurrence.skipped_run, actor, now, opened)
        insert_runs([_fresh(one, actor, now) for one in occurrences if one.skipped_run is None], opened)
        record(opened.run_ids, InterventionKind.BACKFILLED, actor=actor, reason=reason, now=now)
        ports.queue.ring(opened.run_ids)
    return opened


def _fresh(occurrence: Occurrence, actor: str, now: datetime) -> ReportRun:
    run = new_run(occurrence.schedule, occurrence.nominal, now=now)
    run.trigger, run.triggered_by = Trigger.BACKFILL.value, actor[:150]
    return run


def _take_up(run_id: int, actor: str, now: datetime, opened: Opened) -> None:
    """A skipped time runs after all."""
    run = ReportRun.objects.filter(pk=run_id, status=Status.SKIPPED).first()
    if run is None:
        return
    try:
        run.write(
            status=Status.QUEUED.value,
            trigger=Trigger.BACKFILL.value,
            triggered_by=actor[:150],
            wake_at=now,
            ended_at=None,
            error_code="",
            error="",
        )
    except LeaseLostError:
        return
    opened.runs += 1
    opened.run_ids.append(run.pk)
    run_event("run_opened", run, scheduled_for=run.scheduled_for, trigger=run.trigger)


def schedules_of(keys: Sequence[str], ports: Ports) -> list[ReportSchedule]:
    """The reports with these keys.

    Raises:
        NotPossibleError: one of them is no report.
    """
    rows = ReportSchedule.objects.filter(report_model=ports.reports.label, report_key__in=keys)
    found = {row.report_key: row for row in rows}
    if missing := [key for key in keys if key not in found]:
        raise NotPossibleError(
            f"There is no report {', '.join(missing)} in {ports.reports.label}. Run discover_reports if it is new.",
            code="no_such_report",
        )
    return [found[key] for key in dict.fromkeys(keys)]
