"""The base of the commands that retry and cancel runs."""

from collections.abc import Callable, Iterable, Mapping
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
    chosen_by = ""
    """The option that chooses runs by something else than their ids."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_ids", nargs="*", type=int, metavar="RUN", help="ids of the runs")
        self.add_reason(parser)
        super().add_arguments(parser)

    def choose(self, value: Any, runtime: Runtime) -> Iterable[int]:
        """Return the ids of the runs that the option `chosen_by` names."""
        raise NotImplementedError

    def _run_ids(self, runtime: Runtime, options: Mapping[str, Any]) -> list[int]:
        value, run_ids = options[self.chosen_by], options["run_ids"]
        if bool(value) == bool(run_ids):
            self.usage_error(f"Name the runs, or use --{self.chosen_by}.")
        return list(self.choose(value, runtime) if value else dict.fromkeys(run_ids))

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        """Change each run; one that cannot be changed does not stop the others."""
        changed: list[ReportRun] = []
        refused: dict[int, str] = {}
        audit = {"actor": command_line_user(), "reason": options["reason"], "runtime": runtime}
        run_ids = self._run_ids(runtime, options)
        for run_id in run_ids:
            try:
                changed.append(type(self).change_run(run_id, **audit))
            except NotPossibleError as error:
                refused[run_id] = error.message
        if options["format"] == "json":
            refusals = [{"run_id": run_id, "status": "refused", "error": error} for run_id, error in refused.items()]
            self.write_json([*(run_as_json(run, runtime) for run in changed), *refusals])
            return bool(refused)
        if not run_ids:
            self.stdout.write("There are no such runs. Nothing changed.")
        for run in changed:
            suffix = "" if run.has_ended else f", continues at {run.step}"
            self.stdout.write(f"{run}: {self.done}{suffix}")
        for error_message in refused.values():
            self.stderr.write(error_message)
        return bool(refused)
