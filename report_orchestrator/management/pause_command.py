"""The base of the commands that pause and resume reports."""

from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.management.audit_user import command_line_user
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.models import ReportChange, ReportSchedule
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.scheduling.pausing import ScheduledCounts, all_are_paused, count_scheduled


class PauseCommand(OrchestratorCommand):
    """A command over reports, or over all of them with `--all`.

    `change_reports` returns the reports that it changed, `change_all` the recorded change or None. `done` is the past
    participle for messages and the JSON key.
    """

    change_reports: Callable[..., list[ReportSchedule]]
    change_all: Callable[..., ReportChange | None]
    done = ""

    def describe_all(self, change: ReportChange | None, counts: ScheduledCounts) -> str:
        """Return the outcome of `--all`."""
        raise NotImplementedError

    def refuse_unchanged(self, options: Mapping[str, Any]) -> None:
        """Raise if `--all` should have changed something; by default it need not."""

    def choices(self, _options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return further arguments of `change_reports` and `change_all`."""
        return {}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("report_ids", nargs="*", metavar="ID", help="primary keys of the reports")
        parser.add_argument("--all", action="store_true", help="all reports")
        self.add_reason(parser)
        super().add_arguments(parser)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        everything, report_ids = options["all"], options["report_ids"]
        if everything == bool(report_ids):
            self.usage_error("Name the reports, or use --all.")
        audit = {"actor": command_line_user(), "reason": options["reason"], "runtime": runtime, **self.choices(options)}
        change = type(self).change_all(**audit) if everything else None
        if everything and change is None:
            self.refuse_unchanged(options)
        changed = [] if everything else type(self).change_reports(report_ids, **audit)
        if options["format"] == "json":
            self.write_json({"all": everything, self.done: [row.report_key for row in changed]})
        elif everything:
            self.stdout.write(self.describe_all(change, count_scheduled(runtime)))
        else:
            lines = [f"{row} is {self.done}." for row in changed]
            self.stdout.write("\n".join(lines) or f"Already {self.done}. Nothing changed.")
            if all_are_paused():
                self.stdout.write(
                    "The pause of all reports is in effect. It ends with: resume_reports --all --reason TEXT"
                )
        return False
