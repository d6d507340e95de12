"""The exceptions of the package, as one tree.

An adapter translates its vendor's errors into these at its border and marks transient ones there. Messages are for
the person who must act: they name the report or setting and the remedy, and never contain a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from report_orchestrator.domain.error_codes import ErrorCode

if TYPE_CHECKING:
    from datetime import datetime, timedelta


class OrchestratorError(Exception):
    """The root of the tree. `code` is a stable word for filters, logs and grouping; the message is for people."""

    code: str = "error"

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        if code:
            self.code = code

    @property
    def message(self) -> str:
        return str(self)


class ConfigurationError(OrchestratorError):
    """A setting is missing, misspelt or rejected. A retry does not help until it is changed."""

    code: str = ErrorCode.CONFIGURATION


class InvalidReportError(OrchestratorError):
    """A report's definition is invalid. A retry does not help until it is changed."""

    code: str = ErrorCode.INVALID_REPORT


class InvalidCronError(InvalidReportError):
    """A cron expression does not parse or can never fire."""

    code: str = ErrorCode.INVALID_CRON


class ReportNotFoundError(InvalidReportError):
    """The host does not have the report, or no longer."""

    code: str = ErrorCode.REPORT_NOT_FOUND


class TransientError(OrchestratorError):
    """A temporary error, such as a timeout, a refused connection or a 503. A retry may succeed.

    `retry_after` is the wait that the service asked for, or None.
    """

    code: str = ErrorCode.TRANSIENT

    def __init__(self, message: str, *, code: str = "", retry_after: timedelta | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class FireantError(OrchestratorError):
    """Fireant rejected the request or sent an unusable response. Sending the same again does not help."""

    code: str = ErrorCode.FIREANT

    def __init__(self, message: str, *, code: str = "", excerpt: str = "") -> None:
        super().__init__(message, code=code)
        self.excerpt = excerpt


class SubmissionUnknownError(TransientError):
    """A submission was sent and no response arrived: Fireant may or may not have the job."""

    code: str = ErrorCode.SUBMISSION_UNKNOWN


class StorageError(OrchestratorError):
    """The result store rejected the result permanently. A person must act."""

    code: str = ErrorCode.STORAGE


class LedgerError(OrchestratorError):
    """The host's table of jobs or modifiers rejected the record. A person must act."""

    code: str = ErrorCode.JOB_RECORD

    def __init__(self, message: str, *, code: str = ErrorCode.JOB_RECORD) -> None:
        super().__init__(message)
        self.code = code


class GaveWayError(OrchestratorError):
    """A download yielded its worker to other runs. Not a failure: the run continues at `until` at the earliest."""

    code: str = ErrorCode.GAVE_WAY

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class NotPossibleError(OrchestratorError):
    """A request of a person is not possible in the present state of the run or report. The message says why."""

    code = "not_possible"


class LeaseLostError(OrchestratorError):
    """Another worker owns the run now. This worker's result is dropped; no action is needed."""

    code = "lease_lost"
