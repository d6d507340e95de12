"""Following runs from the command line: queued and left, queued and watched, or done here and now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.management.base import OrchestratorCommand, refused_as_json, run_as_json
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import Ports
from report_orchestrator.services.driving import drive, follow, watch


class FollowingCommand(OrchestratorCommand):
    """A command that opens runs, with `--now` and `--wait`."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the two ways of not leaving at once."""
        super().add_arguments(parser)
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--now",
            action="store_true",
            help="do all of it in this process and wait for the end; no qcluster is needed",
        )
        how.add_argument(
            "--wait", action="store_true", help="leave the work to the qcluster, and follow it to the end"
        )

    def finish(
        self,
        run_ids: Sequence[int],
        refused: Mapping[str, str],
        *,
        ports: Ports,
        settings: Settings,
        options: Mapping[str, Any],
    ) -> bool:
        """Follows the runs as the options ask, and answers. Returns whether something failed."""
        rounds = self._rounds(run_ids, ports, settings, options)
        runs = self._show_progress(rounds, quiet=options["format"] == "json") if run_ids else []
        self._tell(runs, refused, ports, options)
        return bool(refused) or any(
            run.has_ended and run.status not in {Status.SUCCEEDED, Status.SKIPPED} for run in runs
        )

    def _rounds(
        self, run_ids: Sequence[int], ports: Ports, settings: Settings, options: Mapping[str, Any]
    ) -> Iterator[list[ReportRun]]:
        if options["now"]:
            return drive(run_ids, ports=ports, settings=settings, wait=time.sleep)
        if run_ids and ports.queue.workers_alive() == 0:
            self.stderr.write("No qcluster answers yet. Start one with: python manage.py qcluster")
        if options["wait"]:
            return follow(run_ids, wait=time.sleep)
        return iter([watch(run_ids)])

    def _show_progress(self, rounds: Iterator[list[ReportRun]], *, quiet: bool) -> list[ReportRun]:
        """One line on standard error for each thing that changes; returns the runs as they stood last."""
        shown: dict[int, tuple[str, ...]] = {}
        runs: list[ReportRun] = []
        for runs in rounds:
            for run in runs:
                state = (run.status, run.step, run.fireant_status)
                if shown.get(run.pk) != state and not quiet:
                    self.stderr.write(_progress_line(run), self.style.SUCCESS if run.has_ended else None)
                shown[run.pk] = state
        return runs

    def _tell(
        self,
        runs: Sequence[ReportRun],
        refused: Mapping[str, str],
        ports: Ports,
        options: Mapping[str, Any],
    ) -> None:
        if options["format"] == "json":
            self.answer(
                [run_as_json(run, ports) for run in runs]
                + [refused_as_json(key, error, ports) for key, error in refused.items()]
            )
            return
        self.table(
            "",
            ("run", "report", "status", "step", "seconds", "stored at, or what is wrong and what to do"),
            [
                (
                    run.pk,
                    run.report,
                    run.get_status_display(),
                    run.step,
                    run.seconds,
                    _where_or_why(run),
                )
                for run in runs
            ]
            + [(None, f"report {key}", "refused", None, None, error) for key, error in refused.items()],
        )


def _where_or_why(run: ReportRun) -> str:
    if run.status == Status.SUCCEEDED and run.schedule.problem:
        return f"{run.results_path}\nIt ran by hand, but never will by itself: {run.schedule.problem}"
    return run.error or run.results_path


def _clock(instant: datetime) -> str:
    """The time of day by the project's own clock."""
    return f"{instant.astimezone(timezone.get_default_timezone()):%H:%M:%S %Z}"


def _progress_line(run: ReportRun) -> str:
    said = ""
    if run.status == Status.DEFERRED and run.fireant_status:
        said = f", Fireant says {run.fireant_status}"
    elif run.status == Status.UP_FOR_RETRY and run.wake_at is not None:
        said = f" ({_clock(run.wake_at)}): {run.error}"
    return f"{_clock(datetime.now(UTC))}  run {run.pk}  {run.report}: {run.get_status_display()} at {run.step}{said}"
