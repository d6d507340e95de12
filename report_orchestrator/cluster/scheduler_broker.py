"""The broker of Django-Q's scheduler, which sends a message for each report that is due: a bounded number of them."""

from typing import Any

from django_q.conf import Conf
from django_q.signing import SignedPackage

from report_orchestrator.services.timetable.queue_schedules import TASKS

MESSAGES_PER_WORKER = 5
"""Messages of due reports in one pass of the scheduler: those that are sent also create the runs of the others."""


class SchedulerBroker:
    """Passes messages on to the cluster's broker, for one pass of the scheduler.

    Thousands of reports that are due at once would otherwise hold up the host's tasks for as long as their messages take.
    """

    def __init__(self, broker: Any) -> None:
        self.list_key = broker.list_key
        self._broker = broker
        self._left = MESSAGES_PER_WORKER * int(Conf.WORKERS)

    def enqueue(self, package: str) -> object:
        if SignedPackage.loads(package)["func"] == f"{TASKS}.run_report":
            if not self._left:
                return None
            self._left -= 1
        return self._broker.enqueue(package)
