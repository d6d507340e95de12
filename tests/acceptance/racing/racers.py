"""Run in the environment's processes: tick, edit, and start the race."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from django.utils import timezone

from report_orchestrator import tasks
from report_orchestrator.adapters.database_clock import database_clock
from report_orchestrator.adapters.queue.django_q import send
from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.testing import make_runtime
from report_orchestrator.wiring import get_ports, get_runtime
from tests.host.api.models import Event, EventGroup, GeoEvent, Report

APPROACHES: tuple[Literal["sensor", "schedule", "pipeline"], ...] = ("sensor", "schedule", "pipeline")
CRONS = ("*/2 * * * *", "*/3 * * * *", "1-59/5 * * * *", "*/7 * * * *", "* * * * *", "0 0 1 1 *")
SEED = 20260701


def populate(name: str, count: int, cron: str) -> int:
    """Create this many reports with one cron, and discover them."""
    event = Event.objects.first() or GeoEvent.objects.create(name="Florida", country="US", area="FL")
    group, _created = EventGroup.objects.get_or_create(name="race")
    group.events.add(event)
    Report.objects.bulk_create(
        [Report(name=f"{name} {number}", peril="WS", cron=cron, event_group=group) for number in range(count)]
    )
    return len(discover(runtime=get_runtime()).changes)


def reports_called(name: str) -> list[int]:
    """Return the primary keys of our rows."""
    return list(ReportSchedule.objects.filter(name__startswith=name).order_by("pk").values_list("pk", flat=True))


def quarters_of_an_hour_ago() -> str:
    """Return a cron with four times, all within the hour that began two hours ago, and no others for a day."""
    return f"0,15,30,45 {(database_clock() - timedelta(hours=2)).hour} * * *"


def race(approach: str, stop: str) -> dict[str, int]:
    """Tick as one approach does, without a pause, until the file exists. Return the number of opened runs and of
    rounds.
    """
    tick = {"sensor": tasks.cron_sensor, "schedule": tasks.decide_window, "pipeline": _each_report}[approach]
    opened = rounds = 0
    while not Path(stop).exists():
        opened += tick()
        rounds += 1
        Path(f"{stop}-{approach}").touch()
    return {"opened": opened, "rounds": rounds}


def _each_report() -> int:
    """Act as Django-Q's scheduler does for lines that are due."""
    due = ReportSchedule.objects.filter(next_run_at__lte=database_clock())
    return sum(tasks.run_report(pk) for pk in due.values_list("pk", flat=True)[:20])


def await_racers(stop: str) -> None:
    """Wait until each has finished its first round."""
    deadline = time.monotonic() + 30
    while not all(Path(f"{stop}-{approach}").exists() for approach in APPROACHES):
        assert time.monotonic() < deadline, "the racers did not start"
        time.sleep(0.02)


def fire(name: str, volleys: int, stop: str) -> dict[str, int]:
    """Make the reports due, more with each round, and send messages of all three approaches to the clusters."""
    await_racers(stop)
    keys = reports_called(name)
    since = _begin_of_its_hour(ReportSchedule.objects.get(pk=keys[0]))
    for volley in range(volleys):
        some = keys[volley::volleys]
        ReportSchedule.objects.filter(pk__in=some).update(decided_until=since - timedelta(seconds=1), next_run_at=since)
        for pk in some:
            send("report_orchestrator.tasks.run_report", pk)
        send("report_orchestrator.tasks.cron_sensor")
        send("report_orchestrator.tasks.decide_window")
    return settled(name)


def _begin_of_its_hour(schedule: ReportSchedule) -> datetime:
    now, hour = database_clock(), int(schedule.cron.split()[1])
    begin = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return begin if begin < now else begin - timedelta(days=1)


def settled(name: str) -> dict[str, int]:
    """Wait until nothing with this name is due, and count the outcomes."""
    deadline = time.monotonic() + 20
    due = ReportSchedule.objects.filter(name__startswith=name)
    while due.filter(next_run_at__lte=database_clock()).exists():
        assert time.monotonic() < deadline, "times are left undecided"
        time.sleep(0.02)
    return counts(name)


def counts(name: str) -> dict[str, int]:
    """Return the runs and recorded skips of the reports with this name, by status."""
    runs = ReportRun.objects.filter(report_name__startswith=name)
    return dict(Counter(runs.values_list("status", flat=True)))


def edit(name: str, edits: int, decisions: int, stop: str) -> dict[str, int]:
    """Change crons continuously by `save()` and `QuerySet.update()`; discover and switch the approach now and then.

    Ends after this many edits and decided times.
    """
    await_racers(stop)
    chance = random.Random(SEED)
    reports = list(Report.objects.filter(name__startswith=name))
    ends: dict[str, int] = {"saved": 0, "updated": 0, "discovered": 0, "switched": 0}
    deadline = time.monotonic() + 90
    for number in itertools.count(1):
        _change(chance.choice(reports), chance, ends)
        if number % 20 == 0:
            discover(runtime=get_runtime())
            ends["discovered"] += 1
        if number % 15 == 0:
            approach = replace(get_settings(), scheduling_approach=chance.choice(APPROACHES))
            sync_schedules(runtime=make_runtime(get_ports(), approach))
            ends["switched"] += 1
        if number >= edits and sum(counts(name).values()) > decisions:
            break
        assert time.monotonic() < deadline, f"the race was too short to prove anything: {ends}, {counts(name)}"
    return ends


def _change(report: Report, chance: random.Random, ends: dict[str, int]) -> None:
    report.cron = chance.choice(CRONS)
    if chance.random() < 0.5:
        report.save()
        ends["saved"] += 1
    else:
        Report.objects.filter(pk=report.pk).update(cron=report.cron, updated=timezone.now())
        ends["updated"] += 1
