"""Thousands of reports due in one minute; imported in a process of the environment."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TypeAlias

from django.db.models import Min, Q
from django.utils import timezone

from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.fireant.limits import jobs_in_flight
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.testing import make_runtime
from report_orchestrator.wiring import get_ports
from tests.host.api.models import EventGroup, Priority, Report

URGENT = "Urgent report"
ABOVE, NORMAL = (40, 60)  # of this many reports the priority is above normal and normal; of all others it is below
Rank: TypeAlias = tuple[str, int, float]


def open_many(count: int) -> str:
    """Open this many runs with three priorities, due in one minute; an urgent report runs manually only.

    Returns JSON: the key of the urgent report and the number of runs.
    """
    logging.disable(logging.INFO)
    group = EventGroup.objects.get(name="North Sea surge")
    minute = timezone.now().replace(second=0, microsecond=0)
    cron = f"{minute.minute} {minute.hour} * * *"
    below = [Priority.BELOW_NORMAL] * (count - ABOVE - NORMAL)
    priorities = [*below, *[Priority.NORMAL] * NORMAL, *[Priority.ABOVE_NORMAL] * ABOVE]
    Report.objects.bulk_create(
        [
            Report(name=f"Many {number}", peril="FL", cron=cron, event_group=group, priority=priority)
            for number, priority in enumerate(priorities)
        ],
        batch_size=1000,
    )
    urgent = Report.objects.create(name=URGENT, peril="FL", cron="", event_group=group, priority=Priority.HIGH)
    ports = get_ports()
    discover(runtime=make_runtime(ports, get_settings()))
    due = ReportSchedule.objects.filter(name__startswith="Many ")
    due.update(next_run_at=minute, decided_until=minute - timedelta(minutes=1))
    opened = open_due_runs(runtime=make_runtime(ports, get_settings()), schedules=due)
    return json.dumps([str(urgent.pk), opened.runs])


def look() -> str:
    """Return JSON: the number of runs not submitted, the age of the last tick in seconds, the number of jobs in
    flight.

    Before the first tick, the age is the time since the first submission.
    """
    now = get_ports().clock()
    last = SharedState.objects.filter(name="tick").aggregate(at=Min("marked_at"))["at"]
    last = last or ReportRun.objects.aggregate(at=Min("started_at"))["at"]
    waiting = ReportRun.objects.filter(Q(step="report_data") | Q(step="external_job_submission")).unfinished().count()
    return json.dumps({"waiting": waiting, "silence": (now - last).total_seconds(), "flying": jobs_in_flight()})


def ranking() -> str:
    """Return JSON: the references of all scheduled runs, without skipped times, in the expected start order."""
    runs = (
        ReportRun.objects.filter(trigger="scheduled")
        .exclude(status="skipped")
        .order_by("-priority", "created_at", "pk")
    )
    return json.dumps([run.client_reference for run in runs])
