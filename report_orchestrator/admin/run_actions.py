"""Acting on runs, from their list, their pages, and by the cause that they have in common."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.acting import AT_MOST, ActingAdmin
from report_orchestrator.admin.acts import Act
from report_orchestrator.admin.filters import LatelyFilter
from report_orchestrator.admin.run_acts import RUN_ACTS, is_on_hold
from report_orchestrator.domain.runs import RETRYABLE_BY_PERSON
from report_orchestrator.models import ReportRun


class RunActions(ActingAdmin[ReportRun]):
    """Retry, release and cancel."""

    acts = RUN_ACTS
    asked_columns = (
        "status",
        "step",
        "version",
        "error_code",
        "reference",
        "submission",
        "fireant_job_id",
        "report_key",
        "report_name",
    )
    actions = ("retry_selected", "cancel_selected")

    def has_retry_runs_permission(self, request: HttpRequest) -> bool:
        """For the list's action."""
        return self.may(request, "retry")

    def has_cancel_runs_permission(self, request: HttpRequest) -> bool:
        """For the list's action."""
        return self.may(request, "cancel")

    @admin.action(description=_("Retry the selected runs"), permissions=["retry_runs"])
    def retry_selected(self, request: HttpRequest, chosen: QuerySet[ReportRun]) -> HttpResponse:
        """Asks first."""
        return self.ask_about(request, "retry", chosen)

    @admin.action(description=_("Cancel the selected runs"), permissions=["cancel_runs"])
    def cancel_selected(self, request: HttpRequest, chosen: QuerySet[ReportRun]) -> HttpResponse:
        """Asks first."""
        return self.ask_about(request, "cancel", chosen)

    def offered(self, run: ReportRun) -> Iterable[Act[Any]]:
        """A run on hold is released rather than retried: the same deed, and the one word that says what it means."""
        left_out = "retry" if is_on_hold(run) else "release"
        return (act for act in self.acts if act.name != left_out)

    def asked_for(self, request: HttpRequest) -> list[int]:
        """The runs that an address names, one by one or by their cause: `error_code`, `step`, and `ended` as in the list."""
        if "error_code" not in request.GET:
            return super().asked_for(request)
        alike = self.get_queryset(request).filter(
            status__in=sorted(RETRYABLE_BY_PERSON),
            error_code=request.GET["error_code"],
            step=request.GET.get("step", ""),
        )
        if span := LatelyFilter.SPANS.get(request.GET.get("ended", "")):
            alike = alike.filter(ended_at__gte=datetime.now(UTC) - span)
        return list(alike.order_by("pk").values_list("pk", flat=True)[: AT_MOST + 1])
