"""`manage.py run_report ID…`: run reports manually."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import InvalidReportError, ReportNotFoundError
from report_orchestrator.management.audit_user import command_line_user
from report_orchestrator.management.base import parse_date
from report_orchestrator.management.follow_runs import FollowRunsCommand
from report_orchestrator.models import ReportSchedule
from report_orchestrator.models.changes import ChangeSource
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.changed import refresh
from report_orchestrator.services.discovery.schedule_sync import long_key_problem
from report_orchestrator.services.scheduling.create_runs import open_manual_run


class Command(FollowRunsCommand):
    help = (
        "Runs reports manually, independent of their cron. Without --now or --wait the runs are "
        "queued for the qcluster and the command returns at once. A report that cannot run still "
        "gets a run, with the reason as its error."
    )
    examples = """examples:
  manage.py run_report 42                           queue a run of report 42 for today
  manage.py run_report 42 43 --date 2026-07-01      for another date: its modifier is found or created
  manage.py run_report 42 --wait                    and watch it to the end
  manage.py run_report 42 --now                     run it in this process; no qcluster needed
  manage.py run_report 42 --now --format json       a list of run_id, report_id, scheduled_for, status, step,
                                                    fireant_job_id, results_path, error

exit status: 0 success, 1 a run failed or a report was refused, 2 wrong usage"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("report_ids", nargs="+", metavar="ID", help="primary keys of the reports")
        parser.add_argument(
            "--date",
            type=parse_date,
            metavar="YYYY-MM-DD",
            help="the run's date (default: today, in the report's zone)",
        )
        self.add_reason(parser, required=False)
        super().add_arguments(parser)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        keys = list(dict.fromkeys(options["report_ids"]))
        refresh(keys, runtime=runtime, source=ChangeSource.DISCOVERY)
        rows = ReportSchedule.objects.filter(report_model=runtime.reports.label, report_key__in=keys)
        schedules = {schedule.report_key: schedule for schedule in rows}
        run_ids: list[int] = []
        refused: dict[str, str] = {}
        for key in keys:
            try:
                run_ids.append(_create_run(key, schedules.get(key), options, runtime))
            except InvalidReportError as error:
                refused[key] = error.message
        return self.finish(run_ids, refused, runtime=runtime, options=options)


def _create_run(key: str, schedule: ReportSchedule | None, options: Mapping[str, Any], runtime: Runtime) -> int:
    if schedule is None:
        if problem := long_key_problem(key):
            raise InvalidReportError(problem, code=ErrorCode.UNUSABLE_KEY)
        raise ReportNotFoundError(f"Report {key} does not exist in {runtime.reports.label}. Check the ID.")
    return open_manual_run(
        schedule,
        run_date=options["date"],
        requested_by=command_line_user(),
        runtime=runtime,
        notify=not options["now"],
        reason=options["reason"],
    ).pk
