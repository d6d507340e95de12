"""The base of the commands that retry and cancel runs."""

from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.management.audit_user import command_line_user
from report_orchestrator.management.base import OrchestratorCommand, run_as_json
from report_orchestrator.models import ReportRun
from report_orchestrator.runtime import Runtime


class RunCommand(OrchestratorCommand):
    """A command over runs, with a reason. `done` is the past participle for messages."""

    change_run: Callable[..., ReportRun]
    done = ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_ids", nargs="+", type=int, metavar="RUN", help="ids of the runs")
        self.add_reason(parser)
        super().add_arguments(parser)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        """Change each run; one that cannot be changed does not stop the others."""
        changed: list[ReportRun] = []
        refused: dict[int, str] = {}
        audit = {"actor": command_line_user(), "reason": options["reason"], "runtime": runtime}
        for run_id in dict.fromkeys(options["run_ids"]):
            try:
                changed.append(type(self).change_run(run_id, **audit))
            except NotPossibleError as error:
                refused[run_id] = error.message
        if options["format"] == "json":
            refusals = [{"run_id": run_id, "status": "refused", "error": error} for run_id, error in refused.items()]
            self.write_json([*(run_as_json(run, runtime) for run in changed), *refusals])
            return bool(refused)
        for run in changed:
            suffix = "" if run.has_ended else f", continues at {run.step}"
            self.stdout.write(f"{run}: {self.done}{suffix}")
        for error_message in refused.values():
            self.stderr.write(error_message)
        return bool(refused)
