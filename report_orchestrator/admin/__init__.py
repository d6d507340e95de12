"""The admin's pages: what the reports are, what ran, and what changed. History is read-only."""

from report_orchestrator.admin.changes import ReportChangeAdmin
from report_orchestrator.admin.host_panel import ReportRunsMixin
from report_orchestrator.admin.runs import ReportRunAdmin
from report_orchestrator.admin.schedules import ReportScheduleAdmin

__all__ = ["ReportChangeAdmin", "ReportRunAdmin", "ReportRunsMixin", "ReportScheduleAdmin"]
