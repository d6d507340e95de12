"""`manage.py sync_schedules`: reconcile Django-Q's schedule table with the settings."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.management.audit_user import command_line_user
from report_orchestrator.management.base import OrchestratorCommand, format_local, has_active_worker, pluralize
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.next_times import correct_next_times
from report_orchestrator.services.scheduling.scheduling_start import schedule_from_now
from report_orchestrator.services.timetable.queue_sync import remove_schedules, sync_schedules


class Command(OrchestratorCommand):
    help = (
        "Makes Django-Q's table contain exactly the schedules of SCHEDULING_APPROACH and shows the "
        "changes. Other schedules are not touched. A qcluster does the same when it starts. Running "
        "clusters follow within seconds, without a restart, until a qcluster with other settings is "
        "started."
    )
    examples = """examples:
  SCHEDULING_APPROACH=pipeline manage.py sync_schedules     one schedule for each report
  manage.py sync_schedules --format json
  manage.py sync_schedules --from-now                       after another system has served the times until now
  manage.py sync_schedules --remove                         before the app is uninstalled; stop every qcluster first

exit status: 0 success, 1 failure, 2 wrong usage"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--from-now",
            action="store_true",
            help="start scheduling all reports now: times that are not decided yet get no run and no recorded skip",
        )
        parser.add_argument("--remove", action="store_true", help="remove all schedules of this app")

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        if options["remove"] and options["from_now"]:
            self.usage_error("Use either --remove or --from-now.")
        if options["remove"] and has_active_worker(runtime):
            self.stderr.write(
                "A qcluster is running and creates the schedules again. Stop every qcluster, then run this command again."
            )
        since = schedule_from_now(actor=command_line_user(), runtime=runtime) if options["from_now"] else None
        if not options["remove"]:
            correct_next_times(runtime=runtime)
        sync = remove_schedules if options["remove"] else sync_schedules
        synced = sync(runtime=runtime.as_configured())
        approach = runtime.configured.scheduling_approach
        if options["format"] == "json":
            self.write_json({"approach": approach, **dataclasses.asdict(synced)})
            return False
        rows = [
            *((name, "created") for name in synced.created),
            *((name, f"updated: {change}") for name, change in synced.updated.items()),
            *((name, "removed") for name in synced.removed),
        ]
        self.write_table(("schedule", "change"), rows)
        if since is not None:
            self.stdout.write(f"Scheduling starts at {format_local(since)}.")
        changed = pluralize(len(rows), "schedule")
        self.stdout.write(f"{changed} changed, {synced.unchanged} unchanged (approach: {approach}).")
        return False
