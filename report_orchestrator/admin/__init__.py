"""The admin: a dashboard, and read-only pages of reports, runs and changes, with confirmed actions.

- `dashboard`, `reports`, `runs`, `changes`: the pages;
- `timeline`: all reports, their runs and due times on one time scale;
- `actions`: the confirmation and execution of an operator's actions;
- `host_panel`: a report's state and runs on its page in the host's own admin;
- `ui`: texts, links, filters and charts that the pages share.
"""

from report_orchestrator.admin.changes.change_admin import ReportChangeAdmin
from report_orchestrator.admin.host_panel import ReportRunsMixin
from report_orchestrator.admin.reports.report_admin import ReportScheduleAdmin
from report_orchestrator.admin.runs.run_admin import ReportRunAdmin

__all__ = ["ReportChangeAdmin", "ReportRunAdmin", "ReportRunsMixin", "ReportScheduleAdmin"]
