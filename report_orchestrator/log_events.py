"""The one module that writes the product's log lines, and the formatters that make them JSON in `prod` and readable in `dev`."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from django.conf import settings as django_settings
from pythonjsonlogger.json import JsonFormatter

from report_orchestrator import signals
from report_orchestrator.conf import Settings, load_settings

LOGGER = "report_orchestrator"
logger = logging.getLogger(LOGGER)

_ERRORS = frozenset({"run_failed", "run_timed_out", "pass_failed"})
_WARNINGS = frozenset(
    {
        "lease_lost",
        "run_rescued",
        "submission_repeated",
        "unknown_job_status",
        "report_quarantined",
        "removals_held",
        "report_key_too_long",
        "change_left_to_discovery",
        "times_beyond_lookback",
        "circuit_opened",
        "clock_set_back",
        "sweep_failed",
        "rows_not_appended",
    }
)
_DEBUGS = frozenset({"message_found_nothing"})
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def level_of(event: str) -> int:
    """A retry is information, an ended failure an error; a message that came for nothing is everyday."""
    if event in _ERRORS:
        return logging.ERROR
    if event in _DEBUGS:
        return logging.DEBUG
    return logging.WARNING if event in _WARNINGS else logging.INFO


def write_event(*, event: str, fields: Mapping[str, object], **_kwargs: object) -> None:
    """Writes one line, its keys in `extra`."""
    logger.log(level_of(event), event.replace("_", " "), extra={"event": event, **fields})


def masked(text: str) -> str:
    """The text without any secret of the settings."""
    settings, _problems = load_settings()
    return settings.masked(text)


def masked_beginning(text: str) -> str:
    """The same for the beginning of a longer text, which may have been cut within a secret."""
    settings, _problems = load_settings()
    return settings.masked_beginning(text)


class JsonLines(JsonFormatter):
    """One JSON object a line: `time`, `level`, `logger`, `message` and the event's keys; secrets masked."""

    def __init__(self) -> None:
        super().__init__(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            json_ensure_ascii=False,
        )

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return masked(super().format(record))

    def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
        """Puts the time first."""
        return {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **log_data}


class ReadableLines(logging.Formatter):
    """`12:00:01 INFO run succeeded run_id=7 report='report 3 (Flood)'`; secrets masked."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return masked(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The message and the event's keys."""
        pairs = [
            f"{key}={value!r}"
            for key, value in vars(record).items()
            if key not in _STANDARD and key != "event" and value not in ("", None)
        ]
        return " ".join([super().formatMessage(record), *pairs])


class OwnHandler(logging.StreamHandler[TextIO]):
    """The handler that we put there, and so may take away or silence."""


def silence_own_handler(level: int) -> None:
    """Leaves only lines of `level` and above to our own handler; a host's handlers are the host's."""
    for handler in logger.handlers:
        if isinstance(handler, OwnHandler):
            handler.setLevel(level)


def connect() -> None:
    """Listens to the services, and gives the log a handler where the host has configured none for it."""
    signals.run_event.connect(write_event, dispatch_uid="report_orchestrator.log_events.run")
    signals.message_event.connect(write_event, dispatch_uid="report_orchestrator.log_events.message")
    signals.schedule_event.connect(write_event, dispatch_uid="report_orchestrator.log_events.schedule")
    settings, _problems = load_settings()
    if settings.configure_logging and not _host_configures_us():
        _configure(settings)


def _host_configures_us() -> bool:
    loggers = (getattr(django_settings, "LOGGING", None) or {}).get("loggers", {})
    named = any(name == LOGGER or name.startswith(f"{LOGGER}.") for name in loggers)
    return named or any(not isinstance(handler, OwnHandler) for handler in logger.handlers)


def _configure(settings: Settings) -> None:
    handler = OwnHandler()
    handler.setFormatter(JsonLines() if settings.app_env == "prod" else ReadableLines())
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(settings.log_level.upper())
