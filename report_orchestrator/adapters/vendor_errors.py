"""What a library says when it fails, fit to be shown: its errors and log lines may quote an answer that quotes a secret."""

from __future__ import annotations

import logging
import traceback

from report_orchestrator.conf import Settings


class VendorError(Exception):
    """A library's error as text, with its traceback and without secrets. Stands in for it as the cause of one of ours."""


def told(error: BaseException, settings: Settings) -> VendorError:
    """The error as whoever prints the chain of causes may see it."""
    return VendorError(settings.masked("".join(traceback.format_exception(error)).strip()))


class Masked(logging.Filter):
    """Takes secrets out of a library's log lines, tracebacks included."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrites the line in place; lets all pass."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1])).strip()
        record.msg, record.args = self._settings.masked(text), ()
        record.exc_info = record.exc_text = None
        return True


def mask_logs(library: str, settings: Settings) -> None:
    """Masks what the library's loggers say from now on. Each is told, as a filter of a logger is not that of those below it."""
    for name in list(logging.root.manager.loggerDict):
        if name == library or name.startswith(f"{library}."):
            logger = logging.getLogger(name)
            logger.filters[:] = [each for each in logger.filters if not isinstance(each, Masked)]
            logger.addFilter(Masked(settings))
