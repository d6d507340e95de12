"""The output of `qcluster`. With `APP_ENV=prod` every line of any process is one JSON object.

Django-Q logs warnings and errors only. Loggers named in the host's `LOGGING` are left alone, and with
`CONFIGURE_LOGGING=false` all are.
"""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, TextIO

from django.conf import settings as django_settings

from report_orchestrator.conf import Settings
from report_orchestrator.log_events import QUEUE_LOGGER, JsonLines, OwnHandler, is_named_by_host

logger = logging.getLogger("report_orchestrator.cluster")


def configure_output(settings: Settings) -> None:
    """Set up the loggers and streams of this process and of all that it forks."""
    if not settings.configure_logging:
        return
    if not is_named_by_host(QUEUE_LOGGER):
        wanted = (getattr(django_settings, "Q_CLUSTER", None) or {}).get("log_level", "WARNING")
        logging.getLogger(QUEUE_LOGGER).setLevel(wanted)
    if settings.app_env == "prod":
        _write_json()


def _write_json() -> None:
    logging.captureWarnings(True)
    if not is_named_by_host(QUEUE_LOGGER):
        queue = logging.getLogger(QUEUE_LOGGER)
        queue.handlers[:] = [handler for handler in queue.handlers if not _is_console(handler)]
        queue.propagate = True
    for each in _unnamed_loggers():
        each.handlers[:] = [_as_json(handler) for handler in each.handlers]
    if not logging.root.handlers:
        logging.root.addHandler(_json_handler())
    sys.excepthook = _log_exception
    threading.excepthook = _log_thread_exception
    sys.stdout, sys.stderr = LoggedStream(logging.INFO), LoggedStream(logging.WARNING)


def _unnamed_loggers() -> Iterator[logging.Logger]:
    yield logging.root
    for name, each in logging.root.manager.loggerDict.items():
        if isinstance(each, logging.Logger) and not is_named_by_host(name):
            yield each


def _is_console(handler: logging.Handler) -> bool:
    consoles = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return isinstance(handler, logging.StreamHandler) and handler.stream in consoles


def _as_json(handler: logging.Handler) -> logging.Handler:
    """Return the handler, or one in its place if it writes other lines than JSON to the console."""
    if not _is_console(handler) or _writes_json(handler):
        return handler
    replacement = _json_handler()
    replacement.setLevel(handler.level)
    replacement.filters = handler.filters
    return replacement


def _writes_json(handler: logging.Handler) -> bool:
    record = logging.LogRecord(__name__, logging.INFO, __file__, 1, "a line", None, None)
    try:
        return isinstance(json.loads(handler.format(record)), dict)
    except Exception:  # noqa: BLE001 - a formatter of the host's may raise anything, and then writes no JSON
        return False


def _json_handler() -> OwnHandler:
    handler = OwnHandler(sys.__stderr__)
    handler.setFormatter(JsonLines())
    return handler


def _console() -> TextIO:
    if sys.__stderr__ is None:
        raise io.UnsupportedOperation("This process has no standard error.")
    return sys.__stderr__


def _log_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("process failed", extra={"event": "process_failed"}, exc_info=(kind, error, trace))


def _log_thread_exception(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None:
        _log_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)


class _Line(threading.local):
    """A thread's line without its end, and True while one of its lines is being logged."""

    begun = ""
    is_logged = False


class LoggedStream(io.TextIOBase):
    """Logs each line that is written to it, such as a task's `print`. Bytes, as of subprocesses, go past it unchanged."""

    encoding = "utf-8"

    def __init__(self, level: int) -> None:
        self._level = level
        self._of_thread = _Line()

    @property
    def buffer(self) -> BinaryIO:
        return _console().buffer

    def fileno(self) -> int:
        """Return the console's file, which subprocesses inherit and `faulthandler` writes to."""
        return _console().fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._of_thread.begun = f"{self._of_thread.begun}{text}".split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def flush(self) -> None:
        """Log what was written without an end of line."""
        line, self._of_thread.begun = self._of_thread.begun, ""
        self._log(line)

    def _log(self, line: str) -> None:
        """Log a line, unless `logging` itself writes it to report an error of a handler."""
        if not line.strip() or self._of_thread.is_logged:
            return
        self._of_thread.is_logged = True
        try:
            logger.log(self._level, "%s", line.rstrip(), extra={"event": "printed"})
        finally:
            self._of_thread.is_logged = False
