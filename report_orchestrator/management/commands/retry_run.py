"""`manage.py retry_run RUN…`: have failed runs go on from where they failed."""

from __future__ import annotations

from report_orchestrator.management.intervening import InterveningCommand
from report_orchestrator.services.intervention import retry_run


class Command(InterveningCommand):
    """Retry, and release of what is on hold."""

    help = (
        "Has failed or timed-out runs go on from the step that failed; finished steps are not repeated. After a failed "
        "Fireant job the report is read again and a new job is submitted. A run on hold (submission_unknown) is sent again "
        "under its reference."
    )
    examples = """examples:
  manage.py retry_run 812
  manage.py retry_run 812 813 --reason "Fireant was restarted"

exit status: 0 well, 1 a run could not be retried, 2 used wrongly"""
    intervene = staticmethod(retry_run)
    done = "queued again"
