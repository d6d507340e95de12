"""`manage.py verify_results`: compare stored results with the SHA-256 that their runs keep."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from report_orchestrator.management.base import OrchestratorCommand, parse_days, pluralize
from report_orchestrator.models import ReportRun
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.evidence.stored_results import (
    ResultState,
    VerifiedResult,
    runs_with_results,
    verify_results,
)

CHUNK = 200
FINE = {ResultState.INTACT, ResultState.UNKNOWN}


class Command(OrchestratorCommand):
    help = (
        "Reads stored results again and compares each with the SHA-256 that its run keeps. Lists the results that someone "
        "changed and those that cannot be read. Changes nothing."
    )
    examples = """examples:
  manage.py verify_results --days 30
  manage.py verify_results 1201 1202 --format json

exit status: 0 all are intact, 1 one was changed or cannot be read, 2 wrong usage"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_ids", nargs="*", type=int, metavar="RUN", help="numbers of runs; default: by --days")
        parser.add_argument(
            "--days", type=parse_days, default=7, help="results of runs that ended within these days; default 7"
        )
        super().add_arguments(parser)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        run_ids = options["run_ids"]
        runs = runs_with_results(since=runtime.clock() - timedelta(days=options["days"]), run_ids=run_ids)
        if missing := sorted(set(run_ids) - set(runs.values_list("pk", flat=True))):
            self.usage_error(f"Without a stored result: run {', '.join(map(str, missing))}.")
        verified = self._verify(list(runs.values_list("pk", flat=True)), runtime, quiet=options["format"] == "json")
        if options["format"] == "json":
            self.write_json([_as_json(result) for result in verified])
        else:
            self._write_result(verified)
        return any(result.state not in FINE for result in verified)

    def _verify(self, run_ids: Sequence[int], runtime: Runtime, *, quiet: bool) -> list[VerifiedResult]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        verified: list[VerifiedResult] = []
        console = self.progress_console()
        progress = Progress(*columns, console=console)
        # Elsewhere older versions of rich would leave an empty line.
        with progress if console.is_terminal and not quiet else nullcontext():
            bar = progress.add_task("results", total=len(run_ids))
            for start in range(0, len(run_ids), CHUNK):
                runs = ReportRun.objects.filter(pk__in=run_ids[start : start + CHUNK]).order_by("pk")
                for result in verify_results(runs, runtime.store):
                    verified.append(result)
                    progress.advance(bar)
        return verified

    def _write_result(self, verified: Sequence[VerifiedResult]) -> None:
        rows = [
            (result.run.pk, result.run.report, result.state, result.run.results_path, result.problem)
            for result in verified
            if result.state not in FINE
        ]
        self.write_table(("run", "report", "result", "path", "problem"), rows)
        counts = Counter(result.state for result in verified)
        words = ", ".join(f"{counts[state]} {state}" for state in ResultState)
        self.stdout.write(f"{pluralize(len(verified), 'result')}: {words}.")


def _as_json(result: VerifiedResult) -> dict[str, object]:
    return {
        "run_id": result.run.pk,
        "report_id": result.run.report_key,
        "path": result.run.results_path,
        "state": result.state,
        "problem": result.problem or None,
    }
