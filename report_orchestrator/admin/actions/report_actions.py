"""The actions on reports: run, pause, resume, backfill."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

from django.utils.html import format_html
from django.utils.translation import gettext, ngettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.actions.base import ConfirmedRequest
from report_orchestrator.admin.actions.forms import BackfillForm, RunForm
from report_orchestrator.admin.actions.rows import RowAction
from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.admin.ui.phrases import capped, error_title, isolated, number
from report_orchestrator.domain.error_codes import RefusalCode
from report_orchestrator.domain.runs import Trigger
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.scheduling.backfill import Days, Occurrence, open_backfill, plan_backfill
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.services.scheduling.pausing import all_are_paused, pause, resume
from report_orchestrator.services.timetable.cron_zone import zone_or_default
from report_orchestrator.wiring import get_ports

BACKFILLED_AT_MOST = 1000
"""Times of one report in one confirmation. The command has no such limit."""
COUNTED_AT_MOST = 10_000
"""Times of one report that the question counts, to tell how many are left out."""
REPORTS_AT_MOST = 50
"""Reports of one backfill, few enough to count their times beforehand."""


ON_RESUMING = {
    "latest": _("When scheduling resumes, each report runs the latest of its missed times (MISSED_RUNS)."),
    "all": _("When scheduling resumes, all missed times run (MISSED_RUNS)."),
    "none": _("When scheduling resumes, no missed times run (MISSED_RUNS)."),
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta.resolution


class ReportAction(RowAction[ReportSchedule]):
    """An action on reports of the present report model. Rows of a former model are history: their keys may mean other
    reports now.
    """

    def refusal(self, schedule: ReportSchedule) -> str:
        """Check the report's state, then its model."""
        if schedule.state == ScheduleState.REMOVED:
            return gettext("The report is no longer in the project.")
        why = self.refusal_by_state(schedule)
        if why or schedule.report_model == get_ports().reports.label:
            return why
        return gettext("The report belongs to “{model}”, which the setting REPORT_MODEL no longer names.").format(
            model=schedule.report_model
        )

    def refusal_by_state(self, schedule: ReportSchedule) -> str:
        """Return the reason why the state of a report that still exists forbids it; empty if it does not."""
        raise NotImplementedError


class OpeningAction(ReportAction):
    """An action that opens runs of one trigger, and says how many and where to watch them."""

    trigger: ClassVar[Trigger]

    def message(self, rows: Sequence[ReportSchedule], confirmed: ConfirmedRequest) -> str:
        """Return the number of runs with a link to them; without the link for those who may not view runs."""
        opened, count = confirmed.opened, len(confirmed.opened)
        if len(rows) == 1:
            text = ngettext("{count} run opened for {report}.", "{count} runs opened for {report}.", count)
        else:
            text = ngettext(
                "{count} run opened for {reports} reports.", "{count} runs opened for {reports} reports.", count
            )
        done = text.format(count=number(count), report=isolated(str(rows[0])), reports=number(len(rows)))
        address = self._address(rows, opened, confirmed.viewer)
        if address is None:
            return done
        return format_html('{} <a href="{}">{}</a>', done, address, ngettext("Watch it", "Watch them", count))

    def _address(self, rows: Sequence[ReportSchedule], opened: Sequence[int], viewer: Viewer) -> str | None:
        if len(opened) == 1:
            return viewer.page_address(ReportRun, opened[0])
        of_report = {"report": rows[0].pk} if len(rows) == 1 else {"opened": "hour"}
        return viewer.list_address(ReportRun, trigger__exact=self.trigger, **of_report)


class Run(OpeningAction):
    """Run the report now."""

    trigger = Trigger.MANUAL

    name = "run"
    permission = "run_reports"
    button = _("Run now")
    submit = ngettext_lazy("Run {count} report now", "Run {count} reports now", "count")
    consequence = _(
        "Each report gets one run now, queued for the next free worker: the current report is submitted to Fireant"
        " and its result is stored. Its scheduled times do not change."
    )
    record = "Run manually"
    form = RunForm

    def refusal_by_state(self, schedule: ReportSchedule) -> str:
        if schedule.state == ScheduleState.DISABLED:
            return gettext("The report is disabled in the project. Enable it there first.")
        return ""

    def effect(self, schedule: ReportSchedule) -> str:
        """Return the consequence if it differs from the usual one."""
        if schedule.state == ScheduleState.QUARANTINED:
            return gettext(
                "has an invalid definition ({cause}), so this run may fail. Correct the report in the project first. "
                "As recorded: {problem}"
            ).format(cause=error_title(schedule.problem_code), problem=schedule.problem)
        if schedule.paused_at:
            return gettext("is paused: this run starts anyway")
        return ""

    def perform(self, schedule: ReportSchedule, confirmed: ConfirmedRequest) -> None:
        """Open one run for each confirmation."""
        run = open_manual_run(
            schedule,
            run_date=confirmed.answers["run_date"],
            requested_by=confirmed.actor,
            runtime=confirmed.runtime,
            reason=confirmed.reason,
            reference=_reference(confirmed.answers["token"], schedule, confirmed.actor),
        )
        confirmed.opened.append(run.pk)


def _reference(token: UUID, schedule: ReportSchedule, actor: str) -> UUID:
    """Return the run's reference, equal for every arrival of the same confirmation. It contains person and report, so
    it cannot be forged.
    """
    return uuid5(NAMESPACE_URL, f"{token}/{schedule.pk}/{actor}")


class Pause(ReportAction):
    """Pause the report's scheduling."""

    name = "pause"
    permission = "pause_reports"
    button = _("Pause")
    submit = ngettext_lazy("Pause {count} report", "Pause {count} reports", "count")
    consequence = _("No scheduled runs are created until someone resumes the reports. Runs in progress continue.")
    done = _("Reports paused: {count}.")
    record = "Paused"

    def consequences(self, runtime: Runtime) -> list[str]:
        """Tell which of the missed times will run."""
        return [*super().consequences(runtime), str(ON_RESUMING[runtime.settings.missed_runs])]

    def refusal_by_state(self, schedule: ReportSchedule) -> str:
        return gettext("The report is already paused.") if schedule.paused_at else ""

    def perform(self, schedule: ReportSchedule, confirmed: ConfirmedRequest) -> None:
        if not pause([schedule.report_key], actor=confirmed.actor, reason=confirmed.reason, runtime=confirmed.runtime):
            raise NotPossibleError(
                f"{schedule} was paused already. Nothing was changed.", code=RefusalCode.PAUSED_ALREADY
            )


class Resume(ReportAction):
    """Resume the report's scheduling."""

    name = "resume"
    permission = "pause_reports"
    button = _("Resume")
    submit = ngettext_lazy("Resume {count} report", "Resume {count} reports", "count")
    consequence = _("Scheduled runs are created again.")
    done = _("Reports resumed: {count}.")
    record = "Resumed"

    def consequences(self, runtime: Runtime) -> list[str]:
        """Tell which of the missed times run now."""
        return [*super().consequences(runtime), str(ON_RESUMING[runtime.settings.missed_runs])]

    def caution(self, schedules: Sequence[ReportSchedule]) -> str:
        """The pause of all reports remains."""
        if not all_are_paused():
            return ""
        return gettext("All reports are paused too: no scheduled runs are created until that pause ends.")

    def refusal_by_state(self, schedule: ReportSchedule) -> str:
        return "" if schedule.paused_at else gettext("The report is not paused.")

    def effect(self, schedule: ReportSchedule) -> str:
        """Return the person and reason of the pause."""
        return gettext("was paused by {person}: {reason}").format(
            person=schedule.paused_by or gettext("someone"), reason=schedule.pause_reason or gettext("no reason given")
        )

    def version_of(self, schedule: ReportSchedule) -> int:
        """Return the time of the pause in microseconds since 1970."""
        return 0 if schedule.paused_at is None else (schedule.paused_at - EPOCH) // MICROSECOND

    def perform(self, schedule: ReportSchedule, confirmed: ConfirmedRequest) -> None:
        """Resume it unless it was paused again since the page was shown."""
        seen = confirmed.seen.get(schedule.pk, 0)
        resumed = (
            schedule.paused_at
            and self.version_of(schedule) == seen
            and resume(
                [schedule.report_key],
                actor=confirmed.actor,
                reason=confirmed.reason,
                runtime=confirmed.runtime,
                paused_at=schedule.paused_at,
            )
        )
        if not resumed:
            raise NotPossibleError(
                f"{schedule} was resumed or paused again since you opened this page. Nothing was changed. Reload it.",
                code=RefusalCode.PAUSED_ANEW,
            )


class Backfill(OpeningAction):
    """Run past times."""

    trigger = Trigger.BACKFILL

    name = "backfill"
    permission = "backfill_reports"
    button = _("Backfill")
    submit = ngettext_lazy("Backfill {count} report", "Backfill {count} reports", "count")
    consequence = _(
        "Opens a run for each scheduled time from the first to the last day that has none yet, at most 1,000 of each "
        "report at once; for more, use the command backfill_reports. Times that come meanwhile run as usual."
    )
    record = "Backfilled"
    form = BackfillForm
    previews_first = True
    at_most = REPORTS_AT_MOST

    def refusal_by_state(self, schedule: ReportSchedule) -> str:
        """Refuse reports without a cron and those that may not run."""
        if schedule.state == ScheduleState.ACTIVE:
            return ""
        return gettext("The report is “{state}”. Only reports with a valid cron can be backfilled.").format(
            state=schedule.get_state_display()
        )

    def preview(self, schedule: ReportSchedule, answers: Mapping[str, Any], runtime: Runtime) -> str:
        """Return the number and range of the times."""
        missing = _planned(schedule, answers, runtime, limit=COUNTED_AT_MOST)
        if not missing:
            return gettext("all times between these days have a run")
        planned, rest = missing[:BACKFILLED_AT_MOST], missing[BACKFILLED_AT_MOST:]
        message = ngettext("one time, {first}", "{count} times, from {first} to {last}", len(planned))
        if rest:
            message = gettext(
                "the first {count} of {total} times, from {first} to {last}. The rest, from {rest} on, is left out: "
                "backfill it afterwards"
            )
        zone = zone_or_default(schedule)
        first, last, after = (
            f"{one.scheduled_for.astimezone(zone):%Y-%m-%d %H:%M %Z}"
            for one in (planned[0], planned[-1], (rest or planned)[0])
        )
        total = capped(len(missing), is_capped=len(missing) == COUNTED_AT_MOST)
        return message.format(count=number(len(planned)), total=total, first=first, last=last, rest=after)

    def preview_all(self, schedules: Sequence[ReportSchedule], answers: Mapping[str, Any], runtime: Runtime) -> str:
        """Return the number of runs of the confirmation."""
        count = sum(len(_planned(schedule, answers, runtime)) for schedule in schedules)
        message = ngettext("This creates one run in total.", "This creates {count} runs in total.", count)
        return message.format(count=number(count))

    def perform(self, schedule: ReportSchedule, confirmed: ConfirmedRequest) -> None:
        planned = _planned(schedule, confirmed.answers, confirmed.runtime)
        created = open_backfill(planned, actor=confirmed.actor, runtime=confirmed.runtime, reason=confirmed.reason)
        confirmed.opened.extend(created.run_ids)
        if not created.runs:
            raise NotPossibleError(
                f"{schedule} has no time left between these days that has not run.", code=RefusalCode.NO_TIME_LEFT
            )


def _planned(
    schedule: ReportSchedule, answers: Mapping[str, Any], runtime: Runtime, *, limit: int = BACKFILLED_AT_MOST
) -> list[Occurrence]:
    days = Days(since=answers["since"], until=answers["until"], now=runtime.clock())
    return plan_backfill([schedule], days, limit=limit)


RUN = Run()
REPORT_ACTIONS: tuple[RowAction[ReportSchedule], ...] = (RUN, Pause(), Resume(), Backfill())
