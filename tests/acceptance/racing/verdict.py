"""Run after a race: compare every decision with the cron in force, by an independent reading of crons.

A cron is in force for the times in (detected, detected of the next one], by the history of changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise, takewhile

from cronsim import CronSim
from django.db import transaction
from django.db.models import Count, QuerySet

from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.wiring import get_runtime
from tests.host.api.models import Report

CHANGES = ("new", "retimed")


def doubled() -> int:
    """Return the number of occurrences with more than one row."""
    times = ReportRun.objects.values("schedule", "scheduled_for").annotate(rows=Count("pk"))
    return times.filter(rows__gt=1).count()


def unexplained(name: str) -> dict[str, list[str]]:
    """Return times decided wrongly, times missed, and crons out of step."""
    discover(runtime=get_runtime())
    with transaction.atomic():  # the clusters tick on: nothing is decided while it is examined
        return _held_against_the_history(ReportSchedule.objects.select_for_update().filter(name__startswith=name))


def _held_against_the_history(schedules: QuerySet[ReportSchedule]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"uncalled": [], "forgotten": [], "out of step": []}
    crons = dict(Report.objects.values_list("pk", "cron"))
    for schedule in schedules:
        decided = set(schedule.runs.values_list("scheduled_for", flat=True))
        called = set(_called(schedule))
        found["uncalled"] += [f"{schedule} at {at}" for at in sorted(decided - called)]
        found["forgotten"] += [f"{schedule} at {at}" for at in sorted(called - decided)]
        if schedule.cron != crons[int(schedule.report_key)]:
            found["out of step"].append(f"{schedule}: {schedule.cron}")
    return found


def _called(schedule: ReportSchedule) -> Iterator[datetime]:
    changes = ReportChange.objects.filter(schedule=schedule, kind__in=CHANGES).order_by("noticed_at", "pk")
    spans = [(change.noticed_at, str(change.after["cron"])) for change in changes]
    for (since, cron), (until, _next) in pairwise([*spans, (schedule.decided_until, "")]):
        yield from takewhile(lambda at: at <= until, CronSim(cron, since.astimezone(UTC)))  # noqa: B023
