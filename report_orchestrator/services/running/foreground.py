"""Runs reports in the calling process, without a queue: for a command, a script, a test."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from report_orchestrator.models import ReportRun
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.running.worker import advance

SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=0.1), timedelta(seconds=1)


def run_to_end(run_ids: Sequence[int], *, runtime: Runtime, wait: Callable[[float], None]) -> Iterator[list[ReportRun]]:
    """Advance these runs until all have ended. Yields them after each round.

    Calls `wait` with seconds while none can be advanced. Workers may advance them too: each step is still done once.
    """
    while True:
        for run_id in run_ids:
            advance(run_id, runtime=runtime)
        runs = read_runs(run_ids)
        yield runs
        if all(run.has_ended for run in runs):
            return
        now = runtime.clock()
        waits = [run.wake_at - now for run in runs if run.wake_at is not None]
        wait(max(min([*waits, LONGEST_PAUSE]), SHORTEST_PAUSE).total_seconds())


def watch_to_end(run_ids: Sequence[int], *, wait: Callable[[float], None]) -> Iterator[list[ReportRun]]:
    """Yield these runs about once a second, while workers advance them, until all have ended."""
    while True:
        runs = read_runs(run_ids)
        yield runs
        if all(run.has_ended for run in runs):
            return
        wait(LONGEST_PAUSE.total_seconds())


def read_runs(run_ids: Sequence[int]) -> list[ReportRun]:
    return list(ReportRun.objects.filter(pk__in=run_ids).select_related("schedule").order_by("pk"))
