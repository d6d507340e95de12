"""The buttons of runs: actions on the list, on each page, and on all failures with one error code."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partialmethod
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.actions.confirm import AT_MOST, Button, ConfirmingAdmin, host_buttons
from report_orchestrator.admin.actions.report_actions import RUN
from report_orchestrator.admin.actions.rows import RowAction
from report_orchestrator.admin.actions.run_actions import RUN_ACTIONS, is_on_hold
from report_orchestrator.admin.ui.links import host_report_address, visible_rows
from report_orchestrator.domain.error_codes import Trait, traits_of
from report_orchestrator.domain.runs import RETRYABLE_BY_PERSON
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.lists.filters import SPANS
from report_orchestrator.wiring import get_ports


class RunActions(ConfirmingAdmin[ReportRun]):
    """Retry, release and cancel runs."""

    row_actions = RUN_ACTIONS
    confirm_columns = (
        "status",
        "step",
        "version",
        "error_code",
        "reference",
        "submission",
        "fireant_job_id",
        "report_key",
        "report_name",
        "schedule__state",
        "schedule__problem_code",
    )
    actions = ("retry_selected", "cancel_selected")

    has_retry_runs_permission = partialmethod(ConfirmingAdmin.may, name="retry")
    has_cancel_runs_permission = partialmethod(ConfirmingAdmin.may, name="cancel")

    @admin.action(description=_("Retry the selected runs"), permissions=["retry_runs"])
    def retry_selected(self, request: HttpRequest, chosen: QuerySet[ReportRun]) -> HttpResponse:
        return self.confirm_selected(request, "retry", chosen)

    @admin.action(description=_("Cancel the selected runs"), permissions=["cancel_runs"])
    def cancel_selected(self, request: HttpRequest, chosen: QuerySet[ReportRun]) -> HttpResponse:
        return self.confirm_selected(request, "cancel", chosen)

    def offered_actions(self, run: ReportRun) -> Iterable[RowAction[Any]]:
        """Offer release instead of retry for a run on hold."""
        left_out = "retry" if is_on_hold(run) else "release"
        return (action for action in self.row_actions if action.name != left_out)

    def page_buttons(self, request: HttpRequest, run: ReportRun) -> list[Button]:
        """Put first what the advice for the run's error says; a retry of a report at fault would fail again."""
        made, host = self.buttons(request, run), host_report_address(self.admin_site, run.schedule, request)
        traits = traits_of(run.error_code) if run.has_ended else Trait.NONE
        if Trait.REPORT_AT_FAULT in traits:
            return [*host_buttons(host, is_at_fault=True), *made]
        if Trait.NEEDS_NEW_RUN in traits:
            made = [*self._run_button(request, run), *made]
        elif made and not made[0].is_destructive:
            made[0] = replace(made[0], is_main=True)
        return [*made, *host_buttons(host, is_at_fault=False)]

    def _run_button(self, request: HttpRequest, run: ReportRun) -> list[Button]:
        """Return the button for a new run of the report, if the site has our reports and the reader may run this one."""
        reports = visible_rows(self.admin_site, ReportSchedule, request).filter(pk=run.schedule_id)
        schedule = reports.first()
        if schedule is None or not RUN.is_permitted(request.user) or RUN.refusal(schedule):
            return []
        query = urlencode({"ids": schedule.pk, "next": self._address(ReportRun, "change", run.pk)})
        address = f"{self._address(ReportSchedule, 'act', RUN.name)}?{query}"
        return [Button(label=gettext("Run the report now"), address=address, is_main=True)]

    def requested_keys(self, request: HttpRequest) -> list[int]:
        """Return the runs of an address: by `ids`, or by `error_code`, `step` and `ended` as in the list."""
        if "error_code" not in request.GET:
            return super().requested_keys(request)
        columns = {"error_code": request.GET["error_code"], "step": request.GET.get("step", "")}
        if any("\x00" in value for value in columns.values()):
            raise BadRequest("An error code and a step have no NUL.")
        alike = self.get_queryset(request).filter(status__in=sorted(RETRYABLE_BY_PERSON), **columns)
        if span := SPANS.get(request.GET.get("ended", "")):
            alike = alike.filter(ended_at__gte=get_ports().clock() - span)
        return list(alike.order_by("pk").values_list("pk", flat=True)[: AT_MOST + 1])
