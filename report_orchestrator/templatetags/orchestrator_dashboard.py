"""The dashboard as a template tag, so that the app's page shows it in any AdminSite with our models."""

from typing import Any

from django import template

from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.models import ReportRun, ReportSchedule

MODELS = (ReportSchedule, ReportRun)

register = template.Library()


@register.inclusion_tag("admin/report_orchestrator/dashboard/board.html", takes_context=True)
def orchestrator_dashboard(context: dict[str, Any]) -> dict[str, Any]:
    """Show the dashboard to viewers of both reports and runs, and nothing to others.

    It counts all rows, so it is not shown in a site that hides some from the reader.
    """
    # Django imports each tag library, also in a project without the admin.
    from django.contrib.admin.sites import all_sites

    from report_orchestrator.admin.dashboard.board import read_board
    from report_orchestrator.admin.ui.links import Viewer, is_narrowed
    from report_orchestrator.admin.ui.live import leave_no_trace

    request = context.get("request")
    if request is None:
        return {"board": None}
    site_name = getattr(request, "current_app", None) or "admin"
    viewer = Viewer(user=request.user, site_name=site_name, request=request)
    if not (viewer.may_view(ReportSchedule) and viewer.may_view(ReportRun)):
        return {"board": None}
    if any(
        is_narrowed(site, model, request) for site in all_sites if site.name == viewer.site_name for model in MODELS
    ):
        return {"board": None}
    try:
        return {"board": read_board(viewer, is_refresh=leave_no_trace(request))}
    except ConfigurationError as error:
        return {"board": None, "problem": str(error)}
