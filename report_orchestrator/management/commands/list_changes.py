"""`manage.py list_changes`: the admin's list of changes as text, JSON or CSV."""

from typing import ClassVar

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from report_orchestrator.management.base import parse_since
from report_orchestrator.management.list_command import Filters, ListCommand
from report_orchestrator.models import ReportChange
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.services.lists import columns, filters
from report_orchestrator.services.lists.search import changes_matching, matching_reports


class Command(ListCommand):
    help = "Lists the detected changes of reports, newest first, by the filters of the admin's list. Changes nothing."
    examples = """examples:
  manage.py list_changes --report 19
  manage.py list_changes --kind retimed --since 30d --format csv > changes.csv

exit status: 0 success, also if nothing was found, 1 failure, 2 wrong usage"""
    table = columns.CHANGES
    filters: ClassVar[Filters] = {
        "report": filters.with_report_key,
        "kind": lambda changes, kind: changes.filter(kind=kind),
        "source": lambda changes, source: changes.filter(source=source),
        "since": filters.detected_since,
        "search": lambda changes, term: changes.filter(changes_matching(term, matching_reports(term))),
    }

    def all_rows(self) -> QuerySet[ReportChange]:
        return ReportChange.objects.select_related("schedule").order_by("-noticed_at", "-pk")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--report", metavar="ID", help="of this report")
        parser.add_argument("--kind", choices=ChangeKind.values, metavar="KIND", help=", ".join(ChangeKind.values))
        parser.add_argument(
            "--source", choices=ChangeSource.values, metavar="SOURCE", help=", ".join(ChangeSource.values)
        )
        parser.add_argument(
            "--since",
            type=parse_since,
            metavar="TIME",
            help="detected since then: 30m, 12h, 7d, 2w, or a date and time",
        )
        super().add_arguments(parser)
