"""The base of commands that create runs: leave them to a qcluster, watch them there, or run them in this process."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from report_orchestrator.domain.runs import Status
from report_orchestrator.management.base import (
    OrchestratorCommand,
    has_active_worker,
    ids_in_words,
    pluralize,
    refused_as_json,
    run_as_json,
)
from report_orchestrator.models import ReportRun
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.fireant.circuit_breaker import read_circuit
from report_orchestrator.services.running.foreground import read_runs, run_to_end, watch_to_end


class FollowRunsCommand(OrchestratorCommand):
    """A command that creates runs, with `--now` and `--wait`."""

    watched: Sequence[int] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument(
            "--now",
            action="store_true",
            help="run everything in this process and wait for the end; no qcluster is needed",
        )
        mode.add_argument(
            "--wait", action="store_true", help="leave the runs to the qcluster and watch them to the end"
        )

    def finish(
        self, run_ids: Sequence[int], refused: Mapping[str, str], *, runtime: Runtime, options: Mapping[str, Any]
    ) -> bool:
        """Follow the runs as the options say and write the result. Return True if something failed."""
        self.watched = run_ids
        rounds = self._rounds(run_ids, runtime, options)
        quiet = options["format"] == "json"
        runs = self._show_progress(rounds, runtime, quiet=quiet) if run_ids else []
        if quiet:
            self.write_json(
                [run_as_json(run, runtime) for run in runs]
                + [refused_as_json(key, error, runtime) for key, error in refused.items()]
            )
        else:
            self._write_runs(runs, refused)
        failed = any(run.has_ended and run.status not in {Status.SUCCEEDED, Status.SKIPPED} for run in runs)
        return self.write_missing(run_ids, runs) or bool(refused) or failed

    def after_stop(self) -> list[str]:
        """Name the runs that go on."""
        unfinished = ReportRun.objects.unfinished().filter(pk__in=self.watched).order_by("pk")
        going_on = list(unfinished.values_list("pk", flat=True))
        if not going_on:
            return []
        return [
            f"What was queued goes on: {pluralize(len(going_on), 'run')}.",
            f"'cancel_run {ids_in_words(going_on)} --reason TEXT' ends {'it' if len(going_on) == 1 else 'them'}.",
        ]

    def _rounds(
        self, run_ids: Sequence[int], runtime: Runtime, options: Mapping[str, Any]
    ) -> Iterator[list[ReportRun]]:
        if options["now"]:
            return run_to_end(run_ids, runtime=runtime, wait=time.sleep)
        if run_ids and not has_active_worker(runtime):
            self.stderr.write("No worker is active. Start a cluster with: python manage.py qcluster")
        if options["wait"]:
            return watch_to_end(run_ids, wait=time.sleep)
        return iter([read_runs(run_ids)])

    def _show_progress(self, rounds: Iterator[list[ReportRun]], runtime: Runtime, *, quiet: bool) -> list[ReportRun]:
        """Write a line to standard error for each change, and return the runs as last read."""
        shown: dict[int, tuple[object, ...]] = {}
        runs: list[ReportRun] = []
        for runs in rounds:
            for run in runs:
                state = (run.status, run.step, run.fireant_status, run.error and run.attempt)
                if shown.get(run.pk) != state and not quiet:
                    line = _progress_line(run, runtime)
                    self.stderr.write(line, self.style.SUCCESS if run.has_ended else None)
                shown[run.pk] = state
        return runs

    def _write_runs(self, runs: Sequence[ReportRun], refused: Mapping[str, str]) -> None:
        rows: list[tuple[object, ...]] = [
            (run.pk, run.report, run.get_status_display(), run.step, run.seconds, _result_or_error(run)) for run in runs
        ]
        rows += [(None, f"report {key}", "refused", None, None, error) for key, error in refused.items()]
        self.write_table(("run", "report", "status", "step", "seconds", "result or error"), rows)


def _result_or_error(run: ReportRun) -> str:
    if run.status == Status.SUCCEEDED and run.schedule.problem:
        return f"{run.results_path}\nThe report runs manually, but not on its schedule: {run.schedule.problem}"
    return run.error or run.results_path


def _time_of_day(instant: datetime) -> str:
    return f"{instant.astimezone(timezone.get_default_timezone()):%H:%M:%S %Z}"


def _progress_line(run: ReportRun, runtime: Runtime) -> str:
    suffix = ""
    if run.error and run.status in {Status.UP_FOR_RETRY, Status.DEFERRED}:
        suffix = _failed_attempt(run, runtime) + _circuit()
    elif run.status == Status.DEFERRED and run.fireant_status:
        suffix = f", Fireant status {run.fireant_status}"
    status = f"{run.get_status_display()} at {run.step}"
    return f"{_time_of_day(runtime.clock())}  run {run.pk}  {run.report}: {status}{suffix}"


def _failed_attempt(run: ReportRun, runtime: Runtime) -> str:
    following = f" Next attempt at {_time_of_day(run.wake_at)}" if run.wake_at else ""
    retries = f"{run.failures} of {runtime.settings.max_retries} retries used"
    return f"; attempt {run.attempt} failed: {run.error}{following} ({retries})."


def _circuit() -> str:
    circuit = read_circuit()
    if not circuit.failures:
        return ""
    return f" Fireant's circuit is {'open' if circuit.is_open else 'closed'} after {pluralize(circuit.failures, 'failure')}."
