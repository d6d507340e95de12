"""`manage.py orchestrator_health`: is work being done?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from report_orchestrator.conf import Settings
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.ports import Ports
from report_orchestrator.services.approaches import in_force
from report_orchestrator.services.health import examine


class Command(OrchestratorCommand):
    """For a supervisor's probe, and for a person in doubt."""

    help = (
        "Proves that work is being done, not that a process exists: when a worker last finished a tick, when the scheduler last "
        "rang, and how late the oldest run, lease and report are. Red within a minute of the last sign of life."
    )
    examples = """examples:
  manage.py orchestrator_health
  manage.py orchestrator_health --format json

exit status: 0 healthy, 1 not healthy, 2 used wrongly"""

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Examines and tells."""
        findings = examine(ports=ports, settings=in_force(settings))
        well = all(finding.well for finding in findings)
        if options["format"] == "json":
            self.answer({"healthy": well, "findings": findings})
        else:
            rows = [("ok" if one.well else "RED", one.name, one.detail, one.hint) for one in findings]
            self.table("", ("", "what", "how it stands", "what to do"), rows)
        return not well
