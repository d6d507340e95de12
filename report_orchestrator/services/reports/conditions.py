"""Filters of the report list: late, failing, flaky, never run, invalid, paused."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, QuerySet

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.models.schedules import live_condition
from report_orchestrator.services.monitoring.failure_groups import MAX_COUNTED, RECENTLY, failed_since
from report_orchestrator.services.monitoring.overdue import late_before

FLAKY_WITHIN = timedelta(days=7)
FLAKY_FROM = 2
"""Failures in that time, with a success among them, that make a report flaky."""

Schedules = QuerySet[ReportSchedule]


def late(schedules: Schedules, now: datetime, settings: Settings) -> Schedules:
    """Return reports that are due and without a run, also those that a pause of all reports holds back."""
    return schedules.filter(next_run_at__lt=late_before(now, settings))


def failing(schedules: Schedules, now: datetime, settings: Settings) -> Schedules:
    return schedules.filter(pk__in=failed_since(now - RECENTLY).values("schedule"))


def flaky(schedules: Schedules, now: datetime, settings: Settings) -> Schedules:
    since = now - FLAKY_WITHIN
    failures = failed_since(since).order_by().values("schedule").annotate(n=Count("*"))
    succeeded = ReportRun.objects.filter(
        schedule=OuterRef("pk"), scheduled_for__gte=since, status=Status.SUCCEEDED.value
    )
    often = failures.filter(n__gte=FLAKY_FROM).values("schedule")
    return evaluated_once(schedules.filter(Exists(succeeded), pk__in=often))


def never_run(schedules: Schedules, now: datetime, settings: Settings) -> Schedules:
    return evaluated_once(schedules.exclude(Exists(ReportRun.objects.filter(schedule=OuterRef("pk")))))


def evaluated_once(schedules: Schedules) -> Schedules:
    """Return the same reports by key, so that a list's count and its page do not each scan for them.

    Beyond `MAX_COUNTED` reports the query is returned as it is: both then end early.
    """
    keys = list(schedules.order_by().values_list("pk", flat=True)[: MAX_COUNTED + 1])
    if len(keys) > MAX_COUNTED:
        return schedules
    return ReportSchedule.objects.filter(pk__in=keys).order_by(*schedules.query.order_by)


CONDITIONS: Mapping[str, Callable[[Schedules, datetime, Settings], Schedules]] = {
    "late": late,
    "failing": failing,
    "flaky": flaky,
    "never_run": never_run,
    "invalid": lambda schedules, now, settings: schedules.filter(state=ScheduleState.QUARANTINED),
    "shadow": lambda schedules, now, settings: schedules.exclude(state=ScheduleState.REMOVED).exclude(
        live_condition(now, unless_switched=not settings.shadow)
    ),
    "paused": lambda schedules, now, settings: schedules.filter(paused_at__isnull=False),
}
