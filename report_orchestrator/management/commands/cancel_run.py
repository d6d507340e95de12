"""`manage.py cancel_run RUN…`: end runs that have not ended."""

from __future__ import annotations

from report_orchestrator.management.intervening import InterveningCommand
from report_orchestrator.services.intervention import cancel_run


class Command(InterveningCommand):
    """Cancellation."""

    help = (
        "Ends runs that have not ended. A worker that is busy with one drops it. Fireant has no way to cancel: a job that was "
        "submitted goes on there, and its result is not fetched."
    )
    examples = """examples:
  manage.py cancel_run 812 --reason "wrong event group"

exit status: 0 well, 1 a run had ended already, 2 used wrongly"""
    intervene = staticmethod(cancel_run)
    done = "canceled"
