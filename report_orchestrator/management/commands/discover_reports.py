"""`manage.py discover_reports`: read the project's reports and show the changes."""

import argparse
import re
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.domain.printable import quoted
from report_orchestrator.domain.reports import Json
from report_orchestrator.management.audit_user import command_line_user
from report_orchestrator.management.base import OrchestratorCommand, pluralize
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.definition import Change
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.discovery.result import Acceptance, Discovery
from report_orchestrator.services.timetable.queue_sync import sync_schedules

_DIGEST = re.compile(r"[0-9a-f]{12,64}+")
DIGEST_SHOWN = 12
"""Shown digits of the digest of held removals: enough to identify it."""


def parse_digest(text: str) -> str:
    if _DIGEST.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a digest that discover_reports has shown")
    return text


class Command(OrchestratorCommand):
    help = (
        "Reads the project's reports, updates their schedules and shows the changes. Reports with an "
        "invalid definition are quarantined with the reason. Running it again changes nothing. A "
        "qcluster does the same on its own schedule."
    )
    examples = """examples:
  manage.py discover_reports --dry-run           show what would change, without changing it
  manage.py discover_reports --format json       the same for a program
  manage.py discover_reports --accept-removals --reason "the old treaty year is closed"
                                                 when many reports were really deleted

exit status: 0 success, 1 removals are on hold (or failure), 2 wrong usage"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="show the changes without writing them")
        parser.add_argument(
            "--accept-removals",
            action="store_true",
            help="remove missing reports even if they are more than a fifth of all",
        )
        parser.add_argument(
            "--seen",
            type=parse_digest,
            metavar="DIGEST",
            help="with --accept-removals: only if exactly those reports are missing that were shown with this digest",
        )
        self.add_reason(parser, required=False)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        if options["accept_removals"] and not options["reason"]:
            self.usage_error("--accept-removals needs a --reason. It is recorded with your name.")
        if options["seen"] and not options["accept_removals"]:
            self.usage_error("--seen needs --accept-removals.")
        acceptance = Acceptance(actor=command_line_user(), reason=options["reason"], digest=options["seen"] or "")
        discovery = discover(
            runtime=runtime, dry_run=options["dry_run"], accepted=acceptance if options["accept_removals"] else None
        )
        if not discovery.dry_run:
            sync_schedules(runtime=runtime)
        if options["format"] == "json":
            self.write_json(discovery)
        else:
            self._write_result(discovery)
        return bool(discovery.held_removals)

    def _write_result(self, discovery: Discovery) -> None:
        changes = [
            (change.kind.value, change.report, _describe(change.before), _after(change)) for change in discovery.changes
        ]
        self.write_table(("change", "report", "before", "after"), changes)
        new = {change.report for change in discovery.changes if change.kind == ChangeKind.QUARANTINED}
        known = [(row.report, row.problem) for row in discovery.quarantined if row.report not in new]
        self.write_table(("cannot run", "problem"), known)
        states = ", ".join(f"{count} {state}" for state, count in sorted(discovery.states.items())) or "none"
        changed = f"{pluralize(len(changes), 'change')}." if changes else "Nothing changed."
        dry = " Nothing was written (--dry-run)." if discovery.dry_run else ""
        self.stdout.write(f"{pluralize(discovery.examined, 'report')}: {states}. {changed}{dry}")
        if discovery.held_removals:
            self.stderr.write(
                f"{pluralize(len(discovery.held_removals), 'report')} missing from the project, more than a "
                "fifth of all. Their removal is on hold. If they were deleted, run discover_reports --accept-removals "
                f"--seen {discovery.held_digest[:DIGEST_SHOWN]} --reason TEXT; otherwise check the database router and the "
                "report table."
            )


def _after(change: Change) -> str:
    return str(change.after["problem"]) if "problem" in change.after else _describe(change.after)


def _describe(values: Mapping[str, Json]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in values.items() if value not in ("", None))
