"""`manage.py retry_run RUN…`: retry failed runs from the step that failed."""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.management.run_command import RunCommand
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.monitoring.failure_groups import RECENTLY, failed_since
from report_orchestrator.services.operator_actions import retry_run


class Command(RunCommand):
    help = (
        "Retries failed or timed-out runs from the step that failed; finished steps are not repeated. After a failed Fireant "
        "job the report is read again and a new job is submitted. A run on hold (submission_unknown) is sent again with the "
        "same reference."
    )
    examples = """examples:
  manage.py retry_run 812 --reason "the group was corrected"
  manage.py retry_run 812 813 --reason "Fireant was restarted"
  manage.py retry_run --cause fireant_unreachable --reason "Fireant is back"   all of the last 24 hours

exit status: 0 success, 1 a run could not be retried, 2 wrong usage"""
    change_run = staticmethod(retry_run)
    done = "queued again"
    chosen_by = "cause"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--cause", metavar="CODE", default="", help="all that failed with this error code in the last 24 hours"
        )

    def choose(self, value: Any, runtime: Runtime) -> Iterable[int]:
        """Return the runs that the dashboard and orchestrator_status count for this cause, oldest first."""
        failed = failed_since(runtime.clock() - RECENTLY).filter(error_code=value)
        return failed.order_by("pk").values_list("pk", flat=True)
