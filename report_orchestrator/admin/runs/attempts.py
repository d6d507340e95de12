"""The rows of a run page's table of attempts."""

from report_orchestrator.admin.ui.format import RESULT_SIGNS, elapsed, instant, pretty_json, signed
from report_orchestrator.admin.ui.masked_json import without_secrets
from report_orchestrator.admin.ui.phrases import error_title
from report_orchestrator.domain.runs import StepResult
from report_orchestrator.models import RunStep

UNFINISHED_RESULTS = {StepResult.STARTED, StepResult.WAITING}


def attempt_row(attempt: RunStep) -> dict[str, object]:
    # An attempt that was lost with its worker has no end, and must not seem to be running.
    has_duration = attempt.ended_at is not None or attempt.result in UNFINISHED_RESULTS
    return {
        "anchor": anchor(attempt),
        "step": attempt.get_step_display(),
        "attempt": attempt.attempt,
        "result": signed(RESULT_SIGNS, attempt.result, attempt.get_result_display()),
        "started": instant(attempt.started_at),
        "duration": elapsed(attempt.started_at if has_duration else None, attempt.ended_at),
        "details": pretty_json(without_secrets(attempt.metadata)) if attempt.metadata else "",
        "cause": error_title(attempt.error_code) if attempt.error_code else "",
        "error": attempt.error,
        "traceback": attempt.traceback,
    }


def anchor(attempt: RunStep) -> str:
    """Return the id of the attempt's row, to which its bar leads."""
    return f"attempt-{attempt.pk}"
