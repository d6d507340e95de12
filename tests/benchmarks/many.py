"""Many reports; each figure is measured in its own process of the environment, so that memory is that of one task."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from django.db import connections

from report_orchestrator import tasks
from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportSchedule, SharedState, StateName
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.services.scheduling.pausing import resume_all
from report_orchestrator.services.timetable.queue_sync import request_sync, sync_if_stale, sync_schedules
from report_orchestrator.testing import make_runtime
from report_orchestrator.wiring import get_ports, get_runtime
from tests.host.api.models import Report

DUE = 10_000


def new_reports(size: int) -> dict[str, str]:
    """Add this many reports to the host, and discover them."""
    logging.disable(logging.CRITICAL)
    group = Report.objects.get(name="Windstorm accumulation").event_group
    for start in range(0, size, 1000):
        Report.objects.bulk_create(
            Report(name=f"Bench {number}", peril="WS", cron=f"{number % 60} 3 1 1 *", event_group=group)
            for number in range(start, min(start + 1000, size))
        )
    measured = {"discovery, all new": timed(lambda: discover(runtime=get_runtime()))}
    for alias in connections:
        with connections[alias].cursor() as cursor:
            cursor.execute("ANALYZE")
    return measured


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
    discover(runtime=get_runtime())
    resume_all(actor="bench", runtime=get_runtime())
    return count


def unchanged() -> dict[str, str]:
    """A discovery with nothing changed, in a process that did nothing else."""
    logging.disable(logging.CRITICAL)
    list(ReportSchedule.objects.all()[:1])  # connections and modules are there in an idle worker too
    list(Report.objects.all()[:1])
    idle = _peak_memory()
    measured = {"discovery, nothing changed": timed(lambda: discover(runtime=get_runtime()))}
    peak = _peak_memory()
    measured["discovery, nothing changed: memory"] = f"{peak:.0f} MB at most ({peak - idle:.0f} over idle)"
    return measured


def _peak_memory() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def quiet() -> dict[str, str]:
    """Measure the whole sensor task, including the check of change stamps, with nothing due."""
    logging.disable(logging.CRITICAL)
    tasks.cron_sensor()
    mark = SharedState.objects.get(name=StateName.CHANGE_STAMPS)  # as after a minute in which nothing was edited
    mark.detail["is_settled"] = True
    mark.save()
    tasks.cron_sensor()
    return {"sensor tick, none due": timed(tasks.cron_sensor, times=20)}


def due() -> dict[str, str]:
    """Ten thousand reports, or all, due at once."""
    logging.disable(logging.CRITICAL)
    ports, settings, now = get_ports(), get_settings(), datetime.now(UTC)
    bench = ReportSchedule.objects.filter(name__startswith="Bench")
    keys = list(bench.order_by("pk").values_list("pk", flat=True)[:DUE])
    for start in range(0, len(keys), 1000):
        ReportSchedule.objects.filter(pk__in=keys[start : start + 1000]).update(
            cron="* * * * *", next_run_at=now, decided_until=now - timedelta(minutes=1)
        )
    what = f"sensor tick, {len(keys):,} due"
    return {what: timed(lambda: open_due_runs(runtime=make_runtime(ports, settings), notify=False))}


def lines() -> dict[str, str]:
    """The pipeline's lines: made, found right, and one of them corrected after an edit."""
    logging.disable(logging.CRITICAL)
    ports, pipeline = get_ports(), replace(get_settings(), scheduling_approach="pipeline")
    measured = {
        f"pipeline's lines, {what}": timed(lambda: sync_schedules(runtime=make_runtime(ports, pipeline)))
        for what in ("all new", "nothing to change")
    }
    edited = ReportSchedule.objects.filter(name__startswith="Bench").latest("pk")
    ReportSchedule.objects.filter(pk=edited.pk).update(cron="7 7 7 7 *")
    request_sync([edited.pk])
    measured["pipeline's lines, one edited"] = timed(lambda: sync_if_stale(runtime=make_runtime(ports, pipeline)))
    return measured


def timed(work: Callable[[], object], *, times: int = 1) -> str:
    """Return wall-clock seconds, the median of several, and CPU seconds of this process."""
    walls, computing = zip(*(_once(work) for _ in range(times)), strict=True)
    return f"{_median(walls):.3f} s ({_median(computing):.3f} s computing)"


def _once(work: Callable[[], object]) -> tuple[float, float]:
    wall, computing = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - computing


def _median(seconds: Sequence[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]
