"""Pause and resume all reports."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.actions.base import ConfirmedRequest, Question
from report_orchestrator.admin.actions.confirm import ConfirmingAdmin
from report_orchestrator.admin.actions.report_actions import ON_RESUMING
from report_orchestrator.admin.actions.whole import WholeAction
from report_orchestrator.admin.ui.format import instant
from report_orchestrator.admin.ui.phrases import number
from report_orchestrator.domain.error_codes import RefusalCode
from report_orchestrator.domain.runs import UNFINISHED
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.monitoring.snapshot import Pause, pause_from, read_shared_states
from report_orchestrator.services.scheduling.pausing import count_scheduled, pause_all_if_scheduled, resume_all


class PauseAll(WholeAction):
    name = "pause-all"
    permission = "pause_reports"
    button = _("Pause all reports")
    submit = ngettext_lazy("Pause {count} active report", "Pause all {count} active reports", "count")
    record = "All reports paused"
    is_destructive = True

    def question(self, runtime: Runtime) -> Question:
        """Count the reports that stop and the runs that continue. Runs come and go, so they are not in the version."""
        if pause := pause_from(read_shared_states()):
            return Question(refusal=gettext("All reports are already paused."), caution=describe_pause(pause))
        counts, missed = count_scheduled(runtime), runtime.settings.missed_runs
        stopping = ngettext(
            "No scheduled runs are created for {count} active report until scheduling is resumed.",
            "No scheduled runs are created for {count} active reports until scheduling is resumed.",
            counts.scheduled,
        )
        unfinished = ReportRun.objects.filter(status__in=sorted(UNFINISHED)).count()
        continuing = gettext("Runs in progress continue: {count}. Reports can still be run manually.")
        return Question(
            version=f"{counts.scheduled}/{missed}",
            count=counts.scheduled,
            consequences=[
                stopping.format(count=number(counts.scheduled)),
                continuing.format(count=number(unfinished)),
                str(ON_RESUMING[missed]),
            ],
        )

    def perform(self, confirmed: ConfirmedRequest) -> tuple[str, Iterable[Model]]:
        """Pause all reports unless someone else has done so since the confirmation page was shown."""
        change = pause_all_if_scheduled(actor=confirmed.actor, reason=confirmed.reason, runtime=confirmed.runtime)
        if change is None:
            raise NotPossibleError("All reports are already paused.", code=RefusalCode.REPORTS_CHANGED)
        return gettext("All reports are paused."), [change]


class ResumeAll(WholeAction):
    name = "resume-all"
    permission = "pause_reports"
    button = _("Resume all reports")
    submit = ngettext_lazy("Resume {count} active report", "Resume {count} active reports", "count")
    record = "All reports resumed"

    def question(self, runtime: Runtime) -> Question:
        """Count the reports that are scheduled again and those that stay paused."""
        pause = pause_from(read_shared_states())
        if pause is None:
            return Question(refusal=gettext("Reports are not paused."))
        counts, missed = count_scheduled(runtime), runtime.settings.missed_runs
        resuming = ngettext(
            "Scheduled runs are created again for {count} active report.",
            "Scheduled runs are created again for {count} active reports.",
            counts.scheduled,
        ).format(count=number(counts.scheduled))
        return Question(
            version=f"{pause.since}/{counts.scheduled}/{counts.paused}/{missed}",
            count=counts.scheduled,
            consequences=[_with_paused(resuming, counts.paused), str(ON_RESUMING[missed])],
            caution=describe_pause(pause),
        )

    def perform(self, confirmed: ConfirmedRequest) -> tuple[str, Iterable[Model]]:
        """End the pause that was shown, and no later one."""
        paused_at = datetime.fromisoformat(confirmed.version.partition("/")[0])
        resumed = resume_all(
            actor=confirmed.actor, reason=confirmed.reason, runtime=confirmed.runtime, paused_at=paused_at
        )
        if resumed is None:
            raise NotPossibleError("The pause of all reports has changed.", code=RefusalCode.REPORTS_CHANGED)
        counts = count_scheduled(confirmed.runtime)
        done = ngettext(
            "Scheduling resumed for {count} active report.",
            "Scheduling resumed for {count} active reports.",
            counts.scheduled,
        ).format(count=number(counts.scheduled))
        return _with_paused(done, counts.paused), [resumed]


PAUSE_ALL, RESUME_ALL = PauseAll(), ResumeAll()


class PauseOfAll(ConfirmingAdmin[ReportSchedule]):
    """The list of reports, with the two actions on all of them."""

    whole_actions = (PAUSE_ALL, RESUME_ALL)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list below the button that applies."""
        pause = pause_from(read_shared_states())
        action = PAUSE_ALL if pause is None else RESUME_ALL
        shown = {
            "all_paused": "" if pause is None else describe_pause(pause),
            "ro_buttons": self.whole_buttons(request, action),
        }
        return super().changelist_view(request, {**(extra_context or {}), **shown})


def _with_paused(text: str, paused: int) -> str:
    """Append the number of reports that stay paused individually, if any."""
    if not paused:
        return text
    staying = ngettext("{count} report stays paused individually.", "{count} reports stay paused individually.", paused)
    return f"{text} {staying.format(count=number(paused))}"


def describe_pause(pause: Pause) -> str:
    """Return the person, time and reason of the pause of all."""
    return format_html(
        gettext("All reports are paused since {instant} by {person}: {reason}"),
        instant=instant(pause.since),
        person=pause.by or gettext("someone"),
        reason=pause.reason or gettext("no reason given"),
    )
