"""The dotted paths that qcluster calls. Thin: each asks a service, and ends well inside the queue's time limit."""

from __future__ import annotations

from datetime import timedelta

from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportSchedule
from report_orchestrator.services import (
    discovery,
    execution,
    maintenance,
    reconciling,
    refreshing,
    scheduling,
)
from report_orchestrator.services.approaches import in_force, pipeline_name, window_schedule
from report_orchestrator.wiring import get_ports

LONGEST = timedelta(seconds=45)
"""How long one task goes on taking more work; the next bell carries on."""
SLICE = timedelta(seconds=5)
"""After so long a worker that goes on working looks whether upkeep is overdue: its message may be far behind in the queue."""


def work(run_id: int | None = None) -> int:
    """A bell: moves the run that it names, then whatever else may start. Returns how many runs it moved."""
    ports, settings = get_ports(), in_force(get_settings())
    until = ports.clock() + LONGEST
    moved = 0
    while (now := ports.clock()) < until:
        some = execution.work(run_id, ports=ports, settings=settings, until=min(until, now + SLICE))
        if not some:
            break
        moved += some
        maintenance.tick_if_overdue(ports=ports, settings=settings, until=until)
        run_id = None
    return moved


def tick() -> None:
    """Polls what waits, wakes what is due again, rescues what was lost."""
    ports = get_ports()
    maintenance.tick(ports=ports, settings=in_force(get_settings()), until=ports.clock() + LONGEST)


def cron_sensor() -> int:
    """The sensor approach's tick: edits that sent no signal, then what is due. Returns how many runs it opened."""
    ports, settings = get_ports(), in_force(get_settings())
    refreshing.refresh_changed(ports=ports)
    return scheduling.open_due_runs(ports=ports, settings=settings).runs


def decide_window() -> int:
    """The schedule approach's tick. Returns how many runs it opened."""
    ports, settings = get_ports(), in_force(get_settings())
    opened = scheduling.open_due_runs(ports=ports, settings=settings)
    # The queue counts on by its own wall clock: without time zones it would sleep through a repeated hour.
    line = window_schedule(settings, ports.clock())
    ports.queue.move_schedule(line.name, line.next_run_at)
    return opened.runs


def run_report(schedule_id: int) -> int:
    """The pipeline approach's tick of one report. Returns how many runs it opened."""
    ports, settings = get_ports(), in_force(get_settings())
    only = ReportSchedule.objects.filter(pk=schedule_id)
    opened = scheduling.open_due_runs(ports=ports, settings=settings, schedules=only, ring=False)
    if schedule := only.first():
        name = pipeline_name(schedule.report_key, schedule.name)
        ports.queue.ring(opened.run_ids, group=name)
        if (
            schedule.next_run_at is None or schedule.next_run_at > ports.clock()
        ):  # else it would ring at every pass
            ports.queue.move_schedule(name, schedule.next_run_at)
    return opened.runs


def run_discovery() -> int:
    """Discovers the host's reports and brings the queue's lines in step. Returns how many changes were noticed."""
    ports, settings = get_ports(), in_force(get_settings())
    found = discovery.discover(ports=ports)
    reconciling.sync_schedules(ports=ports, settings=settings)
    return len(found.changes)
