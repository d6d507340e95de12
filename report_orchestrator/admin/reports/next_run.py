"""Explain whether a report will run next, why, and how to change that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.ui.definitions import late_means
from report_orchestrator.admin.ui.format import Tone, in_english
from report_orchestrator.admin.ui.phrases import away, day_and_clock, error_title, isolated
from report_orchestrator.models import ReportSchedule, ScheduleState
from report_orchestrator.services.monitoring.overdue import decision_due_at, late_before
from report_orchestrator.services.reports.details import ReportDetails

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

INACTIVE: Mapping[ScheduleState, tuple[Tone, _StrPromise, _StrPromise]] = {
    ScheduleState.QUARANTINED: (
        "bad",
        _("Will not run: its definition is invalid."),
        _("Correct it in the project; it then runs again automatically."),
    ),
    ScheduleState.DISABLED: (
        "warn",
        _("Will not run: it is disabled in the project."),
        _("To run it, enable it on its page in the project."),
    ),
    ScheduleState.UNSCHEDULED: (
        "warn",
        _("Will not run automatically: it has no cron."),
        _("Run it manually, or give it a cron in the project."),
    ),
    ScheduleState.REMOVED: ("warn", _("Will not run: it was removed from the project."), _("Its history is kept.")),
}


@dataclass(frozen=True, slots=True)
class NextRun:
    """`headline` says whether the report will run; `details` give the reason and the advice."""

    tone: Tone
    headline: str
    details: tuple[str, ...] = ()


def explain_next_run(report: ReportDetails) -> NextRun:
    """Return the first reason that applies."""
    schedule, pause = report.schedule, report.pause
    if schedule.state != ScheduleState.ACTIVE:
        return _inactive(schedule)
    if schedule.paused_at is not None:
        headline = gettext("Will not run: {person} paused it {ago}.").format(
            person=isolated(schedule.paused_by) or gettext("someone"), ago=away(schedule.paused_at, report.now)
        )
        return _paused(headline, schedule.pause_reason, report)
    if pause is not None:
        headline = gettext("Will not run: {person} paused all reports.").format(
            person=isolated(pause.by) or gettext("someone")
        )
        return _paused(headline, pause.reason, report)
    if schedule.next_run_at is None:
        advice = gettext("Run discover_reports to compute it from the cron.")
        return NextRun("bad", gettext("Will not run: its next time is missing."), (advice,))
    if not schedule.is_live_at(schedule.next_run_at, unless_switched=not report.settings.shadow):
        return _in_shadow(schedule.next_run_at, report)
    return _scheduled(schedule.next_run_at, report)


def _in_shadow(due: datetime, report: ReportDetails) -> NextRun:
    kept = gettext("At {instant} its payload is built and kept, and no job is submitted.")
    advice = gettext("To run it here: manage.py switch_reports live {key}")
    details = (kept.format(instant=day_and_clock(due, report.now)), advice.format(key=report.schedule.report_key))
    return NextRun("warn", gettext("Will not run here: it is in shadow, and another system runs it."), details)


def _inactive(schedule: ReportSchedule) -> NextRun:
    tone, headline, advice = INACTIVE[ScheduleState(schedule.state)]
    if schedule.state != ScheduleState.QUARANTINED:
        return NextRun(tone, str(headline), (str(advice),))
    title = gettext("Cannot run: {cause}.").format(cause=error_title(schedule.problem_code))
    # As it was recorded, it names the value to correct.
    problem = [format_html("{} {}", gettext("As recorded:"), in_english(schedule.problem))] if schedule.problem else []
    return NextRun(tone, title if schedule.problem_code else str(headline), (*problem, str(advice)))


def _paused(headline: str, reason: str, report: ReportDetails) -> NextRun:
    resume_texts = {
        "latest": gettext("On resume, only the latest missed time runs."),
        "all": gettext("On resume, all missed times run."),
        "none": gettext("On resume, no missed time runs."),
    }
    details = [resume_texts[report.settings.missed_runs]]
    if reason:
        details.insert(0, gettext("Reason: {reason}").format(reason=isolated(reason)))
    return NextRun("warn", headline, tuple(details))


def _scheduled(due: datetime, report: ReportDetails) -> NextRun:
    now, time = report.now, day_and_clock(due, report.now)
    if due < late_before(now, report.settings):
        headline = gettext("Overdue since {instant}, {ago}: no run was created.")
        advice = gettext("Check that qcluster is running. The dashboard shows its health.")
        return NextRun("bad", headline.format(instant=time, ago=away(due, now)), (advice, late_means(report.settings)))
    if not report.scheduler.is_active(now):
        headline = gettext("Due at {instant}, but the scheduler is not running.")
        advice = gettext("Start qcluster. Without it, no runs are created.")
        return NextRun("bad", headline.format(instant=time), (advice,))
    window = decision_due_at(due, report.settings)
    if due <= now < window:
        headline = gettext("Due at {instant}. The window at {window} creates its run.")
        headline = headline.format(instant=time, window=day_and_clock(window, now))
    elif due <= now:
        headline = gettext("Due now. The next tick creates its run.")
    else:
        headline = gettext("Next run at {instant}, {when}.").format(instant=time, when=away(due, now))
    return NextRun("good", headline, _overlap(report))


def _overlap(report: ReportDetails) -> tuple[str, ...]:
    """Explain how the next run is treated if the previous one has not ended by then."""
    if report.unfinished_run_id is None:
        return ()
    texts = {
        "skip": gettext("Run {run} is in progress. If it has not ended by then, that time is skipped."),
        "queue": gettext("Run {run} is in progress. If it has not ended by then, the next run waits for it."),
        "allow": gettext("Run {run} is in progress. The next run starts in parallel."),
    }
    return (texts[report.schedule.overlap or report.settings.overlap].format(run=report.unfinished_run_id),)
