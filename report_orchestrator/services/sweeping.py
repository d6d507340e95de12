"""What workers that died left in the store is removed once a day, and never what somebody is writing."""

from __future__ import annotations

from datetime import timedelta

from report_orchestrator.domain.runs import Status
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.models import Mark, ReportRun
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import schedule_event

SWEEP_MARK = "sweep"
EVERY = timedelta(days=1)
AFTER_A_FAILURE = timedelta(hours=1)
MOST = 50
"""Files in one tick, which has other work to do: a lake takes about a fifth of a second for each."""
AFTER_A_PART = timedelta(minutes=1)
OLDER_THAN = timedelta(days=1)
"""Longer than a worker without its lease goes on: it learns of that at its next piece, at most a time-out later."""


def sweep_if_due(*, ports: Ports) -> int:
    """Sweeps the store once a day over all clusters, in parts where there is much. Returns how many files were removed.

    A running run's files stay, however long its download takes: it is in the table. One that starts after the table was read
    has young files.
    """
    now = ports.clock()
    if not Mark.objects.win(SWEEP_MARK, now=now, until=now + EVERY):
        return 0
    writing = [run.result_path for run in ReportRun.objects.filter(status=Status.RUNNING)]
    try:
        removed = ports.store.sweep(OLDER_THAN, writing, most=MOST)
    except OrchestratorError as error:
        # Nothing waits for it, and the tick that it is part of has more to do.
        Mark.objects.filter(name=SWEEP_MARK).update(due_at=now + AFTER_A_FAILURE)
        schedule_event("sweep_failed", error_code=error.code, error=error.message)
        return 0
    if removed == MOST:
        Mark.objects.filter(name=SWEEP_MARK).update(due_at=now + AFTER_A_PART)
    if removed:
        schedule_event("store_swept", removed=removed)
    return removed
