"""`manage.py switch_reports`: let this app serve reports, or another system."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.management.audit_user import command_line_user
from report_orchestrator.management.base import OrchestratorCommand, format_local, parse_instant, pluralize
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.scheduling.switch import Switched, switch_to_live, switch_to_shadow


class Command(OrchestratorCommand):
    help = (
        "Switches reports to live or to shadow. This app runs live reports. Another system runs reports in shadow: this app "
        "builds and keeps their payloads, and submits nothing. Only scheduled times after --at change sides. No restart is "
        "needed."
    )
    examples = """examples:
  manage.py switch_reports live 42 --reason "compared for a week"
        one report; its times from now on run here
  manage.py switch_reports live --all --at "2026-07-01 14:30" --reason "the other system was stopped at 14:30"
        later times run here, also those that have passed since
  manage.py switch_reports shadow --all --at "2026-07-01 15:00" --reason "the way back"
        start the other system from 15:00 on

exit status: 0 success, 1 a report does not exist, or the time is not possible, 2 wrong usage"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("mode", choices=("live", "shadow"), help="live: runs here; shadow: runs in another system")
        parser.add_argument("report_ids", nargs="*", metavar="ID", help="primary keys of the reports")
        parser.add_argument("--all", action="store_true", help="all reports")
        parser.add_argument(
            "--at",
            type=parse_instant,
            metavar="TIME",
            help="time of the switch, in the project's TIME_ZONE unless it has an offset; default: now",
        )
        self.add_reason(parser)
        super().add_arguments(parser)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        if options["all"] == bool(options["report_ids"]):
            self.usage_error("Name the reports, or use --all.")
        switch = switch_to_live if options["mode"] == "live" else switch_to_shadow
        switched = switch(
            None if options["all"] else options["report_ids"],
            at=options["at"],
            actor=command_line_user(),
            reason=options["reason"],
            runtime=runtime,
        )
        if options["format"] == "json":
            keys = [row.report_key for row in switched.reports]
            self.write_json({"mode": options["mode"], "at": switched.at, "switched": keys, "run_ids": switched.run_ids})
        else:
            self._write_result(options["mode"], switched, runtime)
        return False

    def _write_result(self, mode: str, switched: Switched, runtime: Runtime) -> None:
        if not switched.reports:
            self.stdout.write(f"Already {'live' if mode == 'live' else 'in shadow'}. Nothing changed.")
            return
        action = "run here" if mode == "live" else "belong to the other system"
        reports = pluralize(len(switched.reports), "report")
        self.stdout.write(f"{reports}: times after {format_local(switched.at)} {action}.")
        if switched.run_ids:
            self.stdout.write(f"{pluralize(len(switched.run_ids), 'run')} of passed times start now.")
        if mode == "live" and runtime.settings.shadow:
            self.stdout.write(
                "SHADOW is still set, so new reports begin in shadow. Remove it once all reports are live."
            )
