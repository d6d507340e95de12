"""The database's clock may be set back. Waits and leases that were given by the old clock must not last for the difference."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from report_orchestrator.models import Mark, ReportRun
from report_orchestrator.services.announce import database, schedule_event

LEAP = timedelta(minutes=1)
"""A smaller step is waited out: leases and polls are late by no more than this."""


def follow_clock(mark: str, *, now: datetime) -> int:
    """Moves the waits of all runs by what the clock was set back since `mark` was noted. Returns how many were moved.

    Versions stay as they are: a worker that is alive keeps its run, and one that died is missed when its lease would have ended.
    """
    noted = Mark.objects.filter(name=mark, marked_at__gt=now + LEAP).values_list("marked_at", flat=True)
    before = noted.first()
    if before is None:
        return 0
    with transaction.atomic(using=database()):
        if not Mark.objects.filter(name=mark, marked_at=before).update(marked_at=now):
            return 0  # another tick has seen to it
        set_back = before - now
        moved = ReportRun.objects.filter(wake_at__gt=before).update(wake_at=F("wake_at") - set_back)
        schedule_event("clock_set_back", seconds=round(set_back.total_seconds()), runs_moved=moved)
    return moved
