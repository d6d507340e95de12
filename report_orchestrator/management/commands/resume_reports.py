"""`manage.py resume_reports`: let scheduling go on."""

from __future__ import annotations

from report_orchestrator.conf import Settings
from report_orchestrator.management.pausing import PausingCommand
from report_orchestrator.models import ReportSchedule
from report_orchestrator.ports import Ports
from report_orchestrator.services.pausing import resume, resume_all


class Command(PausingCommand):
    """Resume."""

    help = "Lets reports be scheduled again. The times that came while they were paused are decided by MISSED_RUNS."
    examples = """examples:
  manage.py resume_reports 42 43
  manage.py resume_reports --all

exit status: 0 well, 1 there is no such report, 2 used wrongly"""
    done = "resumed"

    def to_some(
        self, keys: list[str], actor: str, reason: str, ports: Ports, settings: Settings
    ) -> list[ReportSchedule]:
        """Resumes these."""
        return resume(keys, actor=actor, reason=reason, ports=ports)

    def to_all(self, actor: str, reason: str, ports: Ports) -> None:
        """Resumes everything."""
        resume_all(actor=actor, reason=reason, ports=ports)
