"""`manage.py orchestrator_doctor`: check everything that a report needs to run."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from report_orchestrator.conf import current_secrets
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.management.base import OrchestratorCommand, pluralize
from report_orchestrator.masking import masked
from report_orchestrator.services.monitoring.doctor import (
    CheckResult,
    Level,
    OnStart,
    check_connections,
    check_project,
    unchecked,
)
from report_orchestrator.wiring import get_probes, get_runtime

LABELS = {Level.OK: ("✓", "ok"), Level.WARN: ("!", "warn"), Level.FAIL: ("✗", "FAIL")}


class Command(OrchestratorCommand):
    help = (
        "Checks everything that a report needs to run: settings, models, databases, reports, the "
        "broker, the cluster, Fireant and its key, the store and its token, and the clocks. Submits "
        "no job, and removes its test file."
    )
    examples = """examples:
  manage.py orchestrator_doctor
  manage.py orchestrator_doctor --format json

exit status: 0 nothing failed, 1 something failed, 2 wrong usage"""

    # They are among the checks, and must not keep the others from running.
    requires_system_checks = ()

    def run_in_project(self, options: Mapping[str, Any]) -> bool:
        with self._showing_progress() as on_start:
            results = [
                replace(
                    result, detail=masked(result.detail, current_secrets()), hint=masked(result.hint, current_secrets())
                )
                for result in _results(on_start)
            ]
        failed = any(result.level is Level.FAIL for result in results)
        if options["format"] == "json":
            self.write_json({"well": not failed, "findings": results})
        else:
            self._write_results(results)
        return failed

    @contextmanager
    def _showing_progress(self) -> Iterator[OnStart]:
        """Name the running check on a terminal. Elsewhere write nothing: rich would leave an empty line."""
        console = self.progress_console()
        if not console.is_terminal:
            yield lambda _name: None
            return
        with console.status("checking", spinner="line") as status:
            yield lambda name: status.update(f"checking {name}")

    def _write_results(self, results: Sequence[CheckResult]) -> None:
        rows = [(self._label(result.level), result.name, result.detail, result.hint) for result in results]
        self.write_table(("", "check", "result", "action"), rows)
        counts = Counter(result.level for result in results)
        warnings = pluralize(counts[Level.WARN], "warning")
        self.stdout.write(f"{counts[Level.OK]} ok, {warnings}, {counts[Level.FAIL]} failed.")

    def _label(self, level: Level) -> str:
        """Return a sign and a word; the word alone if the output's encoding has no such sign."""
        sign, word = LABELS[level]
        try:
            sign.encode(getattr(self.stdout, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            return word
        return f"{sign} {word}"


def _results(on_start: OnStart) -> Iterator[CheckResult]:
    yield from check_project(on_start=on_start)
    try:
        runtime, probes = get_runtime(), get_probes()
    except OrchestratorError as error:
        yield unchecked("the settings cannot be used", error.message)
        return
    yield from check_connections(runtime=runtime, probes=probes, on_start=on_start)
