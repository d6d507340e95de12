"""Turns the exceptions of a step into outcomes, with secrets masked."""

import traceback
from collections.abc import Callable
from typing import TypeVar

from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.runs import Failed, Outcome, Postponed, Retryable, Step
from report_orchestrator.exceptions import (
    GaveWayError,
    LeaseLostError,
    OrchestratorError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.masking import masked
from report_orchestrator.models import ReportRun

T = TypeVar("T")


def catch_errors(action: Callable[[], T], *, run: ReportRun, settings: Settings) -> T | Outcome:
    """Return the result of `action`, or the outcome of its exception. Only `LeaseLostError` is raised.

    The only broad catch of the package: an unexpected error is recorded with its traceback and retried within the limits.
    """
    try:
        return action()
    except LeaseLostError:
        raise
    except OrchestratorError as error:
        return _expected(error, run, settings)
    except Exception as error:  # noqa: BLE001 - recorded on the run, with its traceback
        submitting = run.step == Step.EXTERNAL_JOB_SUBMISSION
        if submitting and settings.fireant_on_unknown == "hold":
            return on_hold(run)
        return Retryable(
            code=ErrorCode.SUBMISSION_UNKNOWN if submitting else ErrorCode.UNEXPECTED,
            error=masked(f"{type(error).__name__}: {error}", settings.secrets),
            traceback=masked(traceback.format_exc(), settings.secrets),
        )


def _expected(error: OrchestratorError, run: ReportRun, settings: Settings) -> Outcome:
    message, details = (masked(error.message, settings.secrets), masked(traceback.format_exc(), settings.secrets))
    match error:
        case SubmissionUnknownError() if settings.fireant_on_unknown == "hold":
            return on_hold(run)
        case TransientError():
            return Retryable(code=error.code, error=message, retry_after=error.retry_after, traceback=details)
        case GaveWayError():
            return Postponed(code=error.code, error=error.message, until=error.until)
        case _:
            return Failed(code=error.code, error=message, traceback=details)


def on_hold(run: ReportRun) -> Failed:
    """Return the outcome of a submission whose response was lost, if the settings leave the decision to a person."""
    times = "twice" if run.possibly_submitted_twice else "once"
    return Failed(
        code=ErrorCode.SUBMISSION_UNKNOWN,
        error=(
            f"{run} was submitted to Fireant {times} without a response that names a job: one may exist under reference "
            f"{run.client_reference}. Check Fireant, then retry the run, which submits it again."
        ),
    )
