"""The demo after setup: discover, run a dozen reports of all kinds and the broken ones, watch, and report."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from django.contrib.auth import get_user_model
from rich.console import Console
from rich.live import Live
from rich.table import Table

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.running.foreground import read_runs, watch_to_end
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.services.scheduling.pausing import pause
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.testing import make_runtime
from report_orchestrator.wiring import get_ports, get_runtime
from tests.demo.history import fill_history
from tests.host.api.seed import BOX_REPORTS, DISABLED_REPORTS, GEO_REPORTS, QUARANTINED_REPORTS, RING_REPORTS

EACH_KIND = 4
PAUSED_NAME = GEO_REPORTS[-2].name
SIGNS = {
    Status.QUEUED: "…",
    Status.RUNNING: "▶",
    Status.DEFERRED: "⏳",
    Status.UP_FOR_RETRY: "↻",
    Status.SUCCEEDED: "✔",
    Status.SKIPPED: "-",
}
GOOD_NAMES = [
    seed.name for kind in (RING_REPORTS, BOX_REPORTS, GEO_REPORTS) for seed in (*kind[: EACH_KIND - 1], kind[-1])
]
BROKEN_NAMES = [seed.name for seed in (*QUARANTINED_REPORTS, *DISABLED_REPORTS)]


def show_reports(console: Console, root: Path) -> bool:
    """Run the reports, draw their progress, and return True if each ended as expected."""
    _quiet()
    ports = get_ports()
    discovery = discover(runtime=make_runtime(ports, get_settings()))
    sync_schedules(runtime=make_runtime(ports, get_settings()))
    states = ", ".join(f"{count} {state}" for state, count in sorted(discovery.states.items()))
    console.print(f"[bold]{time.strftime('%H:%M:%S')}[/bold]  discovered {discovery.examined} reports: {states}\n")
    run_ids, refused = _open([*GOOD_NAMES, *BROKEN_NAMES])
    runs = _watch(console, run_ids)
    console.print(_table(runs, refused, root))
    return _as_expected(console, runs, refused)


def start_some() -> None:
    """Create weeks of history, and start runs that are in progress when the admin is opened."""
    _quiet()
    ports = get_ports()
    discover(runtime=make_runtime(ports, get_settings()))
    fill_history(ports=ports)
    pause(
        list(ReportSchedule.objects.filter(name=PAUSED_NAME).values_list("report_key", flat=True)),
        actor="maria",
        reason="The portfolio is being reloaded.",
        runtime=make_runtime(ports),
    )
    sync_schedules(runtime=make_runtime(ports, get_settings()))
    _open([*GOOD_NAMES, *BROKEN_NAMES])


def make_superuser() -> str:
    """Create a superuser in the demo's database; return the password."""
    password = secrets.token_urlsafe(8)
    get_user_model().objects.create_superuser("admin", "admin@example.com", password)
    return password


def _quiet() -> None:
    """Send log lines to files only, as the terminal shows the table."""
    for name in ("report_orchestrator", "django-q"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _open(names: Sequence[str]) -> tuple[list[int], dict[str, str]]:
    schedules = {schedule.name: schedule for schedule in ReportSchedule.objects.filter(name__in=names)}
    run_ids: list[int] = []
    refused: dict[str, str] = {}
    for name in names:
        try:
            run = open_manual_run(schedules[name], run_date=None, requested_by="demo", runtime=get_runtime())
            run_ids.append(run.pk)
        except InvalidReportError as error:
            refused[name] = error.message
    return run_ids, refused


def _watch(console: Console, run_ids: Sequence[int]) -> list[ReportRun]:
    """Redraw the table of runs until all have ended; without a terminal, print a line per change."""
    if not console.is_terminal:
        return _watch_in_lines(console, run_ids)
    with Live(_progress(read_runs(run_ids)), console=console, refresh_per_second=8, transient=True) as live:
        for runs in watch_to_end(run_ids, wait=time.sleep):
            live.update(_progress(runs))
    return runs


def _watch_in_lines(console: Console, run_ids: Sequence[int]) -> list[ReportRun]:
    last = ""
    for runs in watch_to_end(run_ids, wait=time.sleep):
        line = _summary(runs)
        if line != last:
            console.print(f"{time.strftime('%H:%M:%S')}  {line}")
        last = line
    return runs


def _summary(runs: Sequence[ReportRun]) -> str:
    counts: dict[str, int] = {}
    for run in runs:
        name = str(run.get_status_display())
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _progress(runs: Sequence[ReportRun]) -> Table:
    table = Table("", "report", "status", "step", title=_summary(runs), title_justify="left", box=None)
    for run in runs:
        table.add_row(_sign(run), run.report_name, str(run.get_status_display()), run.step)
    return table


def _sign(run: ReportRun) -> str:
    return SIGNS.get(Status(run.status), "✘")


def _table(runs: Sequence[ReportRun], refused: dict[str, str], root: Path) -> Table:
    table = Table("", "report", "status", "step", "seconds", "stored where, or what is wrong and what to do")
    for run in runs:
        where = run.results_path.removeprefix(f"{root}/")
        if run.schedule.problem:
            where += f"\nIt ran by hand, but never will by itself: {run.schedule.problem}"
        seconds = "" if run.seconds is None else f"{run.seconds:.1f}"
        table.add_row(_sign(run), run.report_name, str(run.get_status_display()), run.step, seconds, run.error or where)
    for name, why in refused.items():
        table.add_row("✘", name, "refused", "", "", why)
    return table


def _as_expected(console: Console, runs: Sequence[ReportRun], refused: dict[str, str]) -> bool:
    """Return True if valid reports succeeded, invalid ones failed with a reason, and the disabled one was refused."""
    wrong = [run for run in runs if (run.status == Status.SUCCEEDED) != _should_succeed(run)]
    for run in wrong:
        console.print(f"[red]Unexpected:[/red] {run} {run.status} at {run.step}: {run.error}")
    missing = {seed.name for seed in DISABLED_REPORTS} - refused.keys()
    stored = sum(run.status == Status.SUCCEEDED for run in runs)
    console.print(
        f"{stored} results stored; {len(runs) - stored} runs failed and {len(refused)} was refused, with reasons, as seeded."
    )
    return not wrong and not missing


def _should_succeed(run: ReportRun) -> bool:
    """Return True for valid reports. A manual run needs no cron, so reports quarantined only for their cron succeed."""
    return run.schedule.state == ScheduleState.ACTIVE or run.schedule.problem_code == "invalid_cron"
