"""The base of the commands that serve a sandbox: address, orderly shutdown, one line a request."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

from report_orchestrator.conf import load_settings
from report_orchestrator.sandbox.http.server import Sandbox, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

WRONG_USAGE = 2


class HelpFormatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's order of the options, and the line breaks of the example."""


SandboxT = TypeVar("SandboxT", bound=Sandbox[Any, Any])


class SandboxCommand(BaseCommand, Generic[SandboxT]):
    """Serves a sandbox until SIGTERM or SIGINT. `service` names the service it replaces; `example` ends the help."""

    service = ""
    example = ""
    default_port = 0

    # It needs nothing of the host, so a host that is half set up can run it.
    requires_system_checks = ()

    def create(self, options: dict[str, Any], **server: Any) -> SandboxT:
        """Return the sandbox that the options describe, not started; `server` are its address and its log.

        Raises:
            ValueError: the options do not fit together.
        """
        raise NotImplementedError

    def welcome(self, sandbox: SandboxT, options: dict[str, Any]) -> str:
        """Return the message of a started sandbox, with the settings that lead to it."""
        raise NotImplementedError

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": self.example, "formatter_class": HelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        port = self.default_port
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument(
            "--port",
            type=number_between(0, 65535, "a port from 0 to 65535", int),
            default=port,
            help=f"port; 0 selects a free one (default: {port})",
        )
        parser.add_argument("--allow-remote", action="store_true", help="allow a --host that other machines can reach")
        parser.add_argument("--quiet", action="store_true", help="do not log requests")

    def handle(self, *args: Any, **options: Any) -> None:
        if load_settings()[0].app_env == "prod":
            raise CommandError(
                f"The {self.service} sandbox does not start in production: APP_ENV is 'prod'. Start it where APP_ENV is 'dev'."
            )
        self._output_lock = threading.Lock()
        sandbox = self._create(options)
        with contextlib.suppress(KeyboardInterrupt), _interrupted_by_signals():
            try:
                sandbox.start()
            except OSError as error:
                raise CommandError(
                    f"The {self.service} sandbox cannot listen on this address: {error.strerror or error}. If "
                    "another one is running, stop it, or choose another --port."
                ) from error
            try:
                self.write_line(self.welcome(sandbox, options))
                while True:  # on Windows an Event cannot be interrupted; a sleep can
                    time.sleep(3600)
            finally:
                sandbox.stop()

    def _create(self, options: dict[str, Any]) -> SandboxT:
        host, allow_remote = options["host"], options["allow_remote"]
        if not (allow_remote or is_loopback(host)):
            raise CommandError(
                f"{host} is reachable from other machines. Use 127.0.0.1, or add --allow-remote to allow this.",
                returncode=WRONG_USAGE,
            )
        on_request = None if options["quiet"] else self.write_line
        try:
            return self.create(
                options, host=host, port=options["port"], allow_remote=allow_remote, on_request=on_request
            )
        except ValueError as error:
            raise CommandError(str(error), returncode=WRONG_USAGE) from error

    def write_line(self, line: str) -> None:
        """Write a whole line, from any thread."""
        with self._output_lock:
            self.stdout.write(line)
            self.stdout.flush()


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first SIGTERM or SIGINT; a second must not break off the shutdown."""
    signals = (signal.SIGTERM, signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for signum in signals:
            signal.signal(signum, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = [signal.signal(signum, interrupt) for signum in signals]
    try:
        yield
    finally:
        for signum, handler in zip(signals, previous, strict=True):
            signal.signal(signum, handler)


def number_between(
    least: float, most: float, expected: str, convert: type[int] | type[float] = float
) -> Callable[[str], float]:
    """Return an argparse type for a number from `least` to `most`; `expected` describes it in the error."""

    def parse(text: str) -> float:
        try:
            number = convert(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
        return number

    return parse
