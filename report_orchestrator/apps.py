"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReportOrchestratorConfig(AppConfig):
    """Connects the checks, the log and the host's signals; reads no database."""

    name = "report_orchestrator"
    verbose_name = _("Report orchestrator")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers what listens."""
        from report_orchestrator import checks, log_events, wiring

        checks.register_checks()
        log_events.connect()
        wiring.connect_host_signals()
