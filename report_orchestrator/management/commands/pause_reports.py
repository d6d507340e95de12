"""`manage.py pause_reports`: stop scheduling, with a reason."""

from __future__ import annotations

from report_orchestrator.conf import Settings
from report_orchestrator.management.pausing import PausingCommand
from report_orchestrator.models import ReportSchedule
from report_orchestrator.ports import Ports
from report_orchestrator.services.pausing import pause, pause_all


class Command(PausingCommand):
    """Pause."""

    help = (
        "Stops the scheduling of reports, or of all with --all. Runs that are under way go on, and a paused report can be run "
        "by hand. The times that come meanwhile are decided on resuming, by MISSED_RUNS."
    )
    examples = """examples:
  manage.py pause_reports 42 43 --reason "exposure data is being reloaded"
  manage.py pause_reports --all --reason "Fireant maintenance"

exit status: 0 well, 1 there is no such report, 2 used wrongly"""
    done = "paused"

    def to_some(
        self, keys: list[str], actor: str, reason: str, ports: Ports, settings: Settings
    ) -> list[ReportSchedule]:
        """Pauses these."""
        return pause(keys, actor=actor, reason=reason, ports=ports)

    def to_all(self, actor: str, reason: str, ports: Ports) -> None:
        """Pauses everything."""
        pause_all(actor=actor, reason=reason, ports=ports)
