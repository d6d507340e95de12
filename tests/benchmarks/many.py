"""Many reports; imported inside a place's own process."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from django.utils import timezone

from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportSchedule
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.pausing import resume_all
from report_orchestrator.services.reconciling import sync_schedules
from report_orchestrator.services.scheduling import open_due_runs
from report_orchestrator.wiring import get_ports
from tests.host.api.models import EventGroup, Report

DUE = 10_000


def measure(size: int) -> dict[str, str]:
    """All figures at one size."""
    logging.disable(logging.CRITICAL)
    group = EventGroup.objects.get(name=Report.objects.get(name="Windstorm accumulation").event_group.name)  # type: ignore[union-attr]
    Report.objects.bulk_create(
        [
            Report(name=f"Bench {number}", peril="WS", cron=f"{number % 60} 3 1 1 *", event_group=group)
            for number in range(size)
        ],
        batch_size=1000,
    )
    ports, settings = get_ports(), get_settings()
    found = {"discovery, all new": timed(lambda: discover(ports=ports))}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found["discovery, nothing changed"] = timed(lambda: discover(ports=ports))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found["discovery, nothing changed: memory"] = (
        f"{grown / 1024:.0f} MB peak of the process ({(grown - before) / 1024:.0f} more)"
    )
    open_due_runs(ports=ports, settings=settings, ring=False)
    found["sensor tick, none due"] = timed(lambda: open_due_runs(ports=ports, settings=settings, ring=False))
    now = timezone.now()
    keys = list(ReportSchedule.objects.filter(name__startswith="Bench").values_list("pk", flat=True)[:DUE])
    ReportSchedule.objects.filter(pk__in=keys).update(
        cron="* * * * *", next_run_at=now, decided_until=now - timedelta(minutes=1)
    )
    what = "sensor tick, 10,000 due" if len(keys) == DUE else f"sensor tick, {len(keys):,} due"
    found[what] = timed(lambda: open_due_runs(ports=ports, settings=settings, ring=False))
    pipeline = replace(settings, scheduling_approach="pipeline")
    found["pipeline's lines, all new"] = timed(lambda: sync_schedules(ports=ports, settings=pipeline))
    found["pipeline's lines, nothing to change"] = timed(
        lambda: sync_schedules(ports=ports, settings=pipeline)
    )
    return found


def due_every_minute(count: int) -> int:
    """Reports of one event group that are due in every minute, discovered; all others are due once a year."""
    group = Report.objects.get(name="Windstorm accumulation").event_group
    assert group is not None
    Report.objects.bulk_create(
        [
            Report(name=f"Every minute {number}", peril="WS", cron="* * * * *", event_group=group)
            for number in range(count)
        ]
    )
    Report.objects.exclude(name__startswith="Every minute").update(cron="0 3 1 1 *")
    discover(ports=get_ports())
    resume_all(actor="bench", ports=get_ports())
    return count


def timed(work: Callable[[], object]) -> str:
    """Wall-clock seconds."""
    began = time.perf_counter()
    work()
    return f"{time.perf_counter() - began:.3f} s"
