"""What the commands that serve a sandbox have in common: an address, an orderly end, one line at a time."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

from report_orchestrator.sandbox.server import Sandbox, is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

WRONG_USAGE = 2


class HelpFormatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's order of the options, and an example that keeps its lines."""


class SandboxCommand(BaseCommand):
    """Serves a sandbox until SIGTERM or SIGINT. A subclass makes it, and says what to do with it.

    `service` is the name of what it stands in for; `example` ends the help.
    """

    service = ""
    example = ""
    default_port = 0

    # It needs nothing of the host, so a host that is half set up can run it.
    requires_system_checks = ()

    def sandbox(self, options: dict[str, Any]) -> Sandbox:
        """The sandbox that the options ask for, not started."""
        raise NotImplementedError

    def welcome(self) -> str:
        """What to say when it is up: which settings lead to it."""
        raise NotImplementedError

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": self.example, "formatter_class": HelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        port = self.default_port
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument(
            "--port", type=port_number, default=port, help=f"port; 0 takes a free one (default: {port})"
        )
        parser.add_argument(
            "--allow-remote", action="store_true", help="allow a --host that others can reach"
        )
        parser.add_argument("--quiet", action="store_true", help="no line for each request")

    def handle(self, *args: Any, **options: Any) -> None:
        self._writing = threading.Lock()
        _refuse_remote(options)
        sandbox = self.sandbox(options)
        with contextlib.suppress(KeyboardInterrupt), _interrupted_by_signals():
            self._start(sandbox)
            try:
                self.say(self.welcome())
                _sleep_until_interrupted()
            finally:
                sandbox.stop()

    def say(self, line: str) -> None:
        """Writes one line, whole, from any thread."""
        with self._writing:
            self.stdout.write(line)
            self.stdout.flush()

    def _start(self, sandbox: Sandbox) -> None:
        try:
            sandbox.start()
        except OSError as error:
            raise CommandError(
                f"The {self.service} sandbox cannot listen there: {error.strerror or error}. "
                "Another one may be running: end it, or choose another --port."
            ) from error


def _refuse_remote(options: dict[str, Any]) -> None:
    host = options["host"]
    if not (options["allow_remote"] or is_loopback(host)):
        raise CommandError(
            f"{host} can be reached from other machines. "
            "Use 127.0.0.1, or add --allow-remote if that is meant.",
            returncode=WRONG_USAGE,
        )


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


def port_number(text: str) -> int:
    """An argument that is a port."""
    return int(number_between(text, 0, 65535, "a port from 0 to 65535", int))


def number_between(
    text: str, least: float, most: float, wanted: str, convert: type[int] | type[float]
) -> float:
    """An argument that is a number from `least` to `most`; `wanted` says so to a person."""
    try:
        number = convert(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return number
