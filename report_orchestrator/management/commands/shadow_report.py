"""`manage.py shadow_report`: compare reports in shadow with the system that runs them."""

import argparse
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.domain.payload import Payload
from report_orchestrator.management.base import OrchestratorCommand, format_local, pluralize
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.evidence.shadow_comparison import (
    ComparedSpan,
    ComparedTime,
    Match,
    compare_with_recorded_jobs,
    compared_span,
)

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

exit status: 0 both systems agree, 1 they differ or no time was compared (or failure), 2 wrong usage"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=_days, default=7, help="days to look back; default 7")
        parser.add_argument(
            "--folder",
            type=Path,
            help="folder of the other system's files, which have the Fireant job ID in their names; a JSON file with the "
            "key 'meta' is the payload that it sent",
        )
        super().add_arguments(parser)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        folder: Path | None = options["folder"]
        if folder is not None and not folder.is_dir():
            self.usage_error(f"{folder} is not a folder.")
        span = compared_span(since=runtime.clock() - timedelta(days=options["days"]), runtime=runtime)
        files = {} if folder is None else {"sent": JobFiles(folder).payload_of}
        compared = compare_with_recorded_jobs(span=span, runtime=runtime, **files)
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


_BETWEEN_IDS, _BETWEEN_WORDS = re.compile(r"[^0-9A-Za-z-]+"), re.compile(r"[^0-9A-Za-z]+")
_NUMBER = re.compile(r"[0-9]{1,4}+(?:\.[0-9]{1,9}+)?+")


class JobFiles:
    """The other system's files by the Fireant job ID within their names."""

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, list[Path]] = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            for word in {*_BETWEEN_IDS.split(path.name), *_BETWEEN_WORDS.split(path.name)}:
                self._files.setdefault(word, []).append(path)

    def payload_of(self, job_id: str) -> tuple[Payload | None, str]:
        """Return the payload that was sent for a job, or None, and a note if the job has no file."""
        files = self._files.get(job_id, [])
        if not files:
            return None, "no file of the job"
        payloads = (_payload_in(path) for path in files if path.suffix == ".json")
        return next(filter(None, payloads), None), ""


def _payload_in(path: Path) -> Payload | None:
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return None
    return content if isinstance(content, dict) and "meta" in content else None


def _days(text: str) -> float:
    days = float(text) if _NUMBER.fullmatch(text) else 0
    if not 0 < days <= 366:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of days between 0 and 366")
    return days
