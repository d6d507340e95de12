"""The actions on runs: retry, release, cancel."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext, ngettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.actions.base import ConfirmedRequest, Question, Target
from report_orchestrator.admin.actions.rows import RowAction
from report_orchestrator.admin.ui.phrases import error_advice, error_title, isolated, number
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.runs import RETRYABLE_BY_PERSON, Step, resume_step
from report_orchestrator.models import ReportRun, RunPayload
from report_orchestrator.models.runs import STATUS_LABELS, STEP_LABELS
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.operator_actions import cancel_fingerprint, cancel_run, remaining_cause, retry_run

STATUS_WORDS = {status.value: label for status, label in STATUS_LABELS.items()}
ON_HOLD = ErrorCode.SUBMISSION_UNKNOWN


def is_on_hold(run: ReportRun) -> bool:
    """Return True if the run waits for a person to allow its submission again."""
    return run.status in RETRYABLE_BY_PERSON and run.error_code == ON_HOLD


def status_label(status: str) -> str:
    """Return a status in words; faster than Django's own way, for thousands of runs."""
    return str(STATUS_WORDS.get(status, status))


def _resume_label(run: ReportRun) -> str:
    return str(STEP_LABELS[resume_step(Step(run.step), run.error_code)])


def _remaining_cause(run: ReportRun) -> str:
    return remaining_cause(run, has_payload=getattr(run, "has_payload", True))


def _warning(run: ReportRun) -> str:
    """Return the rest of the effect's sentence if a retry fails again."""
    cause = _remaining_cause(run)
    return gettext("; will fail again: {cause}").format(cause=error_title(cause)) if cause else ""


class Retry(RowAction[ReportRun]):
    """Retry a run from the step that failed, or from the first if it needs a new job."""

    name = "retry"
    permission = "retry_runs"
    button = _("Retry")
    submit = ngettext_lazy("Retry {count} run", "Retry {count} runs", "count")
    consequence = _(
        "Each run continues at the step named here: the one that failed or, if Fireant's job is of no further use, the first."
    )
    done = _("Runs retried: {count}.")
    record = "Retried"

    def ask(self, target: Target[ReportRun], answers: Mapping[str, Any] | None, runtime: Runtime) -> Question:
        """Read with each run whether its cause remains."""
        has_payload = Exists(RunPayload.objects.filter(run=OuterRef("pk")))
        rows = target.rows.select_related("schedule").annotate(has_payload=has_payload)
        return super().ask(replace(target, rows=rows), answers, runtime)

    def consequences(self, runtime: Runtime) -> list[str]:
        """Tell how often each step may be tried again."""
        tries = runtime.settings.max_retries + 1
        again = ngettext("Each step may again be tried once.", "Each step may again be tried {count} times.", tries)
        return [*super().consequences(runtime), again.format(count=tries)]

    def caution(self, runs: Sequence[ReportRun]) -> str:
        """Count the runs that will fail again."""
        causes = [cause for run in runs if (cause := _remaining_cause(run))]
        if not causes:
            return ""
        if len(runs) == 1:
            text = gettext("This will fail again. The cause remains: {cause}. {advice}")
            return text.format(cause=error_title(causes[0]), advice=error_advice(causes[0]))
        text = ngettext(
            "{count} of these runs will fail again, as its cause remains.",
            "{count} of these runs will fail again, as their causes remain.",
            len(causes),
        )
        return text.format(count=number(len(causes)))

    def refusal(self, run: ReportRun) -> str:
        if run.status in RETRYABLE_BY_PERSON:
            return ""
        return gettext("The run is “{status}”. Only runs that failed or timed out can be retried.").format(
            status=status_label(run.status)
        )

    def label(self, run: ReportRun) -> str:
        return gettext("Retry from “{step}”").format(step=_resume_label(run))

    def effect(self, run: ReportRun) -> str:
        """Return the step at which it continues."""
        if is_on_hold(run):
            text = gettext("is sent to Fireant again, under the reference {reference}")
            return text.format(reference=isolated(run.client_reference))
        step = resume_step(Step(run.step), run.error_code)
        if step != run.step:
            text = gettext("starts over at the step “{step}” and submits a new job")
        else:
            text = gettext("continues at the step “{step}”")
        return f"{text.format(step=_resume_label(run))}{_warning(run)}"

    def version_of(self, run: ReportRun) -> int:
        """Return the version: every write to a failed run matters."""
        return run.version

    def perform(self, run: ReportRun, confirmed: ConfirmedRequest) -> None:
        """Queue the run again, unless it has changed since the page was shown."""
        version = confirmed.seen.get(run.pk)
        retry_run(run.pk, actor=confirmed.actor, runtime=confirmed.runtime, reason=confirmed.reason, version=version)


class Release(Retry):
    """Release a run on hold, by the same service as a retry."""

    name = "release"
    button = _("Release")
    submit = ngettext_lazy("Release {count} run on hold", "Release {count} runs on hold", "count")
    consequence = _(
        "Their submissions got no response, so their jobs may exist. Check Fireant first. Releasing submits them "
        "again under the same reference, by which Fireant recognizes a repeated submission."
    )
    done = _("Runs released: {count}.")
    record = "Released"

    def label(self, run: ReportRun) -> str:
        return str(self.button)

    def refusal(self, run: ReportRun) -> str:
        return "" if is_on_hold(run) else gettext("The run is not on hold.")


class Cancel(RowAction[ReportRun]):
    """Cancel a run permanently."""

    name = "cancel"
    permission = "cancel_runs"
    button = _("Cancel the run")
    submit = ngettext_lazy("Cancel {count} run", "Cancel {count} runs", "count")
    consequence = _(
        "Each run ends now and cannot be retried. Workers stop working on it. Fireant cannot cancel jobs: a submitted "
        "job continues there, and its result is not downloaded."
    )
    done = _("Runs canceled: {count}.")
    record = "Canceled"
    is_destructive = True

    def refusal(self, run: ReportRun) -> str:
        if not run.has_ended:
            return ""
        return gettext("The run has already ended: “{status}”.").format(status=status_label(run.status))

    def effect(self, run: ReportRun) -> str:
        """Return the run's step and its Fireant job."""
        if run.fireant_job_id:
            return gettext("ends; its job {job} continues in Fireant").format(job=isolated(run.fireant_job_id))
        return gettext("ends at the step “{step}”").format(step=run.get_step_display())

    def version_of(self, run: ReportRun) -> int:
        """Return a fingerprint of the effect: an unfinished run is written often, and may be canceled all the same."""
        return cancel_fingerprint(run)

    def perform(self, run: ReportRun, confirmed: ConfirmedRequest) -> None:
        """Cancel the run unless its step or job has changed since the page was shown."""
        seen = confirmed.seen.get(run.pk)
        cancel_run(run.pk, actor=confirmed.actor, runtime=confirmed.runtime, reason=confirmed.reason, fingerprint=seen)


RUN_ACTIONS: tuple[RowAction[ReportRun], ...] = (Retry(), Release(), Cancel())
