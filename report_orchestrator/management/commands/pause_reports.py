"""`manage.py pause_reports`: pause reports, with a reason."""

from report_orchestrator.management.base import pluralize
from report_orchestrator.management.pause_command import PauseCommand
from report_orchestrator.models import ReportChange
from report_orchestrator.services.scheduling.pausing import ScheduledCounts, pause, pause_all


class Command(PauseCommand):
    help = (
        "Pauses the scheduling of reports, or of all with --all. Runs in progress continue, and a "
        "paused report can be run manually. When it is resumed, MISSED_RUNS selects which of the "
        "missed times run."
    )
    examples = """examples:
  manage.py pause_reports 42 43 --reason "exposure data is being reloaded"
  manage.py pause_reports --all --reason "Fireant maintenance"

exit status: 0 success, 1 a report does not exist, 2 wrong usage"""
    change_reports = staticmethod(pause)
    change_all = staticmethod(pause_all)
    done = "paused"

    def describe_all(self, change: ReportChange | None, counts: ScheduledCounts) -> str:
        return f"All reports are paused: no scheduled runs for {pluralize(counts.scheduled, 'active report')}."
