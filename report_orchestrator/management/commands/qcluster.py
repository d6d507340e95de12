"""`manage.py qcluster`: Django-Q2's cluster, started with synced schedules, and without its ways to hang.

It replaces the stock command, whatever the order of `INSTALLED_APPS` (see `apps.py`).
"""

import os
import sys
from multiprocessing import get_all_start_methods
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import CommandError, OutputWrapper
from django_q.management.commands import qcluster

from report_orchestrator.cluster.output import configure_output
from report_orchestrator.conf import get_settings, load_settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.management.base import errors_as_messages
from report_orchestrator.services.discovery.next_times import correct_next_times
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.wiring import get_runtime


class Command(qcluster.Command):  # type: ignore[misc]  # django-q2 has no types
    """The stock command with all its options. Exit status 1: the cluster is lost and must be restarted."""

    def execute(self, *args: Any, **options: Any) -> Any:
        """Set up the output first, because Django prints the system checks' messages before `handle`."""
        configure_output(load_settings()[0])
        self.stdout, self.stderr = OutputWrapper(sys.stdout), OutputWrapper(sys.stderr)
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        with errors_as_messages():
            runtime = get_runtime().as_configured()
            correct_next_times(runtime=runtime)
            sync_schedules(runtime=runtime)
        if "fork" not in get_all_start_methods():
            super().handle(*args, **options)
            return
        if name := options.get("cluster_name"):
            os.environ["Q_CLUSTER_NAME"] = name
        try:
            _run_cluster(once=bool(options.get("run_once")))
        except OrchestratorError as error:
            raise CommandError(error.message, returncode=1) from error


def _run_cluster(*, once: bool) -> None:
    from report_orchestrator.cluster.main import Cluster  # needs `fork`, which not every system has

    django_settings.SECRET_KEY  # noqa: B018 - messages are signed with it: fail here, not at each of them
    Cluster(grace=get_settings().shutdown_grace, once=once).run()
