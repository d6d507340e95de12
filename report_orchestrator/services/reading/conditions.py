"""Reports by what a person looks for: late, failing, flaky, never run, invalid, paused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, QuerySet

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import RETRYABLE_BY_PERSON, Status
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.services.reading.causes import COUNTED_AT_MOST
from report_orchestrator.services.reading.forecast import patience

FLAKY_WITHIN = timedelta(days=7)
FLAKY_FROM = 2
"""Failures in that time, with a success among them, that make a report flaky."""

Schedules = QuerySet[ReportSchedule]


def late(schedules: Schedules, now: datetime, settings: Settings) -> Schedules:
    """Their time came and nobody made a run of it, be it that a pause of all reports holds them back."""
    return schedules.filter(next_run_at__lt=now - patience(settings))


def failing(schedules: Schedules, now: datetime, settings: Settings) -> Schedules:
    """A run failed in the last 24 hours and waits for a person."""
    return schedules.filter(pk__in=_stopped(now - timedelta(days=1)).values("schedule"))


def flaky(schedules: Schedules, now: datetime, settings: Settings) -> Schedules:
    """Failed again and again within the last days, and succeeded too."""
    since = now - FLAKY_WITHIN
    often = (
        _stopped(since)
        .order_by()
        .values("schedule")
        .annotate(n=Count("*"))
        .filter(n__gte=FLAKY_FROM)
        .values("schedule")
    )
    well = ReportRun.objects.filter(
        schedule=OuterRef("pk"), scheduled_for__gte=since, status=Status.SUCCEEDED.value
    )
    return found_once(schedules.filter(Exists(well), pk__in=often))


def never_run(schedules: Schedules, now: datetime, settings: Settings) -> Schedules:
    """No run at all."""
    return found_once(schedules.exclude(Exists(ReportRun.objects.filter(schedule=OuterRef("pk")))))


def found_once(schedules: Schedules) -> Schedules:
    """The same reports, looked for once: a list asks for its count and for its page, and each would take a scan of its own.

    Where there are very many, both end early without it.
    """
    keys = list(schedules.order_by().values_list("pk", flat=True)[: COUNTED_AT_MOST + 1])
    return schedules if len(keys) > COUNTED_AT_MOST else ReportSchedule.objects.filter(pk__in=keys)


def invalid(schedules: Schedules, now: datetime, settings: Settings) -> Schedules:
    """They cannot run as they are defined."""
    return schedules.filter(state=ScheduleState.QUARANTINED)


def paused(schedules: Schedules, now: datetime, settings: Settings) -> Schedules:
    """A person stopped them."""
    return schedules.filter(paused_at__isnull=False)


def _stopped(since: datetime) -> QuerySet[ReportRun]:
    return ReportRun.objects.filter(status__in=sorted(RETRYABLE_BY_PERSON), ended_at__gte=since)


CONDITIONS: Mapping[str, Callable[[Schedules, datetime, Settings], Schedules]] = {
    "late": late,
    "failing": failing,
    "flaky": flaky,
    "never_run": never_run,
    "invalid": invalid,
    "paused": paused,
}
