"""`manage.py cancel_run RUN…`: cancel runs."""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.domain.runs import Trigger
from report_orchestrator.management.run_command import RunCommand
from report_orchestrator.models import ReportRun
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.operator_actions import cancel_run
from report_orchestrator.services.scheduling.backfill import find_schedules


class Command(RunCommand):
    help = (
        "Cancels runs in progress; their workers stop working on them. Fireant cannot cancel jobs: a "
        "submitted job continues there, and its result is not downloaded."
    )
    examples = """examples:
  manage.py cancel_run 812 --reason "wrong event group"
  manage.py cancel_run --backfill 42 43 --reason "wrong days"   what is left of these reports' backfills

exit status: 0 success, 1 a run had already ended, 2 wrong usage"""
    change_run = staticmethod(cancel_run)
    done = "canceled"
    chosen_by = "backfill"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--backfill", nargs="+", metavar="ID", default=[], help="all unfinished backfill runs of these reports"
        )

    def choose(self, value: Any, runtime: Runtime) -> Iterable[int]:
        """Return the newest first: those that have not begun end before a worker takes them."""
        runs = ReportRun.objects.unfinished().filter(
            trigger=Trigger.BACKFILL, schedule__in=find_schedules(value, runtime)
        )
        return runs.order_by("-pk").values_list("pk", flat=True)
