"""Commands that stop and restart the scheduling of reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.conf import Settings
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.management.intervening import command_line_user
from report_orchestrator.models import ReportSchedule
from report_orchestrator.ports import Ports


class PausingCommand(OrchestratorCommand):
    """A command over reports, or over all of them with `--all`. Subclasses do it to some and to all."""

    done = ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the reports and the reason."""
        parser.add_argument("report_ids", nargs="*", metavar="ID", help="primary keys of the reports")
        parser.add_argument("--all", action="store_true", help="the scheduling of everything")
        parser.add_argument("--reason", default="", help="why, for those who wonder later")
        super().add_arguments(parser)

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Does it to some or to all, and tells."""
        if options["all"] == bool(options["report_ids"]):
            self.used_wrongly("Name the reports, or give --all.")
        if options["all"]:
            self.to_all(command_line_user(), options["reason"], ports)
            changed: list[ReportSchedule] = []
        else:
            changed = self.to_some(
                options["report_ids"], command_line_user(), options["reason"], ports, settings
            )
        if options["format"] == "json":
            self.answer({"all": options["all"], self.done: [row.report_key for row in changed]})
        else:
            self.stdout.write(self._sentence(changed, everything=options["all"]))
        return False

    def _sentence(self, changed: list[ReportSchedule], *, everything: bool) -> str:
        if everything:
            return f"The scheduling of all reports is {self.done}."
        if not changed:
            return f"They were {self.done} already. Nothing changed."
        return "\n".join(f"{row} is {self.done}." for row in changed)

    def to_some(
        self, keys: list[str], actor: str, reason: str, ports: Ports, settings: Settings
    ) -> list[ReportSchedule]:
        """Does it to these reports; returns those that changed."""
        raise NotImplementedError

    def to_all(self, actor: str, reason: str, ports: Ports) -> None:
        """Does it to everything."""
        raise NotImplementedError
