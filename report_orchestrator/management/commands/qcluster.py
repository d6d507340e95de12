"""`manage.py qcluster`: Django-Q2's own cluster, started with the schedules in step.

It takes the place of the stock command where this app stands before `django_q` in `INSTALLED_APPS`.
"""

from __future__ import annotations

from typing import Any

from django_q.management.commands import qcluster

from report_orchestrator.conf import get_settings
from report_orchestrator.services.approaches import sync_schedules
from report_orchestrator.wiring import get_ports


class Command(qcluster.Command):  # type: ignore[misc]  # django-q2 has no types
    """The stock command, with every option that it has."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Brings the schedules in step with the settings, then starts the cluster."""
        sync_schedules(ports=get_ports(), settings=get_settings())
        super().handle(*args, **options)
