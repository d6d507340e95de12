"""Accept removals that discovery holds for a person, as they may come from a broken router; show the last discovery's
result.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, ngettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.actions.base import ConfirmedRequest, Question
from report_orchestrator.admin.actions.confirm import ConfirmingAdmin
from report_orchestrator.admin.actions.whole import WholeAction
from report_orchestrator.admin.ui.format import instant, name_of
from report_orchestrator.admin.ui.links import visible_rows
from report_orchestrator.admin.ui.phrases import number
from report_orchestrator.models import ReportChange, ReportSchedule, ScheduleState, SharedState, StateName
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.full_scan import accept_removals
from report_orchestrator.services.discovery.result import Acceptance

SHOWN = 10


class AcceptRemovals(WholeAction):
    name = "removals"
    permission = "accept_removals"
    button = _("Review and accept")
    submit = ngettext_lazy("Mark {count} report as removed", "Mark {count} reports as removed", "count")
    record = "Removal accepted"
    is_destructive = True

    def question(self, runtime: Runtime) -> Question:
        """Name the missing reports. The version is discovery's digest of all of them."""
        detail = _last_discovery().detail
        count, held = detail.get("held_removals", 0), detail.get("held", [])
        if not count:
            return Question(refusal=gettext("No removals are held."))
        consequence = gettext(
            "Discovery no longer finds these reports in the project. They are more than a fifth of all, and a broken "
            "database router looks the same, so nothing was removed. If they were really deleted, accept it: they are "
            "marked as removed, create no more runs, and keep their history. If not, check the database router and the "
            "report table."
        )
        return Question(
            version=detail.get("held_digest", ""),
            count=count,
            consequences=[consequence],
            named=[(report, "") for report in held],
            more=max(0, count - len(held)),
        )

    def perform(self, confirmed: ConfirmedRequest) -> tuple[str, Iterable[Model]]:
        acceptance = Acceptance(actor=confirmed.actor, reason=confirmed.reason, digest=confirmed.version)
        removed = accept_removals(acceptance, runtime=confirmed.runtime)
        done = ngettext(
            "{count} report marked as removed. Its history stays.",
            "{count} reports marked as removed. Their history stays.",
            len(removed),
        )
        return done.format(count=number(len(removed))), removed


ACCEPT_REMOVALS = AcceptRemovals()


class RemovalsAdmin(ConfirmingAdmin[ReportChange]):
    """The list of changes, below the last discovery's result."""

    whole_actions = (ACCEPT_REMOVALS,)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list below the last discovery's result."""
        return super().changelist_view(request, {**(extra_context or {}), **self._found(request)})

    def _found(self, request: HttpRequest) -> dict[str, Any]:
        mark = _last_discovery()
        visible = visible_rows(self.admin_site, ReportSchedule, request)
        ill = visible.filter(state=ScheduleState.QUARANTINED).order_by("name", "pk")
        quarantined = [] if "report" in request.GET else list(ill[: SHOWN + 1])
        return {
            "discovered_at": instant(mark.marked_at) if mark.marked_at else "",
            "examined": mark.detail.get("examined", 0),
            "held_removals": mark.detail.get("held_removals", 0),
            "ro_buttons": self.whole_buttons(request, ACCEPT_REMOVALS),
            "quarantined": [
                (self.link_to_page(ReportSchedule, row.pk, name_of(row)), row.problem) for row in quarantined[:SHOWN]
            ],
            "all_quarantined": self.link_to_list(
                ReportSchedule, gettext("all quarantined reports"), state__exact=ScheduleState.QUARANTINED.value
            )
            if len(quarantined) > SHOWN
            else "",
        }


def _last_discovery() -> SharedState:
    """Return the state of the last discovery; an empty one before the first."""
    return SharedState.objects.filter(name=StateName.DISCOVERY).first() or SharedState(name=StateName.DISCOVERY)
