"""Runs taken to their end in one process, without a queue: for a command line, a script, a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from report_orchestrator.conf import Settings
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import Ports
from report_orchestrator.services.execution import advance

SHORTEST_NAP, LONGEST_NAP = timedelta(seconds=0.1), timedelta(seconds=1)


def drive(
    run_ids: Sequence[int], *, ports: Ports, settings: Settings, wait: Callable[[float], None]
) -> Iterator[list[ReportRun]]:
    """Advances these runs until all have ended, and yields them after each round.

    `wait` is called with seconds whenever nothing can be done yet. A cluster may help: each step is still done once.
    """
    while True:
        for run_id in run_ids:
            advance(run_id, ports=ports, settings=settings)
        runs = watch(run_ids)
        yield runs
        if all(run.has_ended for run in runs):
            return
        wait(_until_next(runs, ports))


def _until_next(runs: Sequence[ReportRun], ports: Ports) -> float:
    """Seconds until the first of these runs needs somebody, but never long: another worker may move one meanwhile."""
    now = ports.clock()
    waits = [run.wake_at - now for run in runs if run.wake_at is not None]
    return max(min([*waits, LONGEST_NAP]), SHORTEST_NAP).total_seconds()


def follow(run_ids: Sequence[int], *, wait: Callable[[float], None]) -> Iterator[list[ReportRun]]:
    """Watches these runs while workers advance them; yields them about once a second until all have ended."""
    while True:
        runs = watch(run_ids)
        yield runs
        if all(run.has_ended for run in runs):
            return
        wait(LONGEST_NAP.total_seconds())


def watch(run_ids: Sequence[int]) -> list[ReportRun]:
    """These runs as they stand, in the order of their ids."""
    return list(ReportRun.objects.filter(pk__in=run_ids).select_related("schedule").order_by("pk"))
