"""Bound the number of our messages that wait in the queue, so that a burst of runs leaves room for the host's tasks.

One slot for each worker: whoever receives a message takes all runs that may start. A slot is free again once its message
was received, or after `RESERVED_FOR`, as a message may be lost.
"""

from datetime import timedelta

from django_q.conf import Conf

from report_orchestrator.adapters.database_clock import database_clock
from report_orchestrator.models import SharedState
from report_orchestrator.models.shared_state import CLOCK_SLACK, CLUSTER_PREFIX, MESSAGE_PREFIX

RESERVED_FOR = timedelta(seconds=10)
ALIVE_FOR = timedelta(seconds=30)
"""A cluster that has reported within this time is alive."""


def reported_workers() -> int:
    """Return the number of workers of all our clusters that reported lately."""
    lately = database_clock() - ALIVE_FOR
    clusters = SharedState.objects.filter(name__startswith=CLUSTER_PREFIX, marked_at__gte=lately)
    return sum(int(detail.get("workers", 0)) for detail in clusters.values_list("detail", flat=True))


def claim_message_slots(most: int) -> int:
    """Claim up to `most` free slots; return the number of messages that may be sent."""
    now = database_clock()
    names = [f"{MESSAGE_PREFIX}{number}" for number in range(max(reported_workers(), int(Conf.WORKERS)))]
    waiting = SharedState.objects.filter(name__in=names, due_at__gt=now, marked_at__lte=now + CLOCK_SLACK)
    taken = set(waiting.values_list("name", flat=True))
    claimed = 0
    for name in names:
        if claimed == most:
            break
        if name not in taken:
            claimed += SharedState.objects.claim_turn(name, now=now, until=now + RESERVED_FOR)
    return claimed


def free_message_slot() -> None:
    """Free the slot that was claimed first: a message was received, or could not be sent."""
    now = database_clock()
    waiting = SharedState.objects.filter(name__startswith=MESSAGE_PREFIX, due_at__gt=now)
    if first := waiting.order_by("due_at").values("name", "due_at").first():
        SharedState.objects.filter(**first).update(due_at=now)
