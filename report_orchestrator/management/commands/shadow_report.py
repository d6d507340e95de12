"""`manage.py shadow_report`: compare reports in shadow with the system that runs them."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.management.base import OrchestratorCommand, format_local, parse_days, pluralize
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.evidence.job_files import JobFiles
from report_orchestrator.services.evidence.shadow_comparison import (
    ComparedSpan,
    ComparedTime,
    Match,
    compare_with_recorded_jobs,
    compared_span,
)
from report_orchestrator.wiring import LAKE_PREFIX, open_folder

WORDS = {
    Match.BOTH: "both",
    Match.HERE_ONLY: "expected here only",
    Match.THERE_ONLY: "run there only",
    Match.TWICE: "run twice",
}


class Command(OrchestratorCommand):
    help = (
        "Compares the scheduled times of the last days with the jobs that another system recorded in JOB_MODEL: times that "
        "both have, times that only one has, times that ran twice, and payloads that differ. Left out are the last 15 "
        "minutes, whose jobs the other system may still record, and times before scheduling started here."
    )
    examples = """examples:
  manage.py shadow_report --days 7
  manage.py shadow_report --days 1 --folder /mnt/old/results    also look for each job's files
  manage.py shadow_report --folder onelake:Files/old            the same, in the lakehouse

exit status: 0 both systems agree, 1 they differ or no time was compared (or failure), 2 wrong usage"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=parse_days, default=7, help="days to look back; default 7")
        parser.add_argument(
            "--folder",
            help="folder of the other system's files, here or in the lakehouse (onelake:Files/...). Their names have the "
            "Fireant job ID behind 'job', or with the report's ID, or as their only number. A JSON file with the key 'meta' "
            "is the payload that was sent",
        )
        super().add_arguments(parser)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        folder: str | None = options["folder"]
        if folder is not None and not folder.startswith(LAKE_PREFIX) and not Path(folder).is_dir():
            self.usage_error(f"{folder} is not a folder.")
        span = compared_span(since=runtime.clock() - timedelta(days=options["days"]), runtime=runtime)
        if folder is None:
            compared = compare_with_recorded_jobs(span=span, runtime=runtime)
        else:
            with open_folder(folder) as opened:
                compared = compare_with_recorded_jobs(span=span, runtime=runtime, sent=JobFiles(opened).payload_of)
        agrees = bool(compared) and all(time.agrees for time in compared)
        if options["format"] == "json":
            self.write_json({"since": span.since, "until": span.until, "agrees": agrees, "times": compared})
        else:
            self._write_result(compared, span)
        return not agrees

    def _write_result(self, compared: list[ComparedTime], span: ComparedSpan) -> None:
        since, until = format_local(span.since), format_local(span.until)
        if not compared:
            self.stdout.write(
                f"No times to compare: those up to {since} and after {until} are left out. Wait, or raise --days."
            )
            return
        self.write_table(
            ("scheduled for", "report", "served", "job", "differences"),
            [
                (time.at, time.report, WORDS[time.match], time.fireant_job_id, "; ".join(time.differences))
                for time in compared
                if not time.agrees
            ],
        )
        counts = Counter(time.match for time in compared)
        differing = sum(time.match is Match.BOTH and bool(time.differences) for time in compared)
        both, *others = (f"{counts[match]} {WORDS[match]}" for match in Match)
        words = ", ".join([f"{both} ({differing} with differences)", *others])
        self.stdout.write(f"{pluralize(len(compared), 'time')} from {since} to {until}: {words}.")
