"""What a person may do to a run: retry it from where it failed, cancel it, and so release what is on hold."""

from __future__ import annotations

import zlib

from django.db import OperationalError, transaction
from django.db.models import Max

from report_orchestrator.domain.runs import RETRYABLE_BY_PERSON, Status, Step, StepResult, resumes_at
from report_orchestrator.exceptions import LeaseLostError, NotPossibleError
from report_orchestrator.models import InterventionKind, ReportRun, RunStep
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database, run_event
from report_orchestrator.services.recording import record

TRIES = 5
"""How often a cancellation is tried against a worker that keeps writing."""


def retry_run(
    run_id: int, *, actor: str, ports: Ports, reason: str = "", version: int | None = None
) -> ReportRun:
    """Has a failed or timed-out run go on from the step that failed, with all its attempts and polls anew.

    A run on hold is released by this: its submission is sent again under the same reference. Whoever decided by what they
    saw gives the run's `version` of then: a run that was written since is left alone.

    Raises:
        NotPossibleError: there is no such run, it has not failed, or it is not at `version` any more.
    """
    with transaction.atomic(using=database()):
        run = _get(run_id)
        if version is not None and run.version != version:
            raise NotPossibleError(_moved_on(run, run.status), code="moved_on")
        if run.status not in RETRYABLE_BY_PERSON:
            raise NotPossibleError(
                f"{run} is {run.status}, so there is nothing to retry. Start a new one with run_report {run.report_key}.",
                code="nothing_to_retry",
            )
        _requeue(run, ports)
        _record(run, InterventionKind.RETRIED, actor, reason, ports)
        ports.queue.ring([run.pk])
    return run


def _requeue(run: ReportRun, ports: Ports) -> None:
    step = resumes_at(Step(run.step), run.error_code)
    held = run.error_code == "submission_unknown"
    anew = step is Step.REPORT_DATA and run.step != step
    made = RunStep.objects.filter(run=run, step=step).aggregate(last=Max("attempt"))["last"]
    try:
        run.write(
            status=Status.QUEUED.value,
            step=step.value,
            wake_at=ports.clock(),
            ended_at=None,
            attempt=made or 0,
            failures=0,
            crashes=0,
            polls=0,
            error_code="",
            error="",
            submission=run.submission + anew,
            fireant_job_id="" if anew else run.fireant_job_id,
            fireant_status="" if anew else run.fireant_status,
            # What was noted of the earlier job's result is not what the next one's will be.
            results_path="" if anew else run.results_path,
            result_size=None if anew else run.result_size,
            result_sha256="" if anew else run.result_sha256,
            result_etag="" if anew else run.result_etag,
            possibly_submitted_twice=run.possibly_submitted_twice or held,
        )
    except LeaseLostError as error:
        raise NotPossibleError(
            f"{run} was changed by somebody else just now. Look at it again.", code="changed_just_now"
        ) from error


def standing(run: ReportRun) -> int:
    """A number for what a cancellation of this run would mean: another step, submission or job gives another one."""
    return zlib.crc32(f"{run.step}/{run.submission}/{run.fireant_job_id}".encode())


def cancel_run(
    run_id: int, *, actor: str, ports: Ports, reason: str = "", seen: int | None = None
) -> ReportRun:
    """Ends a run that has not ended. Its worker, if it has one, finds its lease gone and drops what it was doing.

    Fireant has no way to cancel: a job that was submitted goes on there, and its result is not fetched. Whoever decided by
    what they saw gives the run's `standing` of then: a run that has got a job since, or left its step, is left alone.

    Raises:
        NotPossibleError: there is no such run, it has ended, it ended first, or it does not stand where it was `seen`.
    """
    for _ in range(TRIES):
        try:
            return _cancel(run_id, actor, reason, ports, seen)
        except (LeaseLostError, OperationalError):  # a worker was faster, or a deadlock was ended
            continue
    raise NotPossibleError(f"Run {run_id} keeps changing. Try again in a moment.", code="keeps_changing")


def _cancel(run_id: int, actor: str, reason: str, ports: Ports, seen: int | None) -> ReportRun:
    now = ports.clock()
    with transaction.atomic(using=database()):
        run = _get(run_id)
        if run.has_ended:
            raise NotPossibleError(
                f"{run} has ended already: {run.status}. There is nothing to cancel.", code="has_ended"
            )
        if seen is not None and standing(run) != seen:
            where = f"at the step {run.step}" + (
                f" with job {run.fireant_job_id}" if run.fireant_job_id else ""
            )
            raise NotPossibleError(_moved_on(run, where), code="moved_on")
        run.write(
            status=Status.CANCELED.value,
            worker="",
            wake_at=None,
            ended_at=now,
            error_code="canceled",
            error=f"Canceled by {actor}." + (f" Reason: {reason}" if reason else ""),
        )
        RunStep.objects.filter(run=run, ended_at__isnull=True).update(
            result=StepResult.CANCELED, ended_at=now
        )
        _record(run, InterventionKind.CANCELED, actor, reason, ports)
    return run


def _moved_on(run: ReportRun, now: str) -> str:
    return f"{run} has moved on since you looked at it: it is {now} now. Nothing was done. Look at it again."


def _get(run_id: int) -> ReportRun:
    run = ReportRun.objects.filter(pk=run_id).first()
    if run is None:
        raise NotPossibleError(
            f"There is no run {run_id}. The admin's list of runs has the numbers.", code="no_such_run"
        )
    return run


def _record(run: ReportRun, kind: InterventionKind, actor: str, reason: str, ports: Ports) -> None:
    record([run.pk], kind, actor=actor, reason=reason, now=ports.clock())
    run_event(f"run_{kind.value}", run, actor=actor, reason=reason)
