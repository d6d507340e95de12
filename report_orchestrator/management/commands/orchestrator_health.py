"""`manage.py orchestrator_health`: check that work is being done."""

from collections.abc import Mapping
from typing import Any

from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.monitoring.findings import check_health


class Command(OrchestratorCommand):
    help = (
        "Checks that work is being done, not only that processes exist: when a worker last sent "
        "a heartbeat, when the scheduler last ticked, and how late the oldest run, lease and report are. "
        "Fails within a minute of the last heartbeat."
    )
    examples = """examples:
  manage.py orchestrator_health
  manage.py orchestrator_health --format json

exit status: 0 healthy, 1 not healthy, 2 wrong usage"""

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        findings = check_health(runtime=runtime)
        healthy = all(finding.well for finding in findings)
        if options["format"] == "json":
            self.write_json({"healthy": healthy, "findings": findings})
        else:
            rows = [
                ("ok" if finding.well else "RED", finding.name, finding.detail, finding.hint) for finding in findings
            ]
            self.write_table(("", "check", "result", "action"), rows)
        return not healthy
