"""Thousands of reports that are due in one minute; imported inside a place's own process."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TypeAlias

from django.db.models import Min, Q
from django.utils import timezone

from report_orchestrator.conf import get_settings
from report_orchestrator.models import Mark, ReportRun, ReportSchedule
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.gate import jobs_in_flight
from report_orchestrator.services.scheduling import open_due_runs
from report_orchestrator.wiring import get_ports
from tests.host.api.models import EventGroup, Priority, Report

URGENT = "Urgent report"
ABOVE, NORMAL = (
    40,
    60,
)  # of this many reports the priority is above normal and normal; of all others it is below
Rank: TypeAlias = tuple[str, int, float]


def open_many(count: int) -> str:
    """Opens the runs of so many reports of three priorities, due in one minute; an urgent one runs by hand only.

    Returns JSON: the urgent one's key, and how many runs were opened.
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
    urgent = Report.objects.create(
        name=URGENT, peril="FL", cron="", event_group=group, priority=Priority.HIGH
    )
    ports = get_ports()
    discover(ports=ports)
    due = ReportSchedule.objects.filter(name__startswith="Many ")
    due.update(next_run_at=minute, decided_until=minute - timedelta(minutes=1))
    opened = open_due_runs(ports=ports, settings=get_settings(), schedules=due)
    return json.dumps([str(urgent.pk), opened.runs])


def look() -> str:
    """JSON: how many runs have not been submitted, how old the last tick is in seconds, how many jobs are in flight.

    Before the first tick, the time since the first submission stands for its age.
    """
    now = get_ports().clock()
    last = Mark.objects.filter(name="tick").aggregate(at=Min("marked_at"))["at"]
    last = last or ReportRun.objects.aggregate(at=Min("started_at"))["at"]
    waiting = (
        ReportRun.objects.filter(Q(step="report_data") | Q(step="external_job_submission")).live().count()
    )
    return json.dumps(
        {"waiting": waiting, "silence": (now - last).total_seconds(), "flying": jobs_in_flight()}
    )


def ranking() -> str:
    """JSON: the references of all scheduled runs, but for skipped times, in the order in which they should start."""
    runs = (
        ReportRun.objects.filter(trigger="scheduled")
        .exclude(status="skipped")
        .order_by("-priority", "created_at", "pk")
    )
    return json.dumps([run.client_reference for run in runs])
