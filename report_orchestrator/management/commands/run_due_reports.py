"""`manage.py run_due_reports`: one tick of the scheduler, now."""

from collections.abc import Mapping
from typing import Any

from report_orchestrator.management.base import pluralize
from report_orchestrator.management.follow_runs import FollowRunsCommand
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs


class Command(FollowRunsCommand):
    help = (
        "Processes every scheduled time since the last one processed: each becomes a run or a "
        "recorded skip, exactly once, even if other ticks run too. Useful without a scheduler, after "
        "an outage, and from the machine's cron."
    )
    examples = """examples:
  manage.py run_due_reports            create the due runs, and leave them to the qcluster
  manage.py run_due_reports --now      create the due runs, and run them in this process

exit status: 0 success (also when nothing is due), 1 a run failed, 2 wrong usage"""

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        created = open_due_runs(runtime=runtime, notify=not options["now"])
        if options["format"] == "text":
            runs, skipped = pluralize(created.runs, "run"), pluralize(created.skipped, "time")
            self.stdout.write(f"{runs} created, {skipped} skipped.")
        return self.finish(created.run_ids, {}, runtime=runtime, options=options)
