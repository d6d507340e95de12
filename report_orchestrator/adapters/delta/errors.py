"""Translate delta-rs's errors, which may quote rows, tokens and services' responses.

Few have a type of their own, so they are told apart by their texts in deltalake 1.1 to 1.6.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from deltalake.exceptions import CommitFailedError

from report_orchestrator.adapters.delta.rows import LONGEST_ERROR, UnfitError
from report_orchestrator.adapters.masked_errors import VendorError, with_masked_causes
from report_orchestrator.conf import load_settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import ConfigurationError, OrchestratorError, TransientError
from report_orchestrator.masking import masked

_BROKEN_RULE = re.compile(r"\bInvalid data found: \d|^Invariant violations: \[")
_UNFIT_TYPE = re.compile(
    r"^Cast error: |^Parser error: |^\S++ is too large to store in a Decimal|\bThis feature is not implemented: Unsupported CAST "
)
_UNSUPPORTED = re.compile(
    r"^Unsupported (?:table|reader|writer) features required: \[|^Kernel error: Unsupported: "
    r"|^Kernel error: Invalid protocol action in the delta log: |\bError during planning: Invalid function '"
    r"|^Kernel: Invalid JSON in generation expression\b"
)
_DENIED_BY_SYSTEM = re.compile(r"\bPermission denied \(os error 13\)|\bkind: PermissionDenied\b")
_DENIED_BY_LAKE = re.compile(r"\bServer returned non-2xx status code:? 403 Forbidden\b")
"""A 401 is transient: each attempt uses a new token."""
_SIGNING_IN = "Error performing token request"
_DISTRUSTED = "invalid peer certificate"
"""deltalake 1.1 omits this text."""
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
def translated_errors(address: str) -> Iterator[None]:
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
            except (OrchestratorError, UnfitError):
                raise
            except Exception as error:  # noqa: BLE001 - the library raises bare ones
                raise _translated(error, address) from _without_rows(error)
    except UnfitError as unfit:
        unfit.__context__ = None
        raise


def is_denied_by_system(error: Exception) -> bool:
    """Return True if the file system denied access, which the library also reports as a missing table."""
    return _DENIED_BY_SYSTEM.search(_text_of(error)) is not None


def _translated(error: Exception, address: str) -> Exception:
    text = _text_of(error)
    if _BROKEN_RULE.search(text):
        return UnfitError("a row breaks a rule of the table, such as a constraint or a column that must not be empty")
    if _UNFIT_TYPE.search(text):
        return UnfitError(
            "a column of the table, possibly one of the run's columns, has a type that cannot hold the value"
        )
    return _permanent_error(error, text, address) or _temporary_error(error, address)


def _permanent_error(error: Exception, text: str, address: str) -> ConfigurationError | None:
    message = describe(error)
    if _UNSUPPORTED.search(text):
        return ConfigurationError(
            f"The table {address} uses a feature that the library deltalake cannot write: {message}. Switch the feature off, "
            "or choose another table with RESULT_TABLE; then retry the run."
        )
    if _DENIED_BY_SYSTEM.search(text):
        return ConfigurationError(
            f"No permission to write the table {address}: {message}. Grant it to the worker, then retry the run."
        )
    if _DENIED_BY_LAKE.search(text) and _SIGNING_IN not in text:
        return ConfigurationError(
            f"Access to the table {address} was denied: {message}. Give the identity that writes results a write role in the "
            "workspace of FABRIC_WORKSPACE_ID, or set RESULT_TABLES to false; then retry the run."
        )
    if _DISTRUSTED in text:
        return ConfigurationError(
            f"The certificate of the table {address} is not trusted: {message}. Set the environment variable SSL_CERT_FILE to "
            "the file of FABRIC_CA_FILE as well, restart the workers, then retry the run."
        )
    return None


def _temporary_error(error: Exception, address: str) -> TransientError:
    if isinstance(error, CommitFailedError):
        return TableConflictError(f"Another writer changed the table {address} at the same time.")
    message = describe(error)
    if isinstance(error, PanicError):
        return TransientError(
            f"The library deltalake crashed on the table {address}: {message}. If it happens again, check that path.",
            code=ErrorCode.TABLE,
        )
    return TransientError(f"The table {address} cannot be written: {message}.", code=ErrorCode.TABLE)


def _without_rows(error: Exception) -> VendorError:
    """Return the cause to record: the message without rows, instead of a traceback that repeats all of it."""
    return VendorError(f"{type(error).__name__}: {masked(describe(error), load_settings()[0].secrets)}")


def describe(error: Exception) -> str:
    """Return the beginning and the end of the library's message on one line, without rows."""
    text = _text_of(error)
    if len(text) > 2 * _LONGEST:
        text = f"{text[:_LONGEST]} … {text[-_LONGEST:]}"
    return text.rstrip(".")


def _text_of(error: Exception) -> str:
    """Return the library's message on one line, without rows, colours and tree characters; a long one without its middle."""
    text = str(error)
    ends = text if len(text) <= 2 * LONGEST_ERROR else f"{text[:LONGEST_ERROR]} … {text[-LONGEST_ERROR:]}"
    return " ".join(_PREVIEW.sub("", _DECORATION.sub("", ends)).split())
