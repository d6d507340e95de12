"""`manage.py run_report ID…`: run reports by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import InvalidReportError, ReportNotFoundError
from report_orchestrator.management.base import parse_date
from report_orchestrator.management.following import FollowingCommand
from report_orchestrator.management.intervening import command_line_user
from report_orchestrator.models import ReportSchedule
from report_orchestrator.models.changes import ChangeSource
from report_orchestrator.ports import Ports
from report_orchestrator.services.opening import open_manual_run
from report_orchestrator.services.refreshing import refresh


class Command(FollowingCommand):
    """A manual run of one or more reports."""

    help = (
        "Runs reports by hand, whatever their cron. Without --now or --wait the runs are queued for the qcluster and the command "
        "returns at once. A report that cannot run still gets a run, which says what is wrong with it and what to do."
    )
    examples = """examples:
  manage.py run_report 42                           queue a run of report 42 for today
  manage.py run_report 42 43 --date 2026-07-01      for another date: its modifier is found, or made
  manage.py run_report 42 --wait                    and follow it to the end
  manage.py run_report 42 --now                     do all of it here; no qcluster needed
  manage.py run_report 42 --now --format json       a list of run_id, report_id, scheduled_for, status, step,
                                                    fireant_job_id, results_path, error

exit status: 0 well, 1 a run failed or a report was refused, 2 used wrongly"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the reports and the date."""
        parser.add_argument("report_ids", nargs="+", metavar="ID", help="primary keys of the reports")
        parser.add_argument(
            "--date",
            type=parse_date,
            metavar="YYYY-MM-DD",
            help="the run's date (default: today, in the report's zone)",
        )
        parser.add_argument("--reason", default="", help="why, for those who look at the run later")
        super().add_arguments(parser)

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Opens the runs, then does what the options ask."""
        keys = list(dict.fromkeys(options["report_ids"]))
        run_ids, refused = self._open(keys, options, ports)
        return self.finish(run_ids, refused, ports=ports, settings=settings, options=options)

    def _open(
        self, keys: Sequence[str], options: Mapping[str, Any], ports: Ports
    ) -> tuple[list[int], dict[str, str]]:
        """The ids of the opened runs, and why the others were refused."""
        refresh(keys, ports=ports, source=ChangeSource.DISCOVERY)
        known = ReportSchedule.objects.filter(report_model=ports.reports.label, report_key__in=keys)
        schedules = {schedule.report_key: schedule for schedule in known}
        run_ids: list[int] = []
        refused: dict[str, str] = {}
        for key in keys:
            try:
                schedule = schedules.get(key)
                if schedule is None:
                    raise ReportNotFoundError(
                        f"There is no report {key} in {ports.reports.label}. Check the id."
                    )
                run = open_manual_run(
                    schedule,
                    run_date=options["date"],
                    asked_by=command_line_user(),
                    ports=ports,
                    ring=not options["now"],
                    reason=options["reason"],
                )
                run_ids.append(run.pk)
            except InvalidReportError as error:
                refused[key] = error.message
        return run_ids, refused
