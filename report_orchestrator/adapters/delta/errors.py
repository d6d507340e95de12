"""Translate delta-rs's errors, which may quote rows, tokens and services' responses, into words for a person."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from deltalake.exceptions import CommitFailedError, DeltaProtocolError, TableNotFoundError

from report_orchestrator.adapters.delta.rows import LONGEST_ERROR, UnfitError
from report_orchestrator.adapters.masked_errors import VendorError, with_masked_causes
from report_orchestrator.conf import load_settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import ConfigurationError, OrchestratorError, TransientError
from report_orchestrator.masking import masked

_FORBIDDEN = re.compile(r"403 Forbidden|lacked the necessary privileges")
"""The two ways in which delta-rs reports a 403. A 401 is transient: each attempt uses a new token."""
_DISTRUSTED = re.compile(r"invalid peer certificate|UnknownIssuer|certificate verify failed", re.IGNORECASE)
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|not yet supported|invalid protocol|invalid function", re.IGNORECASE
)
_BROKEN_RULE = re.compile(r"Invalid data found|Invariant|violates|non-?nullable|not null", re.IGNORECASE)
_UNFIT_SCHEMA = re.compile(r"Duplicate field name|Schema error|Cast error|SchemaMismatch|column-mapped", re.IGNORECASE)
_DECORATION = re.compile(r"\x1b\[[0-9;]*+m|\u21b3")
"""Colours and the signs of a tree in delta-rs's messages."""
_PREVIEW = re.compile(r"(?:Preview of invalid data|\+-{2}).*+", re.DOTALL | re.IGNORECASE)
"""The rows that a message shows."""
_LONGEST = 300
"""Characters of a message's beginning, and of its end, which has the reason."""

T = TypeVar("T")


class TableConflictError(TransientError):
    """Another writer committed first, and the table may have other columns now."""

    code = ErrorCode.TABLE_CONFLICT


class PanicError(Exception):
    """A panic of the library, which is no `Exception` and would end the worker."""


def without_panic(work: Callable[[], T]) -> T:
    """Call the library. Raises `PanicError` instead of its panics.

    Only for a thread of its own, which neither a signal nor `SystemExit` ends.
    """
    try:
        return work()
    except Exception:
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - pyo3 names its panic nowhere
        raise PanicError(str(error)) from None


@contextmanager
def plain_errors(address: str) -> Iterator[None]:
    """Translate the library's errors, whose tracebacks lead to the token in the options.

    Raises:
        UnfitError: the table's rules or columns do not take the rows.
        ConfigurationError: a person must act first.
        TransientError: a retry may succeed.
    """
    try:
        with with_masked_causes(load_settings()[0]):
            try:
                yield
            except (OrchestratorError, UnfitError, TableNotFoundError):
                raise
            except Exception as error:  # noqa: BLE001 - the library raises bare ones
                raise _translated(error, address) from _without_rows(error)
    except UnfitError as unfit:
        unfit.__context__ = None
        raise


def _translated(error: Exception, address: str) -> Exception:
    text = str(error)[:LONGEST_ERROR]
    if _BROKEN_RULE.search(text):
        return UnfitError("a row breaks a rule of the table, such as a constraint or a column that must not be empty")
    if _UNFIT_SCHEMA.search(text):
        return UnfitError("the table does not take its columns, for example because column mapping allows no new ones")
    return _needs_a_person(error, text, address) or _may_pass(error, address)


def _needs_a_person(error: Exception, text: str, address: str) -> ConfigurationError | None:
    told = describe(error)
    if isinstance(error, DeltaProtocolError) or _UNSUPPORTED.search(text):
        return ConfigurationError(
            f"The table {address} uses a feature that the library deltalake cannot write: {told}. Switch the feature off, "
            "or choose another table with RESULT_TABLE; then retry the run."
        )
    if isinstance(error, PermissionError):
        return ConfigurationError(
            f"No permission to write the table {address}: {told}. Grant it to the worker, then retry the run."
        )
    if _FORBIDDEN.search(text):
        return ConfigurationError(
            f"Access to the table {address} was denied: {told}. Give the identity that writes results a write role in the "
            "workspace of FABRIC_WORKSPACE_ID, or set RESULT_TABLES to false; then retry the run."
        )
    if _DISTRUSTED.search(str(error)):
        return ConfigurationError(
            f"The certificate of the table {address} is not trusted: {told}. Set the environment variable SSL_CERT_FILE to "
            "the file of FABRIC_CA_FILE as well, restart the workers, then retry the run."
        )
    return None


def _may_pass(error: Exception, address: str) -> TransientError:
    told = describe(error)
    if isinstance(error, CommitFailedError):
        return TableConflictError(f"Another writer changed the table {address} at the same time.")
    if isinstance(error, PanicError):
        return TransientError(
            f"The library deltalake crashed on the table {address}: {told}. If it happens again, check that path.",
            code=ErrorCode.TABLE,
        )
    return TransientError(f"The table {address} cannot be written: {told}.", code=ErrorCode.TABLE)


def _without_rows(error: Exception) -> VendorError:
    """Return the cause to record: the message without rows, instead of a traceback that repeats all of it."""
    return VendorError(f"{type(error).__name__}: {masked(describe(error), load_settings()[0].secrets)}")


def describe(error: Exception) -> str:
    """Return the library's message on one line, without rows, colours and tree characters."""
    text = str(error)
    ends = text if len(text) <= 2 * LONGEST_ERROR else f"{text[:LONGEST_ERROR]} … {text[-LONGEST_ERROR:]}"
    plain = " ".join(_PREVIEW.sub("", _DECORATION.sub("", ends)).split())
    if len(plain) > 2 * _LONGEST:
        plain = f"{plain[:_LONGEST]} … {plain[-_LONGEST:]}"
    return plain.rstrip(".")
