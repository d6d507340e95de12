"""The meaning of "typical", "late" and "failed in the last 24 hours", as pages explain them."""

from django.utils.translation import gettext

from report_orchestrator.admin.ui.phrases import about
from report_orchestrator.conf import Settings
from report_orchestrator.services.monitoring.overdue import late_after
from report_orchestrator.services.reports.run_history import TYPICAL_OF


def typical_means() -> str:
    text = gettext(
        "Typical: the median of the last {count} runs that succeeded, each since its last retry by a person."
    )
    return text.format(count=TYPICAL_OF)


def late_means(settings: Settings) -> str:
    if settings.scheduling_approach == "schedule":
        text = gettext("Late: the window of its scheduled time passed more than {span} ago, and no run was created.")
    else:
        text = gettext("Late: its scheduled time passed more than {span} ago, and no run was created.")
    return text.format(span=about(late_after(settings)))


def failed_means() -> str:
    return gettext(
        "Failed in the last 24 hours: ended as failed or timed out in that time, and not retried by a person since."
    )
