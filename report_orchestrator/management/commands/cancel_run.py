"""`manage.py cancel_run RUN…`: cancel runs."""

from report_orchestrator.management.run_command import RunCommand
from report_orchestrator.services.operator_actions import cancel_run


class Command(RunCommand):
    help = (
        "Cancels runs in progress; their workers stop working on them. Fireant cannot cancel jobs: a "
        "submitted job continues there, and its result is not downloaded."
    )
    examples = """examples:
  manage.py cancel_run 812 --reason "wrong event group"

exit status: 0 success, 1 a run had already ended, 2 wrong usage"""
    change_run = staticmethod(cancel_run)
    done = "canceled"
