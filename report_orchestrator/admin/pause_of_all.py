"""Pausing and resuming everything: one question, what follows from it, a reason, and who did it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.act_forms import ReasonForm
from report_orchestrator.admin.acting import ActingAdmin, Button
from report_orchestrator.admin.display import instant
from report_orchestrator.admin.words import number
from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import LIVE
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.services.pausing import all_are_paused, pause_all, resume_all
from report_orchestrator.services.reading.vitals import Pause, pause_of, read_marks
from report_orchestrator.wiring import get_ports

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

PERMISSION = "report_orchestrator.pause_reports"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfAll:
    """One of the two acts in words. `record` is what Django's log says, in English as all logs."""

    name: str
    pauses: bool
    button: _StrPromise
    question: _StrPromise
    done: _StrPromise
    too_late: _StrPromise
    record: str


PAUSE_ALL = OfAll(
    name="pause-all",
    pauses=True,
    button=_("Pause all reports"),
    question=_("Pause all reports?"),
    done=_("All reports are paused."),
    too_late=_("All reports are paused already. Nothing was changed."),
    record="All reports paused",
)
RESUME_ALL = OfAll(
    name="resume-all",
    pauses=False,
    button=_("Resume all reports"),
    question=_("Resume all reports?"),
    done=_("The scheduling of all reports goes on."),
    too_late=_("All reports were not paused. Nothing was changed."),
    record="All reports resumed",
)
MISSED = {
    "latest": _("The latest of the times that came meanwhile runs, of each report (MISSED_RUNS)."),
    "all": _("All times that came meanwhile run, of each report (MISSED_RUNS)."),
    "none": _("None of the times that came meanwhile runs (MISSED_RUNS)."),
}


class PauseOfAll(ActingAdmin[ReportSchedule]):
    """The list of reports, with the two acts that concern all of them."""

    def get_urls(self) -> list[URLPattern]:
        """With a confirmation for each."""
        return [*(self._url_of(act) for act in (PAUSE_ALL, RESUME_ALL)), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under the button that fits."""
        pause = pause_of(read_marks())
        shown = {"all_paused": _told(pause), "ro_buttons": self._all_buttons(request, pause)}
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    def _all_buttons(self, request: HttpRequest, pause: Pause | None) -> list[Button]:
        if not request.user.has_perm(PERMISSION):
            return []
        act = PAUSE_ALL if pause is None else RESUME_ALL
        return [Button(label=str(act.button), address=self._address_of(act))]

    def _url_of(self, act: OfAll) -> URLPattern:
        def view(request: HttpRequest) -> HttpResponse:
            return self._of_all(request, act)

        name = f"{self.opts.app_label}_{self.opts.model_name}_{act.name.replace('-', '_')}"
        return path(f"{act.name}/", self.admin_site.admin_view(view), name=name)

    def _address_of(self, act: OfAll) -> str:
        return self._address(ReportSchedule, act.name.replace("-", "_"))

    def _of_all(self, request: HttpRequest, act: OfAll) -> HttpResponse:
        """GET says what will happen, POST does it."""
        self._refuse_strangers(request)
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            self._do_to_all(request, act, form.cleaned_data["reason"])
            return HttpResponseRedirect(self._address(ReportSchedule, "changelist"))
        pause = pause_of(read_marks())
        context = {
            **self.admin_site.each_context(request),
            "title": act.question,
            "opts": self.opts,
            "media": self.media,
            "act": act,
            "too_late": (pause is not None) == act.pauses,
            "consequences": _consequences(act),
            "all_paused": _told(pause),
            "form": form,
            "back": self._address(ReportSchedule, "changelist"),
        }
        status = HTTPStatus.BAD_REQUEST if form.errors else HTTPStatus.OK
        return TemplateResponse(
            request, "admin/report_orchestrator/pause_of_all.html", context, status=status
        )

    def _do_to_all(self, request: HttpRequest, act: OfAll, reason: str) -> None:
        actor, ports = request.user.get_username(), get_ports()
        if all_are_paused() == act.pauses:
            messages.warning(request, str(act.too_late))
            return
        if act.pauses:
            pause_all(actor=actor, reason=reason, ports=ports)
        elif not resume_all(actor=actor, reason=reason, ports=ports):
            messages.warning(request, str(act.too_late))
            return
        ours = ReportChange.objects.filter(schedule=None).order_by("-pk")[:1]
        note = Truncator(f"{act.record}. Reason: {reason}").chars(1000)
        LogEntry.objects.log_actions(str(request.user.pk), ours, CHANGE, change_message=note)
        messages.success(request, str(act.done))


def _consequences(act: OfAll) -> list[str]:
    """What will happen, with the numbers as they are."""
    missed = str(MISSED[get_settings().missed_runs])
    if not act.pauses:
        return [
            gettext(
                "The times of all reports open runs again. Reports that are paused one by one stay paused."
            ),
            missed,
        ]
    ours = ReportSchedule.objects.filter(report_model=get_ports().reports.label)
    active = ours.filter(state=ScheduleState.ACTIVE).count()
    live = ReportRun.objects.filter(status__in=sorted(LIVE)).count()
    return [
        gettext("The times of {count} active reports open no runs until somebody resumes them.").format(
            count=number(active)
        ),
        gettext("The runs that are under way go on: {count}. Reports can still be run by hand.").format(
            count=number(live)
        ),
        gettext("When it is resumed:") + " " + missed,
    ]


def _told(pause: Pause | None) -> str:
    """Who paused everything, since when and why; empty while nobody did."""
    if pause is None:
        return ""
    told = gettext("All reports are paused since {instant} by {person}: {reason}")
    return format_html(
        told,
        instant=instant(pause.since),
        person=pause.actor or gettext("somebody"),
        reason=pause.reason or gettext("no reason given"),
    )
