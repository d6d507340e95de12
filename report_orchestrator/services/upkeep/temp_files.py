"""Removes temporary files that dead workers left in the store, once a day."""

from datetime import timedelta

from report_orchestrator.domain.runs import Status
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.models import ReportRun, SharedState, StateName
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import emit_schedule_event
from report_orchestrator.services.upkeep_failures import UpkeepTask, recording_failure

EVERY = timedelta(days=1)
RETRY_AFTER = timedelta(minutes=10)
MAX_FILES = 50
"""Files removed in one tick, which has other work to do: a lake takes about 0.2 s for each."""
CONTINUE_AFTER = timedelta(minutes=1)
MIN_AGE = timedelta(days=1)
"""Longer than a worker can write after losing its lease: it notices at its next piece, at most a time-out later."""


def sweep_if_due(*, runtime: Runtime) -> int:
    """Sweep the store at most once a day over all clusters, in parts of `MAX_FILES`. Return the number of files removed.

    Files of running runs stay, however long a download takes. A run that starts after the table was read has young files.
    """
    now = runtime.clock()
    if not SharedState.objects.claim_turn(StateName.TEMP_FILES, now=now, until=now + EVERY):
        return 0
    writing = [run.result_path for run in ReportRun.objects.filter(status=Status.RUNNING)]
    try:
        with recording_failure(UpkeepTask.TEMP_FILES, clock=runtime.clock):
            removed = runtime.store.sweep(MIN_AGE, writing, most=MAX_FILES)
    except Exception as error:
        SharedState.objects.filter(name=StateName.TEMP_FILES).update(due_at=now + RETRY_AFTER)
        if not isinstance(error, OrchestratorError):
            raise
        # Not raised: the rest of the tick does not depend on it.
        emit_schedule_event("sweep_failed", error_code=error.code, error=error.message)
        return 0
    if removed == MAX_FILES:
        SharedState.objects.filter(name=StateName.TEMP_FILES).update(due_at=now + CONTINUE_AFTER)
    if removed:
        emit_schedule_event("store_swept", removed=removed)
    return removed
