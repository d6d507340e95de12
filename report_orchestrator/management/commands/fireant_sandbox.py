"""Serves a local Fireant, so that a host's reports can be run without the real one."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions, is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

WRONG_USAGE = 2

EXAMPLE = """\
example, in two terminals:
  manage.py fireant_sandbox --seconds-running 10 --fail "Windstorm accumulation"
  FIREANT_API_URL=http://127.0.0.1:8099 manage.py qcluster

Every job waits, runs and ends by the clock; jobs of the reports named with --fail end Failed. The key of
FIREANT_API_KEY, where it is set, must come with every request. Jobs live in memory: when the sandbox ends,
they are gone.

Faults can be scripted while it runs (kinds: status_code, not_found, reset, reset_after_work, stall, trickle,
reset_mid_body, short_body, malformed_json, no_job_id, unknown_status; endpoints: submit, status, results):
  curl -H "Authorization: Bearer $FIREANT_API_KEY" http://127.0.0.1:8099/sandbox/faults \\
       -d '{"endpoint": "status", "kind": "status_code", "status": 503, "retry_after": "2", "times": 3}'
GET /sandbox/faults, /sandbox/jobs and /sandbox/requests say what happened; DELETE /sandbox/jobs forgets jobs.
"""


class _HelpFormatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's order of the options, and an example that keeps its lines."""


class Command(BaseCommand):
    help = "Serves a local Fireant until it is interrupted: for a demo, or to develop a host project against."

    # It needs nothing of the host, so a host that is half set up can run it.
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EXAMPLE, "formatter_class": _HelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        _add_address_arguments(parser)
        _add_job_arguments(parser)
        _add_answer_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        self._writing = threading.Lock()
        sandbox = self._sandbox(options)
        with contextlib.suppress(KeyboardInterrupt), _interrupted_by_signals():
            self._start(sandbox)
            try:
                self._say(
                    f"The Fireant sandbox is up. Set FIREANT_API_URL={sandbox.url} and end it with Ctrl+C."
                )
                _sleep_until_interrupted()
            finally:
                sandbox.stop()

    def _sandbox(self, options: dict[str, Any]) -> FireantSandbox:
        host = options["host"]
        if not (options["allow_remote"] or is_loopback(host)):
            raise CommandError(
                f"{host} can be reached from other machines. "
                "Use 127.0.0.1, or add --allow-remote if that is meant.",
                returncode=WRONG_USAGE,
            )
        return FireantSandbox(
            _sandbox_options(options),
            host,
            options["port"],
            on_request=None if options["quiet"] else self._say,
            allow_remote=options["allow_remote"],
        )

    def _start(self, sandbox: FireantSandbox) -> None:
        try:
            sandbox.start()
        except OSError as error:
            raise CommandError(
                f"The Fireant sandbox cannot listen there: {error.strerror or error}. "
                "Another one may be running: end it, or choose another --port."
            ) from error

    def _say(self, line: str) -> None:
        with self._writing:
            self.stdout.write(line)
            self.stdout.flush()


def _add_address_arguments(parser: CommandParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8099, help="port; 0 takes a free one (default: 8099)")
    parser.add_argument("--allow-remote", action="store_true", help="allow a --host that others can reach")
    parser.add_argument("--api-key", metavar="KEY", help="bearer key to ask for (default: FIREANT_API_KEY)")
    parser.add_argument("--quiet", action="store_true", help="no line for each request")


def _add_job_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--seconds-queued", type=_seconds, default=1.0, metavar="S", help="how long a job waits (default: 1)"
    )
    parser.add_argument(
        "--seconds-running", type=_seconds, default=3.0, metavar="S", help="how long a job runs (default: 3)"
    )
    parser.add_argument(
        "--failure-rate", type=_share, default=0.0, metavar="SHARE", help="share of jobs that fail, 0 to 1"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which jobs that share falls on")
    parser.add_argument(
        "--fail", nargs="+", action="extend", default=[], metavar="NAME", help="reports that fail"
    )
    parser.add_argument(
        "--never-finish",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="reports that run for ever",
    )


def _add_answer_arguments(parser: CommandParser) -> None:
    parser.add_argument("--text-ids", action="store_true", help="answer job ids as text, not as integers")
    parser.add_argument("--bare-status", action="store_true", help='answer {"status": …} without "data"')
    parser.add_argument(
        "--result-bytes",
        type=int,
        metavar="N",
        help="stream results of exactly N bytes (default: small ones)",
    )


def _sandbox_options(options: dict[str, Any]) -> SandboxOptions:
    try:
        return SandboxOptions(
            api_key=options["api_key"] or os.environ.get("FIREANT_API_KEY"),
            seconds_queued=options["seconds_queued"],
            seconds_running=options["seconds_running"],
            failure_rate=options["failure_rate"],
            seed=options["seed"],
            integer_ids=not options["text_ids"],
            wrap_data=not options["bare_status"],
            result_bytes=options["result_bytes"],
            fail_names=tuple(options["fail"]),
            never_finish_names=tuple(options["never_finish"]),
        )
    except ValueError as error:
        raise CommandError(str(error), returncode=WRONG_USAGE) from error


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """SIGTERM and SIGINT raise KeyboardInterrupt, once: a second one must not break off an orderly end."""
    signals = (signal.SIGTERM, signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [signal.signal(each, interrupt) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _sleep_until_interrupted() -> None:
    # On Windows an Event cannot be interrupted; a sleep can.
    while True:
        time.sleep(3600)


def _port(text: str) -> int:
    return int(_number(text, 0, 65535, "a port from 0 to 65535", int))


def _seconds(text: str) -> float:
    return _number(text, 0, threading.TIMEOUT_MAX, "a number of seconds, 0 or more", float)


def _share(text: str) -> float:
    return _number(text, 0, 1, "a share from 0 to 1", float)


def _number(text: str, least: float, most: float, wanted: str, convert: type[int] | type[float]) -> float:
    try:
        number = convert(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return number
