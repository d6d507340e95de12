"""The signals of the tests' own processes."""

from __future__ import annotations

import signal


def take_ignored_signals() -> None:
    """Take the signals that a background shell ignores: child processes would inherit that."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
