"""`manage.py list_reports`: the admin's list of reports as text, JSON or CSV."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from report_orchestrator.management.list_command import Filters, ListCommand
from report_orchestrator.models import ReportSchedule, ScheduleState
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.lists import columns, filters
from report_orchestrator.services.lists.search import reports_matching
from report_orchestrator.services.reports.conditions import CONDITIONS


class Command(ListCommand):
    help = "Lists reports, by the filters of the admin's list. Changes nothing."
    examples = """examples:
  manage.py list_reports --condition late
  manage.py list_reports --state quarantined --format csv > reports.csv

exit status: 0 success, also if nothing was found, 1 failure, 2 wrong usage"""
    table = columns.REPORTS
    filters: ClassVar[Filters] = {
        "state": lambda reports, state: reports.filter(state=state),
        "error": filters.with_problem,
        "search": lambda reports, term: reports.filter(reports_matching(term)),
    }

    def all_rows(self) -> QuerySet[ReportSchedule]:
        return ReportSchedule.objects.order_by("name", "pk")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--state", choices=ScheduleState.values, metavar="STATE", help=", ".join(ScheduleState.values)
        )
        parser.add_argument("--condition", choices=[*CONDITIONS], metavar="CONDITION", help=", ".join(CONDITIONS))
        parser.add_argument("--error", metavar="CODE", help="quarantined for this reason, such as invalid_cron")
        super().add_arguments(parser)

    def rows(self, runtime: Runtime, options: Mapping[str, Any]) -> QuerySet[ReportSchedule]:
        reports, condition = super().rows(runtime, options), CONDITIONS.get(options["condition"])
        return reports if condition is None else condition(reports, runtime.clock(), runtime.settings)
