"""Log lines of the services' events: their levels, and formatters for JSON in `prod` and readable lines in `dev`."""

import logging
import logging.config
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from django.conf import settings as django_settings
from pythonjsonlogger.json import JsonFormatter

from report_orchestrator import signals
from report_orchestrator.conf import Settings, current_secrets, load_settings
from report_orchestrator.domain.printable import printable
from report_orchestrator.masking import masked

LOGGER = "report_orchestrator"
QUEUE_LOGGER = "django-q"
LONGEST_VALUE = 16 * 1024
"""Characters of a text that a log line keeps, such as an error or a traceback."""
logger = logging.getLogger(LOGGER)

_ERRORS = frozenset({"run_failed", "run_timed_out"})
_WARNINGS = frozenset(
    {
        "lease_lost",
        "run_rescued",
        "submission_repeated",
        "unknown_job_status",
        "report_quarantined",
        "removals_held",
        "report_key_too_long",
        "report_key_unusable",
        "job_end_not_recorded",
        "change_left_to_discovery",
        "times_beyond_lookback",
        "circuit_opened",
        "clock_leap_undone",
        "clock_set_back",
        "sweep_failed",
        "pruning_failed",
        "rows_not_appended",
        "download_cut",
    }
)
_DEBUGS = frozenset({"message_found_nothing", "due_times_decided"})
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def level_of(event: str) -> int:
    """Return the log level of an event: info for a retry, error for an ended failure."""
    if event in _ERRORS:
        return logging.ERROR
    if event in _DEBUGS:
        return logging.DEBUG
    return logging.WARNING if event in _WARNINGS else logging.INFO


def write_event(*, event: str, fields: Mapping[str, object], **_kwargs: object) -> None:
    logger.log(level_of(event), event.replace("_", " "), extra={"event": event, **fields})


def _beginning(value: object) -> object:
    """Return the value, or the beginning of a long text without what the cut leaves of a secret."""
    if not isinstance(value, str) or len(value) <= LONGEST_VALUE:
        return value
    return masked(value[:LONGEST_VALUE], current_secrets(), is_cut=True)


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
        return printable(masked(super().format(record), current_secrets()))

    def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
        short = {key: _beginning(value) for key, value in log_data.items()}
        return {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **short}


class ReadableLines(logging.Formatter):
    """`12:00:01 INFO run succeeded run_id=7 report='report 3 (Flood)'`; secrets masked."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return printable(masked(super().format(record), current_secrets()), keep="\n\t")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        pairs = [
            f"{key}={_beginning(value)!r}"
            for key, value in vars(record).items()
            if key not in _STANDARD and key != "event" and value not in ("", None)
        ]
        return " ".join([super().formatMessage(record), *pairs])


class OwnHandler(logging.StreamHandler[TextIO]):
    """The package's own handler, which alone it may remove or silence."""


def silence_own_handler(level: int) -> None:
    """Raise the level of the package's own handler. Handlers of the host are not touched."""
    for handler in logger.handlers:
        if isinstance(handler, OwnHandler):
            handler.setLevel(level)


def silence_queue(level: int) -> None:
    """Let Django-Q log from this level on, unless the host's `LOGGING` names its logger."""
    if not is_named_by_host(QUEUE_LOGGER):
        logging.getLogger(QUEUE_LOGGER).setLevel(level)


def is_named_by_host(name: str) -> bool:
    """Return True if the host's `LOGGING` configures this logger."""
    return name in (getattr(django_settings, "LOGGING", None) or {}).get("loggers", {})


def connect() -> None:
    """Log the services' events; add a handler if the host has configured none."""
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
