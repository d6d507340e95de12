"""A run in sentences: its history, its next step, and the advice for its error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.ui.expected import end_lines, place_lines
from report_orchestrator.admin.ui.format import elapsed, instant, recorded, run_duration
from report_orchestrator.admin.ui.phrases import error_advice, error_title, isolated
from report_orchestrator.domain.runs import Status, Step, Trigger
from report_orchestrator.models import ReportRun
from report_orchestrator.services.reports.expected_end import expected_end, fireant_progress, place_in_line
from report_orchestrator.services.reports.run_history import recent_runs
from report_orchestrator.wiring import get_ports

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

CREATED: Mapping[str, _StrPromise] = {
    Trigger.SCHEDULED: _("Created at {created} for its scheduled time, {due}."),
    Trigger.MANUAL: _("Created at {created}: {person} started it manually."),
    Trigger.BACKFILL: _("Created at {created}: {person} backfilled {due}."),
    Trigger.SHADOW: _("Created at {created} for its scheduled time, {due}, which another system serves."),
}
CURRENT: Mapping[str, _StrPromise] = {
    Status.QUEUED: _("Ready for the step “{step}”."),
    Status.RUNNING: _("A worker is running the step “{step}”."),
    Status.DEFERRED: _("Fireant has the job and has not finished it."),
    Status.UP_FOR_RETRY: _("The step “{step}” failed with a temporary error."),
    Status.SUCCEEDED: _("Succeeded at {ended}. The result is stored."),
    Status.FAILED: _("Failed permanently at {ended}, at the step “{step}”."),
    Status.TIMED_OUT: _("Timed out at {ended}: Fireant did not finish the job in time."),
    Status.CANCELED: _("Canceled at {ended}."),
    Status.SKIPPED: _("Skipped at {ended}; no job was submitted."),
}
NEXT: Mapping[str, _StrPromise] = {
    Status.QUEUED: _("The next free worker starts it. It has been ready since {wake}."),
    Status.RUNNING: _("The worker continues. If it stops responding, another one takes over after {wake}."),
    Status.DEFERRED: _("Fireant is polled again at {wake}."),
    Status.UP_FOR_RETRY: _("The step “{step}” is retried at {wake}."),
    Status.SUCCEEDED: _("Nothing. The run is complete."),
    Status.FAILED: _("Nothing, until someone takes action."),
    Status.TIMED_OUT: _("Nothing, until someone takes action."),
    Status.CANCELED: _("Nothing. Someone canceled the run."),
    Status.SKIPPED: _("Nothing for this time. The report continues with its next scheduled time."),
}


def describe_history(run: ReportRun) -> SafeString:
    lines = [fill(CREATED[run.trigger], run), fill(CURRENT[run.status], run)]
    if run.error_code:
        text = gettext("Cause: {cause}.") if run.has_ended else gettext("Last error: {cause}.")
        lines.append(format_html(text, cause=error_title(run.error_code)))
    lines += (fill(text, run) for text in _counts(run))
    return format_html_join("", "<p>{}</p>", ((line,) for line in lines))


def describe_next(run: ReportRun) -> SafeString:
    """Return the next step; of a run that has not ended also its expected end, or its place in line."""
    now = get_ports().clock()
    lines: list[SafeString | str] = [fill(NEXT[run.status], run)]
    if line := place_in_line(run, now):
        lines += place_lines(line, now)
    elif not run.has_ended and (expected := expected_end(run, recent_runs(run.schedule_id), now)):
        lines += end_lines(expected, _progress(run), now)
    return format_html_join("", "<p>{}</p>", ((line,) for line in lines))


def _progress(run: ReportRun) -> float | None:
    if run.step != Step.JOB_COMPLETION_STATUS:
        return None
    return fireant_progress(run.steps.filter(step=run.step).order_by("-pk").values_list("metadata", flat=True).first())


def describe_advice(run: ReportRun) -> SafeString:
    """Advice for the run's error code, followed by the error as it was recorded."""
    warning = ""
    if run.possibly_submitted_twice:
        warning = gettext(
            "Fireant may have this job twice, because a worker was lost while submitting it. "
            "Search Fireant for reference {reference}."
        ).format(reference=isolated(run.client_reference))
    lines = format_html_join("", '<p class="ro-text">{}</p>', ((line,) for line in (_advice(run), warning) if line))
    return lines + recorded(run.error) if run.error else lines


def _advice(run: ReportRun) -> str:
    if not run.error:
        return gettext("Nothing to do.")
    if not run.has_ended:
        return gettext("Nothing to do: the run continues automatically.")
    return error_advice(run.error_code)


def _counts(run: ReportRun) -> Iterator[str]:
    if run.retried_at:
        yield (
            gettext("Duration: {span} since it was retried at {retried}. First tried at {started}.")
            if run.ended_at
            else gettext("Created {age} ago, retried {span} ago.")
        )
    elif run.started_at:
        yield gettext("Duration: {span}.") if run.ended_at else gettext("Duration so far: {span}.")
    if run.polls:
        yield ngettext("Fireant was polled once.", "Fireant was polled {polls} times.", run.polls)
    if run.failures:
        yield ngettext("This step failed once.", "This step failed {failures} times.", run.failures)
    if run.crashes:
        yield ngettext("A worker was lost at this step.", "{crashes} workers were lost at this step.", run.crashes)


def fill(sentence: str | _StrPromise, run: ReportRun) -> SafeString:
    return format_html(
        str(sentence),
        created=instant(run.created_at),
        due=instant(run.scheduled_for),
        ended=instant(run.ended_at),
        wake=instant(run.wake_at),
        started=instant(run.started_at),
        retried=instant(run.retried_at),
        age=elapsed(run.created_at, None),
        step=run.get_step_display(),
        person=isolated(run.triggered_by) or gettext("someone"),
        span=run_duration(run),
        polls=run.polls,
        failures=run.failures,
        crashes=run.crashes,
    )
