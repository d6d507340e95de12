"""The base of the commands that list runs, reports and changes, by the filters and columns of the admin."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import islice
from typing import Any, ClassVar, TypeAlias

from django.core.management.base import CommandParser
from django.db.models import QuerySet

from report_orchestrator.management.base import OrchestratorCommand, parse_count
from report_orchestrator.models import ReportSchedule
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.lists.columns import Table, error_texts
from report_orchestrator.services.lists.exports import EXPORTS

Filters: TypeAlias = Mapping[str, Callable[[QuerySet[Any], Any], QuerySet[Any]]]

SHOWN = 100
"""Rows of the table for people, unless `--limit` asks for more."""


class ListCommand(OrchestratorCommand):
    """A list with `--format text|json|csv`. Files are streamed, whatever the number of rows."""

    formats = ("text", "json", "csv")
    table: ClassVar[Table]
    filters: ClassVar[Filters]
    """The filter of each option. A span has become the instant of its beginning."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--search", default="", metavar="TEXT", help="as in the search box of the admin")
        parser.add_argument(
            "--limit", type=parse_count, metavar="N", help=f"most rows; default: {SHOWN} as text, all in files"
        )

    def all_rows(self) -> QuerySet[Any]:
        """Return all rows, in the order of the list."""
        raise NotImplementedError

    def rows(self, runtime: Runtime, options: Mapping[str, Any]) -> QuerySet[Any]:
        """Return the rows that pass the filters of the given options."""
        if options.get("report"):
            self._check_known(options["report"])
        rows, now = self.all_rows(), runtime.clock()
        for name, narrow in self.filters.items():
            if value := options[name]:
                rows = narrow(rows, now - value if isinstance(value, timedelta) else value)
        return rows

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        rows, limit = self.rows(runtime, options), options["limit"]
        if options["format"] == "text":
            self._write_text(rows, limit or SHOWN)
            return False
        cut = rows if limit is None else rows[:limit]
        for chunk in EXPORTS[options["format"]](self.table, cut, error_texts()):
            self.stdout.write(chunk, ending="")
        return False

    def _write_text(self, rows: QuerySet[Any], limit: int) -> None:
        found, texts = list(rows[: limit + 1]), error_texts()
        self.write_table(
            self.table.shown, (self.table.values(row, texts, self.table.shown) for row in islice(found, limit))
        )
        if not found:
            self.stdout.write("Nothing found.")
        elif len(found) > limit:
            self.stderr.write(f"Only the first {limit} are listed. --limit N lists more, --format csv all.")

    def _check_known(self, key: str) -> None:
        if not ReportSchedule.objects.filter(report_key=key).exists():
            self.usage_error(f"Report {key} is not known. Check its key, or run discover_reports.")
