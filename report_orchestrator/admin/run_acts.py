"""What people do to runs."""

from __future__ import annotations

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.acts import Act, Asked
from report_orchestrator.domain.runs import RETRYABLE_BY_PERSON, Step, resumes_at
from report_orchestrator.models import ReportRun
from report_orchestrator.models.runs import STATUS_LABELS, STEP_LABELS
from report_orchestrator.services.intervention import cancel_run, retry_run, standing

STATUS_WORDS = {status.value: label for status, label in STATUS_LABELS.items()}
ON_HOLD = "submission_unknown"


def is_on_hold(run: ReportRun) -> bool:
    """Whether the run waits for a person to say that its submission may be sent again."""
    return run.status in RETRYABLE_BY_PERSON and run.error_code == ON_HOLD


def word_for(status: str) -> str:
    """A status in words. Django's own way to it is too slow to be asked for thousands of runs."""
    return str(STATUS_WORDS.get(status, status))


class Retry(Act[ReportRun]):
    """From the step that failed."""

    name = "retry"
    permission = "retry_runs"
    button = _("Retry from the failed step")
    question = _("Retry {count} {things}?")
    consequence = _(
        "Each goes on from the step that failed, with all its attempts anew. Steps that were completed are not repeated. "
        "After a failed Fireant job the report is read again, and a new job is submitted."
    )
    done = _("Runs retried: {count}.")
    record = "Retried"

    def refusal(self, run: ReportRun) -> str:
        """Only what failed or timed out can be retried."""
        if run.status in RETRYABLE_BY_PERSON:
            return ""
        return gettext("The run is “{status}”. Only runs that failed or timed out can be retried.").format(
            status=word_for(run.status)
        )

    def effect(self, run: ReportRun) -> str:
        """Where it goes on."""
        step = resumes_at(Step(run.step), run.error_code)
        told = gettext("goes on at the step “{step}”").format(step=STEP_LABELS[step])
        if is_on_hold(run):
            told = gettext("is sent to Fireant again, under the reference {reference}").format(
                reference=run.client_reference
            )
        return told

    def version_of(self, run: ReportRun) -> int:
        """Every write to a run that has failed is somebody's."""
        return run.version

    def do(self, run: ReportRun, asked: Asked) -> None:
        """Queues it anew, unless it has moved on since it was seen."""
        version = asked.seen.get(run.pk)
        retry_run(run.pk, actor=asked.actor, ports=asked.ports, reason=asked.reason, version=version)


class Release(Retry):
    """Of a run on hold: the same service, said as what it is."""

    name = "release"
    button = _("Release")
    question = _("Release {count} {things} on hold?")
    consequence = _(
        "They were sent to Fireant and no answer came, so their jobs may exist. Look in Fireant first. Releasing sends them "
        "again under the same reference, which Fireant knows a repetition by."
    )
    done = _("Runs released: {count}.")
    record = "Released"

    def refusal(self, run: ReportRun) -> str:
        """Only what is on hold can be released."""
        return "" if is_on_hold(run) else gettext("The run is not on hold.")


class Cancel(Act[ReportRun]):
    """For good."""

    name = "cancel"
    permission = "cancel_runs"
    button = _("Cancel the run")
    question = _("Cancel {count} {things}?")
    consequence = _(
        "Each ends now, and cannot be retried afterwards. A worker that is busy with one drops it. Fireant has no way to "
        "cancel: a job that was submitted goes on there, and its result is not fetched."
    )
    done = _("Runs canceled: {count}.")
    record = "Canceled"
    is_grave = True

    def refusal(self, run: ReportRun) -> str:
        """Only what has not ended can be canceled."""
        if not run.has_ended:
            return ""
        return gettext("The run has ended already: “{status}”.").format(status=word_for(run.status))

    def effect(self, run: ReportRun) -> str:
        """Where it stands, and what Fireant has of it."""
        if run.fireant_job_id:
            return gettext("ends; its job {job} goes on in Fireant").format(job=run.fireant_job_id)
        return gettext("ends at the step “{step}”").format(step=run.get_step_display())

    def version_of(self, run: ReportRun) -> int:
        """What the effect speaks of: a run under way is written all the time, and may be canceled all the same."""
        return standing(run)

    def do(self, run: ReportRun, asked: Asked) -> None:
        """Ends it, unless it stands elsewhere, or has another job, than was seen."""
        seen = asked.seen.get(run.pk)
        cancel_run(run.pk, actor=asked.actor, ports=asked.ports, reason=asked.reason, seen=seen)


RUN_ACTS: tuple[Act[ReportRun], ...] = (Retry(), Release(), Cancel())
