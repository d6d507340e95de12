"""In production all lines of a cluster are JSON, whatever handlers the host has."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.logging import LogCaptureHandler
from pytest_django import Settings as DjangoSettings
from pythonjsonlogger.json import JsonFormatter

from report_orchestrator.cluster.output import LoggedStream, configure_output
from report_orchestrator.conf import Settings
from report_orchestrator.log_events import silence_queue
from tests.support.settings_factory import SettingsFactory

PROD = SettingsFactory.make(APP_ENV="prod")
QUEUE = logging.getLogger("django-q")
THEIRS = logging.getLogger("theirs")


@pytest.fixture(autouse=True)
def console(monkeypatch: pytest.MonkeyPatch, settings: DjangoSettings) -> Iterator[io.StringIO]:
    """The standard error of a process that the host has not yet configured."""
    written = io.StringIO()
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        monkeypatch.setattr(sys, name, written)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    settings.LOGGING = {}
    loggers = [logging.root, QUEUE, THEIRS, *map(logging.getLogger, ("report_orchestrator", "py.warnings"))]
    before = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    for each in loggers:
        each.handlers[:] = []
    logging.getLogger("report_orchestrator").propagate = True
    yield written
    logging.captureWarnings(capture=False)
    for each, handlers, level, propagate in before:
        each.handlers[:], each.level, each.propagate = handlers, level, propagate


def start(settings: Settings = PROD) -> None:
    """Set up the output as a process does in which pytest has no handlers."""
    logging.root.handlers[:] = [each for each in logging.root.handlers if not isinstance(each, LogCaptureHandler)]
    configure_output(settings)


def records(console: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in console.getvalue().splitlines()]


@pytest.mark.parametrize("owner", [None, logging.root, THEIRS, QUEUE], ids=["none", "root", "theirs", "queue"])
def test_every_line_is_an_object_whoever_has_a_handler(console: io.StringIO, owner: logging.Logger | None) -> None:
    if owner is not None:
        owner.handlers[:] = [logging.StreamHandler(console)]
        owner.propagate = owner is logging.root
    start()
    THEIRS.warning("theirs")
    QUEUE.info("three lines for each message")
    QUEUE.error("the queue's")
    print("printed\nin two lines")  # noqa: T201
    sys.stderr.write("begun")
    sys.stderr.write(" and ended\n")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("warned", RuntimeWarning, stacklevel=1)
    reported = [record["message"] for record in records(console)]
    assert reported[:2] == ["theirs", "the queue's"]
    assert "begun and ended" in reported
    assert "RuntimeWarning: warned" in reported[-1]


def test_bytes_and_subprocesses_of_a_task_reach_the_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "console").open("w+") as file:
        monkeypatch.setattr(sys, "__stderr__", file)
        start()
        subprocess.run([sys.executable, "-c", "print('of a subprocess')"], stdout=sys.stdout, check=True)
        sys.stdout.buffer.write(b"bytes\n")
        sys.stdout.buffer.flush()
        assert sys.stdout.encoding == "utf-8"
        assert (tmp_path / "console").read_text() == "of a subprocess\nbytes\n"


def test_each_thread_writes_whole_lines(console: io.StringIO) -> None:
    start()
    sys.stdout.write("begun ")
    thread = threading.Thread(target=print, args=("of a thread",))
    thread.start()
    thread.join()
    sys.stdout.write("and ended\n")
    assert [record["message"] for record in records(console)] == ["of a thread", "begun and ended"]


def test_an_exception_is_one_object_with_its_traceback(console: io.StringIO) -> None:
    start()
    error = ValueError("bad")
    sys.excepthook(ValueError, error, None)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    assert [record["exc_info"].splitlines()[-1] for record in records(console)] == [
        "ValueError: bad",
        "ZeroDivisionError: division by zero",
    ]


def test_a_logger_that_the_host_names_is_the_hosts(console: io.StringIO, settings: DjangoSettings) -> None:
    settings.LOGGING = {"loggers": {"django-q": {"level": "INFO"}, "theirs": {}}}
    QUEUE.setLevel(logging.INFO)
    for named in (QUEUE, THEIRS):
        named.handlers[:] = [logging.StreamHandler(console)]
        named.propagate = False
    start()
    silence_queue(logging.ERROR)
    QUEUE.info("as the host wants it")
    THEIRS.warning("this too")
    assert console.getvalue() == "as the host wants it\nthis too\n"


def test_a_host_that_writes_json_already_keeps_its_form(console: io.StringIO) -> None:
    handler = logging.StreamHandler(console)
    handler.setFormatter(JsonFormatter("{levelname}{message}", style="{"))
    logging.root.handlers[:] = [handler]
    start()
    THEIRS.warning("theirs")
    assert records(console) == [{"levelname": "WARNING", "message": "theirs"}]


def test_handlers_that_write_elsewhere_stay(console: io.StringIO) -> None:
    elsewhere = io.StringIO()
    logging.root.handlers[:] = [logging.StreamHandler(elsewhere), logging.StreamHandler(console)]
    start()
    THEIRS.warning("theirs")
    assert elsewhere.getvalue() == "theirs\n"
    assert [record["message"] for record in records(console)] == ["theirs"]


@pytest.mark.parametrize(("wanted", "level"), [({}, logging.WARNING), ({"log_level": "DEBUG"}, logging.DEBUG)])
def test_django_q_logs_warnings_unless_the_host_requests_more(
    settings: DjangoSettings, wanted: dict[str, str], level: int
) -> None:
    settings.Q_CLUSTER = {"orm": "default", **wanted}
    start(SettingsFactory.make())
    assert QUEUE.level == level


def test_a_host_that_configures_everything_is_left_alone() -> None:
    start(SettingsFactory.make(APP_ENV="prod", CONFIGURE_LOGGING=False))
    assert logging.root.handlers == []
    assert not isinstance(sys.stderr, LoggedStream)
