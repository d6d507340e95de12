"""`manage.py list_runs`: the admin's list of runs as text, JSON or CSV."""

from typing import ClassVar

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from report_orchestrator.domain.runs import Status, Step, Trigger
from report_orchestrator.management.base import parse_since
from report_orchestrator.management.list_command import Filters, ListCommand
from report_orchestrator.models import ReportRun
from report_orchestrator.services.lists import columns, filters
from report_orchestrator.services.lists.search import matching_reports, runs_matching


class Command(ListCommand):
    help = "Lists runs, newest first, by the filters of the admin's list. Changes nothing."
    examples = """examples:
  manage.py list_runs --status failed --since 7d
  manage.py list_runs --report 19 --error fireant_503 --format csv > runs.csv
  manage.py list_runs --search "job 861164" --format json

exit status: 0 success, also if nothing was found, 1 failure, 2 wrong usage"""
    table = columns.RUNS
    filters: ClassVar[Filters] = {
        "status": filters.with_status,
        "report": filters.with_report_key,
        "error": filters.with_cause,
        "step": filters.at_step,
        "trigger": lambda runs, trigger: runs.filter(trigger=trigger),
        "stored": lambda runs, _is_given: filters.with_result(runs),
        "since": filters.created_since,
        "ended_since": filters.ended_since,
        "search": lambda runs, term: runs.filter(runs_matching(term, matching_reports(term))),
    }

    def all_rows(self) -> QuerySet[ReportRun]:
        return ReportRun.objects.order_by("-pk")

    def add_arguments(self, parser: CommandParser) -> None:
        statuses = [*map(str, Status), *filters.STATUS_GROUPS]
        parser.add_argument("--status", choices=statuses, metavar="STATUS", help=", ".join(statuses))
        parser.add_argument("--report", metavar="ID", help="of this report")
        parser.add_argument("--error", metavar="CODE", help="with this error code, such as fireant_503")
        parser.add_argument("--step", choices=[*map(str, Step)], metavar="STEP", help="not succeeded, at this step")
        parser.add_argument("--trigger", choices=[*map(str, Trigger)], metavar="TRIGGER", help=", ".join(Trigger))
        parser.add_argument("--stored", action="store_true", help="with a stored result")
        parser.add_argument(
            "--since", type=parse_since, metavar="TIME", help="created since then: 30m, 12h, 7d, 2w, or a date and time"
        )
        parser.add_argument("--ended-since", type=parse_since, metavar="TIME", help="ended since then, written alike")
        super().add_arguments(parser)
