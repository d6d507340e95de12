"""`manage.py backfill_reports ID… --from --to`: run times of the past."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.management.base import OrchestratorCommand, parse_date, run_as_json
from report_orchestrator.management.intervening import command_line_user
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import Ports
from report_orchestrator.services.backfill import (
    Occurrence,
    open_backfill,
    plan_backfill,
    schedules_of,
    span_of_days,
)
from report_orchestrator.services.driving import watch

LOOK = 1.0  # seconds between two looks at the runs under way


class Command(OrchestratorCommand):
    """Backfill, resumable by being started again."""

    help = (
        "Runs the times of the past that a report's cron names between two dates, the last one included. Times that have "
        "run already are left out, so a backfill that was interrupted goes on where it stopped when it is started again. "
        "The qcluster does the work; the command follows it, and never has more runs under way than --limit-in-flight."
    )
    examples = """examples:
  manage.py backfill_reports 42 --from 2026-06-01 --to 2026-06-30 --dry-run
  manage.py backfill_reports 42 43 --from 2026-06-01 --to 2026-06-30 --reverse --limit-in-flight 4

exit status: 0 well, 1 a run failed, 2 used wrongly"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the reports, the dates and the pace."""
        parser.add_argument("report_ids", nargs="+", metavar="ID", help="primary keys of the reports")
        parser.add_argument("--from", dest="since", type=parse_date, required=True, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="until", type=parse_date, required=True, metavar="YYYY-MM-DD")
        parser.add_argument("--dry-run", action="store_true", help="only list the times")
        parser.add_argument("--reverse", action="store_true", help="the newest first")
        parser.add_argument(
            "--limit-in-flight", type=int, default=5, metavar="N", help="runs under way at once (default 5)"
        )
        parser.add_argument("--reason", default="", help="why, for those who look at the runs later")
        super().add_arguments(parser)

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Plans, then opens and follows."""
        if options["until"] < options["since"]:
            self.used_wrongly("--from must not be after --to.")
        if options["limit_in_flight"] < 1:
            self.used_wrongly("--limit-in-flight must be 1 or more.")
        since, until = span_of_days(options["since"], options["until"], now=ports.clock())
        planned = plan_backfill(
            schedules_of(options["report_ids"], ports),
            since=since,
            until=until,
            reverse=options["reverse"],
        )
        if options["dry_run"]:
            self._list(planned, options)
            return False
        runs = self._work_off(planned, ports, options)
        return self._tell(runs, ports, options)

    def _list(self, planned: Sequence[Occurrence], options: Mapping[str, Any]) -> None:
        if options["format"] == "json":
            self.answer(
                [{"report_id": one.schedule.report_key, "scheduled_for": one.nominal} for one in planned]
            )
            return
        self.table("", ("report", "time"), [(one.schedule, one.nominal) for one in planned])
        self.stdout.write(f"{len(planned)} times would run. Nothing was opened (--dry-run).")

    def _work_off(
        self, planned: Sequence[Occurrence], ports: Ports, options: Mapping[str, Any]
    ) -> list[ReportRun]:
        """Opens as many runs as may be under way, and the next ones as those end."""
        waiting = list(reversed(planned))
        run_ids: list[int] = []
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        quiet = options["format"] == "json"
        with Progress(*columns, console=self.progress_console(), disable=quiet) as progress:
            bar = progress.add_task("backfill", total=len(planned))
            while True:
                live = ReportRun.objects.live().filter(pk__in=run_ids).count()
                progress.update(bar, completed=len(run_ids) - live)
                room = min(options["limit_in_flight"] - live, len(waiting))
                taken = [waiting.pop() for _ in range(max(room, 0))]
                run_ids += open_backfill(
                    taken, actor=command_line_user(), ports=ports, reason=options["reason"]
                ).run_ids
                if not live and not taken and not waiting:
                    return watch(run_ids)
                time.sleep(LOOK)

    def _tell(self, runs: Sequence[ReportRun], ports: Ports, options: Mapping[str, Any]) -> bool:
        failed = [run for run in runs if run.status != Status.SUCCEEDED]
        if options["format"] == "json":
            self.answer([run_as_json(run, ports) for run in runs])
        else:
            rows = [
                (run.pk, run.report, run.scheduled_for, run.get_status_display(), run.error) for run in failed
            ]
            self.table("", ("run", "report", "time", "status", "what is wrong and what to do"), rows)
            self.stdout.write(f"{len(runs) - len(failed)} of {len(runs)} times succeeded.")
        return bool(failed)
