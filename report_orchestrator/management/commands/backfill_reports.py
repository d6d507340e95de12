"""`manage.py backfill_reports ID… --from --to`: run past times."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from report_orchestrator.domain.runs import Status
from report_orchestrator.management.audit_user import command_line_user
from report_orchestrator.management.base import OrchestratorCommand, ids_in_words, parse_date, pluralize, run_as_json
from report_orchestrator.models import ReportRun
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.running.foreground import read_runs
from report_orchestrator.services.scheduling.backfill import (
    Days,
    Occurrence,
    find_schedules,
    open_backfill,
    plan_backfill,
)

POLL_SECONDS = 1.0
LINE_SECONDS = 10.0
"""Between two lines of progress, where there is no terminal."""


class Command(OrchestratorCommand):
    help = (
        "Runs the past times of a report's cron between two dates, both included. The dates are days in "
        "each report's own time zone, as its run dates are. Times with a run are skipped, so an "
        "interrupted backfill can be started again. The qcluster does the work; the command watches it "
        "and keeps at most --limit-in-flight runs in progress."
    )
    examples = """examples:
  manage.py backfill_reports 42 --from 2026-06-01 --to 2026-06-30 --dry-run
  manage.py backfill_reports 42 43 --from 2026-06-01 --to 2026-06-30 --reverse --limit-in-flight 4 \
    --reason "the June data was corrected"

exit status: 0 success, 1 a run failed, 2 wrong usage"""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reports: Sequence[str] = ()
        self.opened: list[int] = []
        self.not_opened = self.shown = 0
        self.next_line_at = 0.0

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("report_ids", nargs="+", metavar="ID", help="primary keys of the reports")
        parser.add_argument("--from", dest="since", type=parse_date, required=True, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="until", type=parse_date, required=True, metavar="YYYY-MM-DD")
        parser.add_argument("--dry-run", action="store_true", help="only list the times")
        parser.add_argument("--reverse", action="store_true", help="newest first")
        parser.add_argument(
            "--limit-in-flight", type=int, default=5, metavar="N", help="runs in progress at once (default 5)"
        )
        self.add_reason(parser, required=False)
        super().add_arguments(parser)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        if options["until"] < options["since"]:
            self.usage_error("--from must not be after --to.")
        if options["limit_in_flight"] < 1:
            self.usage_error("--limit-in-flight must be 1 or more.")
        if not options["dry_run"] and not options["reason"]:
            self.usage_error("Give a --reason. It is recorded with your name.")
        self.reports = options["report_ids"]
        days = Days(since=options["since"], until=options["until"], now=runtime.clock())
        schedules = find_schedules(options["report_ids"], runtime)
        planned = plan_backfill(schedules, days, reverse=options["reverse"])
        if options["dry_run"]:
            self._write_plan(planned, options)
            return False
        return self._write_runs(self._run_all(planned, runtime, options), runtime, options)

    def after_stop(self) -> list[str]:
        """Name what goes on, and how to end it or to go on with the rest."""
        unfinished = ReportRun.objects.unfinished().filter(pk__in=self.opened).count()
        goes_on = [
            f"What was queued goes on: {pluralize(unfinished, 'run')}.",
            f"'cancel_run --backfill {ids_in_words(self.reports)} --reason TEXT' ends {'it' if unfinished == 1 else 'them'}.",
        ]
        rest = f"{pluralize(self.not_opened, 'time')} got no run: start the backfill again to go on."
        return (goes_on if unfinished else []) + ([rest] if self.not_opened else [])

    def _write_plan(self, planned: Sequence[Occurrence], options: Mapping[str, Any]) -> None:
        if options["format"] == "json":
            self.write_json(
                [
                    {
                        "report_id": occurrence.schedule.report_key,
                        "scheduled_for": occurrence.scheduled_for,
                        "run_date": occurrence.run_date,
                    }
                    for occurrence in planned
                ]
            )
            return
        rows = [(occurrence.schedule, occurrence.run_date, occurrence.scheduled_for) for occurrence in planned]
        self.write_table(("report", "run date", "time"), rows)
        self.stdout.write(f"{pluralize(len(planned), 'run')} planned. Nothing was created (--dry-run).")

    def _run_all(self, planned: Sequence[Occurrence], runtime: Runtime, options: Mapping[str, Any]) -> list[int]:
        """Create as many runs as may be in progress, and further ones as those end."""
        pending = list(reversed(planned))
        run_ids = self.opened
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        quiet = options["format"] == "json"
        console = self.progress_console()
        with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
            bar = progress.add_task("backfill", total=len(planned))
            while True:
                unfinished = ReportRun.objects.unfinished().filter(pk__in=run_ids).count()
                progress.update(bar, completed=len(run_ids) - unfinished)
                if not (quiet or console.is_terminal):
                    self._write_progress(len(run_ids) - unfinished, len(planned))
                free = max(min(options["limit_in_flight"] - unfinished, len(pending)), 0)
                batch = [pending.pop() for _ in range(free)]
                run_ids += open_backfill(
                    batch, actor=command_line_user(), runtime=runtime, reason=options["reason"]
                ).run_ids
                self.not_opened = len(pending)
                if not unfinished and not batch and not pending:
                    return run_ids
                time.sleep(POLL_SECONDS)

    def _write_progress(self, ended: int, planned: int) -> None:
        """Write a line if more have ended and the last line is some seconds old; a terminal has a bar instead."""
        if ended > self.shown and time.monotonic() >= self.next_line_at:
            self.stderr.write(f"{ended:,} of {pluralize(planned, 'run')} ended")
            self.shown, self.next_line_at = ended, time.monotonic() + LINE_SECONDS

    def _write_runs(self, run_ids: Sequence[int], runtime: Runtime, options: Mapping[str, Any]) -> bool:
        runs = read_runs(run_ids)
        failed = [run for run in runs if run.status != Status.SUCCEEDED]
        has_failed = self.write_missing(run_ids, runs) or bool(failed)
        if options["format"] == "json":
            self.write_json([run_as_json(run, runtime) for run in runs])
            return has_failed
        rows = [(run.pk, run.report, run.scheduled_for, run.get_status_display(), run.error) for run in failed]
        self.write_table(("run", "report", "time", "status", "error"), rows)
        self.stdout.write(f"{len(runs) - len(failed)} of {pluralize(len(runs), 'run')} succeeded.")
        return has_failed
