"""Everything that can go wrong, as one tree.

An adapter translates its vendor's errors into these at its border and decides there what is transient. Messages are for the
person who must act: they name the report or the setting, and what to do. They never carry a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta


class OrchestratorError(Exception):
    """The root of the tree. `code` is a stable word for filters, logs and grouping; the message is for people."""

    code = "error"

    @property
    def message(self) -> str:
        """The sentence for people, without the class's name."""
        return str(self)


class ConfigurationError(OrchestratorError):
    """A setting is missing, misspelt or refused. Trying again does not help until a person changes it."""

    code = "configuration"


class InvalidReportError(OrchestratorError):
    """A report cannot run as it is defined. Trying again does not help until its definition changes."""

    code = "invalid_report"

    def __init__(self, message: str, *, code: str = "invalid_report") -> None:
        super().__init__(message)
        self.code = code


class InvalidCronError(InvalidReportError):
    """A cron expression that does not parse, or that can never fire."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="invalid_cron")


class ReportNotFoundError(InvalidReportError):
    """The host has no such report (any more)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="report_not_found")


class TransientError(OrchestratorError):
    """Something that may well work a little later: a time-out, a refused connection, a 503.

    `retry_after` is the wait that the other side asked for, or None where it asked for none.
    """

    code = "transient"

    def __init__(
        self, message: str, *, code: str = "transient", retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class FireantError(OrchestratorError):
    """Fireant gave a definite refusal or an answer that cannot be used. Sending the same again does not help."""

    code = "fireant"

    def __init__(self, message: str, *, code: str = "fireant", excerpt: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.excerpt = excerpt


class SubmissionUnknownError(TransientError):
    """A submission was sent and its answer never arrived: Fireant may or may not hold the job."""

    def __init__(
        self, message: str, *, code: str = "submission_unknown", retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message, code=code, retry_after=retry_after)


class StorageError(OrchestratorError):
    """The result store refused for good. A person must look."""

    code = "storage"


class LedgerError(OrchestratorError):
    """The host's own job table cannot take the record as configured. A person must look."""

    code = "job_record"


class GaveWayError(OrchestratorError):
    """A download left its worker to others. Nobody's failure: the run goes on by itself, at `until` at the earliest."""

    code = "gave_way"

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class NotPossibleError(OrchestratorError):
    """A person asked for something that cannot be done to this run or report as it stands. The message says what can."""

    code = "not_possible"

    def __init__(self, message: str, *, code: str = "not_possible") -> None:
        super().__init__(message)
        self.code = code


class LeaseLostError(OrchestratorError):
    """Another worker owns the run now. The result of this one is dropped; nothing needs doing."""

    code = "lease_lost"
