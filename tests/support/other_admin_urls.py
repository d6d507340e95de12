"""A host with a second AdminSite at another address."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.urls import path

from report_orchestrator.admin import ReportChangeAdmin, ReportRunAdmin, ReportScheduleAdmin
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule

site = AdminSite(name="back-office")
site.register(ReportSchedule, ReportScheduleAdmin)
site.register(ReportRun, ReportRunAdmin)
site.register(ReportChange, ReportChangeAdmin)

urlpatterns = [path("back/office/", site.urls)]
