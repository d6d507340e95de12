"""What discovery holds for a person: removals that are likelier a broken router than the truth. And what it found in all."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from report_orchestrator.admin.act_forms import ReasonForm
from report_orchestrator.admin.display import instant
from report_orchestrator.admin.readonly import ReadOnlyAdmin
from report_orchestrator.admin.working import BATCH
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.models import Mark, ReportChange, ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.services.discovery import DISCOVERY_MARK, discover
from report_orchestrator.services.found import Acceptance
from report_orchestrator.wiring import get_ports

PERMISSION = "report_orchestrator.accept_removals"
SHOWN = 10


class RemovalsAdmin(ReadOnlyAdmin[ReportChange]):
    """The list of changes, under what discovery found last and what it waits for."""

    class Media:
        css = {"all": ("report_orchestrator/acting.css",)}

    def get_urls(self) -> list[URLPattern]:
        """With the acceptance of removals."""
        view = self.admin_site.admin_view(self.removals_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_removals"
        return [path("removals/", view, name=name), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under what discovery found last."""
        return super().changelist_view(request, {**(extra_context or {}), **self._found(request)})

    def removals_view(self, request: HttpRequest) -> HttpResponse:
        """GET names the reports that are gone, POST accepts it."""
        self._refuse_strangers(request)
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            return self._accept(request, form.cleaned_data["reason"], request.POST.get("rows", ""))
        detail = _last_discovery().detail
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Accept the removal of reports?"),
            "opts": self.opts,
            "media": self.media,
            "held": detail.get("held", []),
            "more": max(0, detail.get("held_removals", 0) - len(detail.get("held", []))),
            "count": detail.get("held_removals", 0),
            "rows": detail.get("held_digest", ""),
            "form": form,
            "back": self._address(ReportChange, "changelist"),
        }
        return TemplateResponse(request, "admin/report_orchestrator/removals.html", context)

    def _accept(self, request: HttpRequest, reason: str, digest: str) -> HttpResponse:
        accepted = Acceptance(actor=request.user.get_username(), reason=reason, digest=digest or "nothing")
        try:
            found = discover(ports=get_ports(), accepted=accepted)
        except OrchestratorError as error:
            messages.warning(request, error.message)
        else:
            removed = [change for change in found.changes if change.kind == ChangeKind.REMOVED]
            self._record(request, reason, len(removed))
            text = gettext("Reports marked as removed: {count}. Their history stays.")
            messages.success(request, text.format(count=len(removed)))
        return HttpResponseRedirect(self._address(ReportChange, "changelist"))

    def _record(self, request: HttpRequest, reason: str, count: int) -> None:
        gone = ReportSchedule.objects.filter(state=ScheduleState.REMOVED).order_by("-changed_at", "-pk")
        rows = list(gone[:count])
        for start in range(0, len(rows), BATCH):
            LogEntry.objects.log_actions(
                str(request.user.pk),
                rows[start : start + BATCH],
                CHANGE,
                change_message=f"Removal accepted. Reason: {reason}",
            )

    def _found(self, request: HttpRequest) -> dict[str, Any]:
        mark = _last_discovery()
        ill = ReportSchedule.objects.filter(state=ScheduleState.QUARANTINED).order_by("name", "pk")
        quarantined = list(ill[: SHOWN + 1])
        return {
            "discovered_at": instant(mark.marked_at) if mark.marked_at else "",
            "examined": mark.detail.get("examined"),
            "held_removals": mark.detail.get("held_removals", 0),
            "may_accept": request.user.has_perm(PERMISSION),
            "removals_address": self._address(ReportChange, "removals"),
            "quarantined": [
                (self.link_to_page(ReportSchedule, row.pk, row), row.problem) for row in quarantined[:SHOWN]
            ],
            "all_quarantined": self.link_to_list(
                ReportSchedule,
                gettext("all quarantined reports"),
                state__exact=ScheduleState.QUARANTINED.value,
            )
            if len(quarantined) > SHOWN
            else "",
        }


def _last_discovery() -> Mark:
    """What discovery noted last; a mark without anything where it has never run."""
    return Mark.objects.filter(name=DISCOVERY_MARK).first() or Mark(name=DISCOVERY_MARK)
