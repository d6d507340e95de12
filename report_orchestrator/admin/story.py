"""A run told in plain words: what happened, what happens next by itself, and what a person can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.causes import advice_for, cause_in_words
from report_orchestrator.admin.display import elapsed, instant, recorded
from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.models import ReportRun

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

OPENED: Mapping[str, _StrPromise] = {
    Trigger.SCHEDULED: _("Opened at {opened}, because its time {due} had come."),
    Trigger.MANUAL: _("Opened at {opened}, because {person} asked for it."),
    Trigger.BACKFILL: _("Opened at {opened}, because {person} asked for the past time {due}."),
}
REACHED: Mapping[str, _StrPromise] = {
    Status.QUEUED: _("It is ready for the step “{step}”."),
    Status.RUNNING: _("A worker is at the step “{step}”."),
    Status.DEFERRED: _("Fireant has the job and has not finished it."),
    Status.UP_FOR_RETRY: _("The step “{step}” failed in a way that may pass."),
    Status.SUCCEEDED: _("It succeeded at {ended}, and its result is stored."),
    Status.FAILED: _("It failed for good at {ended}, at the step “{step}”."),
    Status.TIMED_OUT: _("Fireant had not finished in time, and the run gave up at {ended}."),
    Status.CANCELED: _("It was canceled at {ended}."),
    Status.SKIPPED: _("It was skipped at {ended} and never ran."),
}
NEXT: Mapping[str, _StrPromise] = {
    Status.QUEUED: _("The next free worker takes it; it has been ready since {wake}."),
    Status.RUNNING: _("The worker goes on. If it falls silent, another takes over after {wake}."),
    Status.DEFERRED: _("Fireant is asked again at {wake}."),
    Status.UP_FOR_RETRY: _("The step “{step}” is tried again at {wake}."),
    Status.SUCCEEDED: _("Nothing: the run is complete."),
    Status.FAILED: _("Nothing: the run stays as it is until a person acts."),
    Status.TIMED_OUT: _("Nothing: the run stays as it is until a person acts."),
    Status.CANCELED: _("Nothing: the run was ended by hand."),
    Status.SKIPPED: _("Nothing for this time; the report goes on with its next one."),
}


def what_happened(run: ReportRun) -> SafeString:
    """How the run was opened, how it went, and where it stands."""
    lines = [_told(OPENED[run.trigger], run), _told(REACHED[run.status], run), *_cause(run), *_incidents(run)]
    return format_html_join("", "<p>{}</p>", ((line,) for line in lines))


def what_happens_next(run: ReportRun) -> SafeString:
    """What the machine does by itself, and when."""
    return _told(NEXT[run.status], run)


def what_to_do(run: ReportRun) -> SafeString:
    """What helps against the cause, or that nobody has to do anything; then the error as it was recorded."""
    warning = _twice(run) if run.possibly_submitted_twice else ""
    lines = format_html_join(
        "", '<p class="ro-text">{}</p>', ((line,) for line in (_advice(run), warning) if line)
    )
    return lines + recorded(run.error) if run.error else lines


def _advice(run: ReportRun) -> str:
    if not run.error:
        return gettext("Nothing.")
    if not run.has_ended:
        return gettext("Nothing: it goes on by itself.")
    return advice_for(run.error_code)


def _twice(run: ReportRun) -> str:
    return gettext(
        "Fireant may have this job twice: a worker was lost while it sent it. Look in Fireant for reference {reference}."
    ).format(reference=run.client_reference)


def _cause(run: ReportRun) -> list[str]:
    if not run.error_code:
        return []
    told = gettext("The cause: {cause}.") if run.has_ended else gettext("The last error: {cause}.")
    return [told.format(cause=cause_in_words(run.error_code))]


def _incidents(run: ReportRun) -> list[str]:
    told = []
    if run.started_at:
        told.append(
            gettext("It took {span} in all.") if run.ended_at else gettext("It has taken {span} so far.")
        )
    if run.polls:
        told.append(ngettext("Fireant was asked once.", "Fireant was asked {polls} times.", run.polls))
    if run.failures:
        told.append(ngettext("This step failed once.", "This step failed {failures} times.", run.failures))
    if run.crashes:
        told.append(
            ngettext(
                "A worker was lost at this step.", "{crashes} workers were lost at this step.", run.crashes
            )
        )
    return [_told(sentence, run) for sentence in told]


def _told(sentence: str | _StrPromise, run: ReportRun) -> SafeString:
    return format_html(
        str(sentence),
        opened=instant(run.created_at),
        due=instant(run.scheduled_for),
        ended=instant(run.ended_at),
        wake=instant(run.wake_at),
        step=run.get_step_display(),
        person=run.triggered_by or gettext("somebody"),
        span=elapsed(run.started_at, run.ended_at),
        polls=run.polls,
        failures=run.failures,
        crashes=run.crashes,
    )
