"""Record that work goes on, so that health can tell a backlog from a standstill."""

from datetime import datetime, timedelta

from report_orchestrator.models import SharedState, StateName

EVERY = timedelta(seconds=5)


def record_progress(*names: StateName, now: datetime) -> None:
    """Record now under each name, unless some process has done so within a few seconds."""
    recent = SharedState.objects.filter(name__in=names, marked_at__range=(now - EVERY, now))
    for name in set(names) - set(recent.values_list("name", flat=True)):
        SharedState.objects.record(name, now=now)
