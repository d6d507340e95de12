"""`manage.py run_due_reports`: one tick by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from report_orchestrator.conf import Settings
from report_orchestrator.management.base import counted
from report_orchestrator.management.following import FollowingCommand
from report_orchestrator.ports import Ports
from report_orchestrator.services.approaches import in_force
from report_orchestrator.services.scheduling import open_due_runs


class Command(FollowingCommand):
    """What every approach's tick does, once, now."""

    help = (
        "Decides every time that has come since the last one decided: each becomes a run or a recorded skip, exactly once, "
        "whoever else ticks. Useful without a scheduler, after an outage, and from a cron of the machine."
    )
    examples = """examples:
  manage.py run_due_reports            open what is due, and leave it to the qcluster
  manage.py run_due_reports --now      open what is due, and do all of it here

exit status: 0 well (also when nothing is due), 1 a run failed, 2 used wrongly"""

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Opens the due runs, then does what the options ask."""
        opened = open_due_runs(ports=ports, settings=in_force(settings), ring=not options["now"])
        if options["format"] == "text":
            self.stdout.write(
                f"{counted(opened.runs, 'run')} opened, {counted(opened.skipped, 'time')} skipped."
            )
        return self.finish(opened.run_ids, {}, ports=ports, settings=settings, options=options)
