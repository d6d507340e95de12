"""Mask secrets in a library's errors and log lines, which may quote a response that quotes a secret."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from report_orchestrator.adapters.http import bounded_http
from report_orchestrator.adapters.http.network_errors import error_chain
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.masking import masked

VENDORS = frozenset({"azure", "deltalake", "http", "msal", "requests", "urllib3"})
"""The libraries whose frames and errors hold requests, tokens and keys."""


class VendorError(Exception):
    """A library's error as masked text with its traceback; replaces the original as the cause of our error."""


def masked_error(error: BaseException, settings: Settings) -> VendorError:
    """Return the error in a form safe for printed tracebacks."""
    return VendorError(masked("".join(traceback.format_exception(error)).strip(), settings.secrets))


@contextmanager
def with_masked_causes(settings: Settings) -> Iterator[None]:
    """Replace the causes of our errors by their masked text: the originals hold requests, which hold keys and tokens.

    The frames of the libraries hold them too, so they are left out of the traceback of any error, also of one that a
    heartbeat raises while a library reads.
    """
    try:
        yield
    except BaseException as error:
        cause = error.__cause__ or error.__context__
        if cause is not None and (isinstance(error, OrchestratorError) or _is_of_vendor(cause)):
            _mask_cause(error, cause, settings)
        _leave_out_vendors(error.__traceback__)
        raise


def _mask_cause(error: BaseException, cause: BaseException, settings: Settings) -> None:
    if not isinstance(cause, VendorError):
        error.__cause__ = masked_error(cause, settings)
    error.__context__ = None


def _is_of_vendor(error: BaseException) -> bool:
    return any(_library(type(cause).__module__) in VENDORS for cause in error_chain(error))


def _leave_out_vendors(trace: TracebackType | None) -> None:
    """Relink the traceback itself: `contextlib` would undo the change of an error's attribute."""
    while trace is not None:
        following = trace.tb_next
        while following is not None and _is_vendors(following):
            following = following.tb_next
        trace.tb_next = following
        trace = following


def _is_vendors(trace: TracebackType) -> bool:
    module = str(trace.tb_frame.f_globals.get("__name__", ""))
    return _library(module) in VENDORS or module == bounded_http.__name__


def _library(module: str) -> str:
    return module.partition(".")[0]


class MaskingFilter(logging.Filter):
    """Masks secrets in a library's log lines, including tracebacks."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; always passes it."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1])).strip()
        record.msg, record.args = masked(text, self._settings.secrets), ()
        record.exc_info = record.exc_text = None
        return True


def mask_logs(library: str, settings: Settings) -> None:
    """Mask all later lines of the library's loggers. Each needs the filter, as child loggers do not inherit filters."""
    for name in list(logging.root.manager.loggerDict):
        if name == library or name.startswith(f"{library}."):
            logger = logging.getLogger(name)
            logger.filters[:] = [existing for existing in logger.filters if not isinstance(existing, MaskingFilter)]
            logger.addFilter(MaskingFilter(settings))
