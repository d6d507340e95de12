"""Record failures of upkeep until the task succeeds, so that health, doctor and dashboard name them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum

from django.db import Error, transaction

from report_orchestrator.conf import current_secrets
from report_orchestrator.domain.printable import printable
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.masking import masked
from report_orchestrator.models import SharedState
from report_orchestrator.models.shared_state import FAILURE_PREFIX
from report_orchestrator.services.events import database_alias

LONGEST_MESSAGE = 500  # characters


class UpkeepTask(StrEnum):
    """Tasks whose failure stops no run, so that nothing else shows it. The value names the task in health."""

    TICK = "tick"
    DISCOVERY = "discovery"
    EDITS = "search for edited reports"
    QUEUE_SCHEDULES = "sync of the queue's schedules"
    PRUNING = "pruning"
    TEMP_FILES = "removal of temporary files"


@contextmanager
def recording_failure(task: UpkeepTask, *, clock: Callable[[], datetime]) -> Iterator[None]:
    """Record an exception as a failure of the task, and raise it on; without one, forget earlier failures."""
    try:
        yield
    except Exception as error:
        record_failure(task, error, clock=clock)
        raise
    forget_failure(task)


def record_failure(task: UpkeepTask, error: Exception, *, clock: Callable[[], datetime]) -> int:
    """Record a failure of the task and return the number of failures in a row.

    Records nothing if the database rejects it: health reports that by itself.
    """
    cause = error.code if isinstance(error, OrchestratorError) else type(error).__name__
    message = error.message if isinstance(error, OrchestratorError) else f"{cause}: {error}"
    name = FAILURE_PREFIX + task
    try:
        now = clock()
        with transaction.atomic(using=database_alias()):
            SharedState.objects.lock(name, now=now)
            state = SharedState.objects.get(name=name)
            failures = int(state.detail.get("failures", 0)) + 1
            state.detail = {
                "failures": failures,
                "since": state.detail.get("since", now.isoformat()),
                "cause": cause,
                "message": printable(masked(message, current_secrets()))[:LONGEST_MESSAGE],
            }
            state.save(update_fields=["detail"])
    except Error:
        return 1
    return failures


def forget_failure(task: UpkeepTask) -> None:
    recorded = SharedState.objects.filter(name=FAILURE_PREFIX + task)
    if recorded.exists():  # seldom: a tick that finds nothing to do writes nothing
        recorded.delete()
