"""Why a report will or will not run next, in plain words, and what a person can do."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext

from report_orchestrator.admin.causes import cause_in_words
from report_orchestrator.admin.display import Tone
from report_orchestrator.admin.words import away, day_and_clock
from report_orchestrator.models import ReportSchedule, ScheduleState
from report_orchestrator.services.reading.forecast import patience
from report_orchestrator.services.reading.report import ReportStory
from report_orchestrator.services.reading.vitals import Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The first sentence says whether; the others why, and what to do."""

    tone: Tone
    first: str
    more: tuple[str, ...] = ()


def answer(story: ReportStory) -> Answer:
    """The first of all reasons that holds."""
    schedule = story.schedule
    if schedule.state != ScheduleState.ACTIVE:
        return _not_active(schedule)
    if schedule.paused_at is not None:
        return _paused(schedule, story)
    if story.pause is not None:
        return _all_paused(story.pause, story)
    if schedule.next_run_at is None:
        return Answer(
            tone="bad",
            first=gettext("It will not run: no next time is known."),
            more=(gettext("Run discover_reports, which works it out from its cron."),),
        )
    return _due(story)


def _not_active(schedule: ReportSchedule) -> Answer:
    match schedule.state:
        case ScheduleState.QUARANTINED:
            return Answer(
                tone="bad",
                first=gettext("It will not run: as it is defined, it cannot."),
                more=(
                    *_problem(schedule),
                    gettext("Once it is corrected in the project, it runs again by itself."),
                ),
            )
        case ScheduleState.DISABLED:
            return Answer(
                tone="warn",
                first=gettext("It will not run: it is disabled in the project."),
                more=(gettext("Enable it on its own page there, if it should run."),),
            )
        case ScheduleState.UNSCHEDULED:
            return Answer(
                tone="warn",
                first=gettext("It will not run by itself: it has no cron."),
                more=(gettext("A person can run it by hand, or give it a cron in the project."),),
            )
        case _:
            return Answer(
                tone="warn",
                first=gettext("It will not run: the project no longer has it."),
                more=(gettext("Its history stays."),),
            )


def _problem(schedule: ReportSchedule) -> list[str]:
    """The cause in the reader's words, and the record of it, which names what to correct."""
    told = []
    if schedule.problem_code:
        told.append(gettext("The cause: {cause}.").format(cause=cause_in_words(schedule.problem_code)))
    if schedule.problem:
        told.append(" ".join((gettext("As recorded:"), schedule.problem)))
    return told


def _paused(schedule: ReportSchedule, story: ReportStory) -> Answer:
    by = schedule.paused_by or gettext("somebody")
    since = schedule.paused_at or story.now
    return Answer(
        tone="warn",
        first=gettext("It will not run: {person} paused it {ago}.").format(
            person=by, ago=away(since, story.now)
        ),
        more=tuple(line for line in (_reason(schedule.pause_reason), _when_resumed(story)) if line),
    )


def _all_paused(pause: Pause, story: ReportStory) -> Answer:
    by = pause.actor or gettext("somebody")
    return Answer(
        tone="warn",
        first=gettext("It will not run: {person} paused all reports.").format(person=by),
        more=tuple(line for line in (_reason(pause.reason), _when_resumed(story)) if line),
    )


def _reason(reason: str) -> str:
    return gettext("The reason given: {reason}").format(reason=reason) if reason else ""


def _when_resumed(story: ReportStory) -> str:
    told = {
        "latest": gettext("When it is resumed, the latest of the times that were missed runs."),
        "all": gettext("When it is resumed, all times that were missed run."),
        "none": gettext("When it is resumed, none of the times that were missed runs."),
    }
    return told[story.settings.missed_runs]


def _due(story: ReportStory) -> Answer:
    due = story.schedule.next_run_at or story.now
    if due < story.now - patience(story.settings):
        return Answer(
            tone="bad",
            first=gettext(
                "It is overdue since {instant}, {ago}: its time came and nobody opened a run."
            ).format(instant=day_and_clock(due, story.now), ago=away(due, story.now)),
            more=(gettext("Look whether qcluster runs; the dashboard tells of scheduler and workers."),),
        )
    if not story.scheduler.is_well(story.now):
        return Answer(
            tone="bad",
            first=gettext("It is due at {instant}, but no scheduler is at work.").format(
                instant=day_and_clock(due, story.now)
            ),
            more=(gettext("Start qcluster: nobody decides what is due."),),
        )
    return Answer(tone="good", first=_will_run(story), more=_but(story))


def _will_run(story: ReportStory) -> str:
    due = story.schedule.next_run_at or story.now
    if due <= story.now:
        return gettext("It is due now: the next tick opens its run.")
    return gettext("It runs next at {instant}, {when}.").format(
        instant=day_and_clock(due, story.now), when=away(due, story.now)
    )


def _but(story: ReportStory) -> tuple[str, ...]:
    """What happens if its last run is still under way by then."""
    if story.live is None:
        return ()
    overlap = story.schedule.overlap or story.settings.overlap
    told = {
        "skip": gettext("Run {run} has not ended. If it has not by then, that time is skipped and recorded."),
        "queue": gettext("Run {run} has not ended. If it has not by then, the next one waits behind it."),
        "allow": gettext("Run {run} has not ended. The next one starts beside it."),
    }
    return (told[overlap].format(run=story.live),)
