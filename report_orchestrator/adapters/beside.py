"""Work in a thread of its own, while the caller's keeps a lease: that one belongs to the database and to a shutdown's signal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

BEAT = 1.0
"""Seconds between two looks at work that goes on."""

_T = TypeVar("_T")


def beside(work: Callable[[], _T], name: str) -> Future[_T]:
    """Begins the work in a thread named so, and returns at once.

    A process that ends does not wait for it: a pool's threads would be waited for, however long a server is silent.
    """
    done: Future[_T] = Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever asks for the result
            done.set_exception(error)

    threading.Thread(target=do, name=name, daemon=True).start()
    return done


def awaited(done: Future[_T], keep: Callable[[], None]) -> _T:
    """The work's result, or its error. `keep` is called every second until then, in the caller's thread; it may raise."""
    while wait([done], BEAT).not_done:
        keep()
    return done.result()
