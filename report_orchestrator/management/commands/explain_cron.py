"""`manage.py explain_cron`: explain a cron expression and show its next times."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.domain.cron import next_time
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.domain.cron_text import describe_cron
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.timetable.cron_zone import named_zone

TIMES_SHOWN = 5


class Command(OrchestratorCommand):
    help = (
        "Explains a cron expression and shows its next times, in the project's time zone or another. "
        "If it is not valid, explains how to correct it."
    )
    examples = """examples:
  manage.py explain_cron "30 2 * * MON-FRI"
  manage.py explain_cron "*/15 * * * *" --zone Europe/Amsterdam

exit status: 0 valid, 1 not valid, 2 wrong usage"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("expression", help="five fields, in quotes")
        parser.add_argument("--zone", default="", help="a time zone such as Europe/Amsterdam (default: the project's)")
        super().add_arguments(parser)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        try:
            self._explain(runtime, options)
        except InvalidReportError as error:
            if options["format"] != "json":
                raise
            self.write_json({"expression": options["expression"], "error": error.message})
            return True
        return False

    def _explain(self, runtime: Runtime, options: Mapping[str, Any]) -> None:
        cron = parse_cron(options["expression"])
        zone = named_zone(options["zone"], "--zone")
        times = [next_time(cron, zone, after=runtime.clock())]
        while len(times) < TIMES_SHOWN:
            times.append(next_time(cron, zone, after=times[-1]))
        local_times = [at.astimezone(zone) for at in times]
        if options["format"] == "json":
            self.write_json({"expression": cron.expression, "words": describe_cron(cron), "next": local_times})
            return
        self.stdout.write(describe_cron(cron))
        for at in local_times:
            self.stdout.write(f"  {at:%a %Y-%m-%d %H:%M %Z (UTC%z)}")
