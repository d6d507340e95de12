"""`manage.py retry_run RUN…`: retry failed runs from the step that failed."""

from report_orchestrator.management.run_command import RunCommand
from report_orchestrator.services.operator_actions import retry_run


class Command(RunCommand):
    help = (
        "Retries failed or timed-out runs from the step that failed; finished steps are not repeated. After a failed Fireant "
        "job the report is read again and a new job is submitted. A run on hold (submission_unknown) is sent again with the "
        "same reference."
    )
    examples = """examples:
  manage.py retry_run 812 --reason "the group was corrected"
  manage.py retry_run 812 813 --reason "Fireant was restarted"

exit status: 0 success, 1 a run could not be retried, 2 wrong usage"""
    change_run = staticmethod(retry_run)
    done = "queued again"
