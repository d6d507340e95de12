"""The dashboard as a tag, so that the app's page shows it in any AdminSite that has our models."""

from __future__ import annotations

from typing import Any

from django import template

from report_orchestrator.admin.addresses import Reader
from report_orchestrator.admin.dashboard import board
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.models import ReportRun, ReportSchedule

register = template.Library()


@register.inclusion_tag("admin/report_orchestrator/dashboard/board.html", takes_context=True)
def orchestrator_dashboard(context: dict[str, Any]) -> dict[str, Any]:
    """The picture of now; nothing at all for whoever may not see both the reports and their runs."""
    request = context.get("request")
    if request is None or not all(_may_view(request.user, model) for model in (ReportSchedule, ReportRun)):
        return {"board": None}
    reader = Reader(user=request.user, site_name=getattr(request, "current_app", None) or "admin")
    try:
        return {"board": board(reader)}
    except ConfigurationError as error:
        return {"board": None, "problem": str(error)}


def _may_view(user: Any, model: type[ReportSchedule | ReportRun]) -> bool:
    return bool(user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"))
