"""`manage.py explain_cron`: what a cron expression means, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.conf import Settings
from report_orchestrator.domain.cron import CronExpression, next_time, parse_cron
from report_orchestrator.domain.cron_words import in_words
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.ports import Ports
from report_orchestrator.services.timing import named_zone

SHOWN = 5


class Command(OrchestratorCommand):
    """For whoever writes a report's cron."""

    help = (
        "Says in words what a cron expression means and when it fires next, in the project's time zone or another, or what "
        "is wrong with it and what to write instead."
    )
    examples = """examples:
  manage.py explain_cron "30 2 * * MON-FRI"
  manage.py explain_cron "*/15 * * * *" --zone Europe/Amsterdam

exit status: 0 it is valid, 1 it is not, 2 used wrongly"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the expression and the zone."""
        parser.add_argument("expression", help="five fields, in quotes")
        parser.add_argument(
            "--zone", default="", help="a time zone such as Europe/Amsterdam (default: the project's)"
        )
        super().add_arguments(parser)

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Parses and tells."""
        cron = parse_cron(options["expression"])
        zone = named_zone(options["zone"], "--zone")
        times = list(_next_times(cron, zone, ports.clock()))
        if options["format"] == "json":
            self.answer({"expression": cron.expression, "words": in_words(cron), "next": times})
            return False
        self.stdout.write(in_words(cron))
        for nominal in times:
            self.stdout.write(f"  {nominal:%a %Y-%m-%d %H:%M %Z (UTC%z)}")
        return False


def _next_times(cron: CronExpression, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    for _ in range(SHOWN):
        after = next_time(cron, zone, after=after)
        yield after.astimezone(zone)
