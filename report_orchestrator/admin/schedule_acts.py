"""What people do to reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.act_forms import BackfillForm, RunForm
from report_orchestrator.admin.acts import Act, Asked
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import ReportSchedule, ScheduleState
from report_orchestrator.ports import Ports
from report_orchestrator.services.backfill import Occurrence, open_backfill, plan_backfill, span_of_days
from report_orchestrator.services.opening import open_manual_run
from report_orchestrator.services.pausing import all_are_paused, pause, resume
from report_orchestrator.wiring import get_ports

BACKFILLED_AT_MOST = 1000
"""Times of one report in one go. The command paces itself, and is for more."""
REPORTS_AT_MOST = 50
"""Reports of one backfill: so many that their times can be counted before they are opened."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta.resolution


class ScheduleAct(Act[ReportSchedule]):
    """Of reports that the project's report model has. Rows of a former one are history: their keys may name others now."""

    def refusal(self, schedule: ReportSchedule) -> str:
        """First by the report's own state, then by its model."""
        why = self.refusal_by_state(schedule)
        if why or schedule.report_model == get_ports().reports.label:
            return why
        return gettext(
            "The report belongs to “{model}”, which the setting REPORT_MODEL no longer names."
        ).format(model=schedule.report_model)

    def refusal_by_state(self, schedule: ReportSchedule) -> str:
        """Why the report's state forbids it; empty where it does not."""
        raise NotImplementedError


class Run(ScheduleAct):
    """By hand, now."""

    name = "run"
    permission = "run_reports"
    button = _("Run now")
    question = _("Run {count} {things} now?")
    consequence = _(
        "Each gets a run of its own, queued for the next free worker, whatever its cron: the report is read as it is now, "
        "submitted to Fireant, and its result is stored. Its regular times stay as they are."
    )
    done = _("Runs opened: {count}.")
    record = "Run by hand"
    form = RunForm

    def refusal_by_state(self, schedule: ReportSchedule) -> str:
        """The host says which of its reports may run."""
        if schedule.state == ScheduleState.REMOVED:
            return gettext("The report is no longer in the project.")
        if schedule.state == ScheduleState.DISABLED:
            return gettext("The report is disabled in the project. Enable it there first.")
        return ""

    def effect(self, schedule: ReportSchedule) -> str:
        """What is different about this one."""
        if schedule.state == ScheduleState.QUARANTINED:
            return gettext("cannot run as it is defined: its run will say what is wrong")
        if schedule.paused_at:
            return gettext("is paused: this run goes ahead all the same")
        return ""

    def do(self, schedule: ReportSchedule, asked: Asked) -> None:
        """Opens its run, once for each confirmation."""
        open_manual_run(
            schedule,
            run_date=asked.answers["run_date"],
            asked_by=asked.actor,
            ports=asked.ports,
            reason=asked.reason,
            reference=_reference(asked.answers["token"], schedule, asked.actor),
        )


def _reference(token: UUID, schedule: ReportSchedule, actor: str) -> UUID:
    """The run's name, the same however often the confirmation arrives. Nobody can choose it: person and report are part of it."""
    return uuid5(NAMESPACE_URL, f"{token}/{schedule.pk}/{actor}")


class Pause(ScheduleAct):
    """Of the scheduling."""

    name = "pause"
    permission = "pause_reports"
    button = _("Pause")
    question = _("Pause {count} {things}?")
    consequence = _(
        "Their times open no runs until somebody resumes them. Runs that are under way go on. The times that come meanwhile "
        "are decided on resuming, by the setting MISSED_RUNS."
    )
    done = _("Reports paused: {count}.")
    record = "Paused"

    def refusal_by_state(self, schedule: ReportSchedule) -> str:
        """What is paused or gone cannot be paused."""
        if schedule.state == ScheduleState.REMOVED:
            return gettext("The report is no longer in the project.")
        return gettext("The report is paused already.") if schedule.paused_at else ""

    def do(self, schedule: ReportSchedule, asked: Asked) -> None:
        """Pauses it."""
        if not pause([schedule.report_key], actor=asked.actor, reason=asked.reason, ports=asked.ports):
            raise NotPossibleError(
                f"{schedule} was paused already. Nothing was changed.", code="paused_already"
            )


class Resume(ScheduleAct):
    """Of the scheduling."""

    name = "resume"
    permission = "pause_reports"
    button = _("Resume")
    question = _("Resume {count} {things}?")
    consequence = _(
        "Their times open runs again. The times that came meanwhile are decided by the setting MISSED_RUNS."
    )
    done = _("Reports resumed: {count}.")
    record = "Resumed"

    def caution(self) -> str:
        """The pause of all reports outlasts this."""
        if not all_are_paused():
            return ""
        return gettext("All reports are paused as well: no time opens a run until that is lifted, too.")

    def refusal_by_state(self, schedule: ReportSchedule) -> str:
        """Only what is paused can be resumed."""
        return "" if schedule.paused_at else gettext("The report is not paused.")

    def effect(self, schedule: ReportSchedule) -> str:
        """Who paused it, and why."""
        return gettext("was paused by {person}: {reason}").format(
            person=schedule.paused_by or gettext("somebody"),
            reason=schedule.pause_reason or gettext("no reason given"),
        )

    def version_of(self, schedule: ReportSchedule) -> int:
        """Which pause it is: microseconds since 1970."""
        return 0 if schedule.paused_at is None else (schedule.paused_at - EPOCH) // MICROSECOND

    def do(self, schedule: ReportSchedule, asked: Asked) -> None:
        """Resumes it, unless it was paused anew since it was seen."""
        seen = asked.seen.get(schedule.pk, 0)
        resumed = (
            schedule.paused_at
            and self.version_of(schedule) == seen
            and resume(
                [schedule.report_key],
                actor=asked.actor,
                reason=asked.reason,
                ports=asked.ports,
                paused_at=schedule.paused_at,
            )
        )
        if not resumed:
            raise NotPossibleError(
                f"{schedule} was resumed or paused anew since you looked at it. Nothing was changed. Look at it again.",
                code="paused_anew",
            )


class Backfill(ScheduleAct):
    """Of times that have passed."""

    name = "backfill"
    permission = "backfill_reports"
    button = _("Backfill")
    question = _("Backfill {count} {things}?")
    consequence = _(
        "Every time between the two days that a report's cron names, and that has not run, gets a run now, the last day "
        "included. Times that have a run already are left alone. At most 1,000 times of each report are opened at once: "
        "the command backfill_reports is for more, and paces itself."
    )
    done = _("Reports backfilled: {count}.")
    record = "Backfilled"
    form = BackfillForm
    looks_first = True
    at_most = REPORTS_AT_MOST

    def refusal_by_state(self, schedule: ReportSchedule) -> str:
        """Without a cron there are no times, and what may not run is not run."""
        if schedule.state == ScheduleState.ACTIVE:
            return ""
        return gettext("The report is “{state}”. Only reports with a valid cron can be backfilled.").format(
            state=schedule.get_state_display()
        )

    def foreseen(self, schedule: ReportSchedule, answers: Mapping[str, Any], ports: Ports) -> str:
        """How many times, and which."""
        planned = _planned(schedule, answers, ports)
        if not planned:
            return gettext("no time is left between these days that has not run")
        told = ngettext("one time, {first}", "{count} times, from {first} to {last}", len(planned))
        zone = timezone.get_default_timezone()
        first, last = (
            f"{one.nominal.astimezone(zone):%Y-%m-%d %H:%M %Z}" for one in (planned[0], planned[-1])
        )
        return told.format(count=len(planned), first=first, last=last)

    def foreseen_in_all(
        self, schedules: Sequence[ReportSchedule], answers: Mapping[str, Any], ports: Ports
    ) -> str:
        """How many runs one confirmation opens."""
        count = sum(len(_planned(schedule, answers, ports)) for schedule in schedules)
        told = ngettext("This opens one run in all.", "This opens {count} runs in all.", count)
        return told.format(count=number_format(count, force_grouping=True))

    def do(self, schedule: ReportSchedule, asked: Asked) -> None:
        """Opens its times."""
        planned = _planned(schedule, asked.answers, asked.ports)
        if not open_backfill(planned, actor=asked.actor, ports=asked.ports, reason=asked.reason).runs:
            raise NotPossibleError(
                f"{schedule} has no time left between these days that has not run.", code="no_time_left"
            )


def _planned(schedule: ReportSchedule, answers: Mapping[str, Any], ports: Ports) -> list[Occurrence]:
    since, until = span_of_days(answers["since"], answers["until"], now=ports.clock())
    return plan_backfill([schedule], since=since, until=until, limit=BACKFILLED_AT_MOST)


SCHEDULE_ACTS: tuple[Act[ReportSchedule], ...] = (Run(), Pause(), Resume(), Backfill())
