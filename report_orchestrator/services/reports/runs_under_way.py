"""The runs that have worked longest and have not ended, with their expected ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from report_orchestrator.domain.runs import UNFINISHED
from report_orchestrator.models import ReportRun
from report_orchestrator.services.reports.expected_end import ExpectedEnd, expected_end, fireant_progress, with_progress
from report_orchestrator.services.reports.run_history import recent_runs_by_schedule

RUNS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUnderWay:
    """`progress` is the share of its job that Fireant said to be done; None if it said none."""

    run: ReportRun
    expected: ExpectedEnd
    progress: float | None


def runs_under_way(visible: QuerySet[ReportRun], now: datetime) -> Sequence[RunUnderWay]:
    """Return the `RUNS_SHOWN` of these runs that began first. Two queries; one if there is none."""
    unfinished = visible.filter(status__in=sorted(UNFINISHED), wake_at__isnull=False)
    started = unfinished.filter(started_at__isnull=False).order_by("started_at", "pk")
    runs: list[Any] = list(with_progress(started)[:RUNS_SHOWN])  # with the annotation `polled`
    past = recent_runs_by_schedule({run.schedule_id for run in runs}) if runs else {}
    found = []
    for run in runs:
        expected = expected_end(run, past.get(run.schedule_id, ()), now)
        if expected is not None:
            found.append(RunUnderWay(run=run, expected=expected, progress=fireant_progress(run.polled)))
    return found
