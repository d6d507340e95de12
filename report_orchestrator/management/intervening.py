"""Commands with which a person changes runs."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.management.base import OrchestratorCommand, run_as_json
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import Ports


class InterveningCommand(OrchestratorCommand):
    """A command over run numbers, with a reason. Subclasses say what is done, and how that is told."""

    intervene: Callable[..., ReportRun]
    done = ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the runs and the reason."""
        parser.add_argument("run_ids", nargs="+", type=int, metavar="RUN", help="numbers of the runs")
        parser.add_argument("--reason", default="", help="why, for those who look at the run later")
        super().add_arguments(parser)

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Does it to each run; one that cannot be changed does not stop the others."""
        changed: list[ReportRun] = []
        refused: dict[int, str] = {}
        for run_id in dict.fromkeys(options["run_ids"]):
            try:
                act = type(self).intervene
                changed.append(act(run_id, actor=command_line_user(), ports=ports, reason=options["reason"]))
            except NotPossibleError as error:
                refused[run_id] = error.message
        self._tell(changed, refused, ports, options)
        return bool(refused)

    def _tell(
        self,
        changed: list[ReportRun],
        refused: Mapping[int, str],
        ports: Ports,
        options: Mapping[str, Any],
    ) -> None:
        if options["format"] == "json":
            refusals = [
                {"run_id": run_id, "status": "refused", "error": error} for run_id, error in refused.items()
            ]
            self.answer([*(run_as_json(run, ports) for run in changed), *refusals])
            return
        for run in changed:
            self.stdout.write(
                f"{run}: {self.done}, goes on at {run.step}" if not run.has_ended else f"{run}: {self.done}"
            )
        for error in refused.values():
            self.stderr.write(error)


def command_line_user() -> str:
    """Who sits at this command line, as far as the machine knows."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a container's user may have no name
        return "command line"
