"""`manage.py qcluster`: Django-Q2's own cluster, started with the schedules in step, and made so that it does not hang.

It takes the place of the stock command where this app stands before `django_q` in `INSTALLED_APPS`.
"""

from __future__ import annotations

import os
from multiprocessing import get_all_start_methods
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import CommandError
from django.db import OperationalError, ProgrammingError
from django_q.management.commands import qcluster

from report_orchestrator.conf import get_settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.management.base import unusable_database
from report_orchestrator.services.reconciling import sync_schedules
from report_orchestrator.wiring import get_ports


class Command(qcluster.Command):  # type: ignore[misc]  # django-q2 has no types
    """The stock command, with every option that it has. Exit status 1: the cluster was lost and is to be started again."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Brings the schedules in step with the settings, then runs the cluster to its end."""
        try:
            sync_schedules(ports=get_ports(), settings=get_settings())
        except OrchestratorError as error:
            raise CommandError(error.message, returncode=1) from error
        except (OperationalError, ProgrammingError) as error:
            raise CommandError(unusable_database(error), returncode=1) from error
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
    from report_orchestrator.cluster.main import Cluster  # it needs `fork`, which not every system has

    django_settings.SECRET_KEY  # noqa: B018 - messages are signed with it: better to fail here than at each of them
    Cluster(grace=get_settings().shutdown_grace, once=once).run()
