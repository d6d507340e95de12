"""The Django app."""

from django.apps import AppConfig
from django.core.management import get_commands
from django.utils.translation import gettext_lazy as _


def _prefer_own_qcluster() -> None:
    """Let `manage.py qcluster` be ours, wherever this app stands in `INSTALLED_APPS`. Another app's own command stays."""
    commands = get_commands()  # the cached dict in which Django looks commands up
    if commands.get("qcluster") == "django_q":
        commands["qcluster"] = "report_orchestrator"


class ReportOrchestratorConfig(AppConfig):
    """Registers the checks, the log and the host's signals. Does not read the database."""

    name = "report_orchestrator"
    verbose_name = _("Report orchestrator")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from report_orchestrator import checks, log_events, wiring

        checks.register_checks()
        log_events.connect()
        _prefer_own_qcluster()
        wiring.connect_host_signals()
