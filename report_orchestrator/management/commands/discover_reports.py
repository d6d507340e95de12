"""`manage.py discover_reports`: read the project's reports and say what changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.conf import Settings
from report_orchestrator.domain.reports import Json
from report_orchestrator.management.base import OrchestratorCommand, counted
from report_orchestrator.management.intervening import command_line_user
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.ports import Ports
from report_orchestrator.services.approaches import in_force
from report_orchestrator.services.definitions import Change
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.found import Acceptance, Discovery
from report_orchestrator.services.reconciling import sync_schedules


class Command(OrchestratorCommand):
    """Discovery by hand; the qcluster does the same on its own schedule."""

    help = (
        "Reads the project's reports, brings their schedules in step and says what changed, from what to what. "
        "Reports that cannot run are quarantined with the reason; no restart is ever needed. A second time changes nothing."
    )
    examples = """examples:
  manage.py discover_reports --dry-run           what would change, without changing it
  manage.py discover_reports --format json       the same for a program
  manage.py discover_reports --accept-removals   when many reports were really deleted

exit status: 0 well, 1 removals are held for a person (or it failed), 2 used wrongly"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds its two options."""
        super().add_arguments(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing, only say what would change"
        )
        parser.add_argument(
            "--accept-removals",
            action="store_true",
            help="retire reports that are gone even where that is more than a fifth of all",
        )
        parser.add_argument("--reason", default="", help="why the removals are right, for the record")

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Discovers, brings the queue's lines in step, and tells."""
        found = discover(
            ports=ports,
            dry_run=options["dry_run"],
            accepted=Acceptance(actor=command_line_user(), reason=options["reason"])
            if options["accept_removals"]
            else None,
        )
        if not found.dry_run:
            sync_schedules(ports=ports, settings=in_force(settings))
        if options["format"] == "json":
            self.answer(found)
        else:
            self._tell(found)
        return bool(found.held_removals)

    def _tell(self, found: Discovery) -> None:
        self.table(
            "",
            ("change", "report", "before", "after"),
            [
                (change.kind.value, change.report, _side(change.before), _after(change))
                for change in found.changes
            ],
        )
        told = {change.report for change in found.changes if change.kind == ChangeKind.QUARANTINED}
        known = [one for one in found.quarantined if one.report not in told]
        self.table("", ("cannot run", "why, and what to do"), [(one.report, one.problem) for one in known])
        states = ", ".join(f"{count} {state}" for state, count in sorted(found.states.items())) or "none"
        dry = " Nothing was written (--dry-run)." if found.dry_run else ""
        changed = f"{counted(len(found.changes), 'change')}." if found.changes else "Nothing changed."
        self.stdout.write(f"{found.examined} reports: {states}. {changed}{dry}")
        if found.held_removals:
            self.stderr.write(
                f"{len(found.held_removals)} reports are gone from the project, more than a fifth of all. "
                "They are kept until you say that this is right: discover_reports --accept-removals. "
                "If it is not, look at the database router and at the report table."
            )


def _after(change: Change) -> str:
    return str(change.after["problem"]) if "problem" in change.after else _side(change.after)


def _side(values: Mapping[str, Json]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in values.items() if value not in ("", None))
