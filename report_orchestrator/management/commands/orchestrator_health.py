"""`manage.py orchestrator_health`: check that work is being done."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandParser
from django.db import Error

from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.monitoring.findings import Finding, check_health, check_liveness


class Command(OrchestratorCommand):
    help = (
        "Checks that work is being done, not only that processes exist: when a worker last sent "
        "a heartbeat, when the scheduler last ticked, and how late the oldest run, lease and report are. "
        "Fails within a minute of the last heartbeat."
    )
    examples = """examples:
  manage.py orchestrator_health
  manage.py orchestrator_health --liveness
  manage.py orchestrator_health --format json

exit status: 0 healthy, 1 not healthy, 2 wrong usage"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--liveness",
            action="store_true",
            help="fail only if a restart of qcluster would help: for supervisors that restart it",
        )

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        if not options["liveness"]:
            return self._show(check_health(runtime=runtime), options)
        try:
            findings = check_liveness(runtime=runtime)
        except Error as error:
            self.stderr.write(
                f"The database cannot be used, which no restart of qcluster would help ({type(error).__name__})."
            )
            findings = []
        return self._show(findings, options)

    def _show(self, findings: Sequence[Finding], options: Mapping[str, Any]) -> bool:
        healthy = all(finding.well for finding in findings)
        if options["format"] == "json":
            self.write_json({"healthy": healthy, "findings": findings})
        else:
            rows = [
                ("ok" if finding.well else "RED", finding.name, finding.detail, finding.hint) for finding in findings
            ]
            self.write_table(("", "check", "result", "action"), rows)
        return not healthy
