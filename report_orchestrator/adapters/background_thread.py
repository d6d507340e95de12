"""Run work in a thread of its own while the calling thread, which owns the database connection and handles signals,
keeps its lease.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import TypeVar, cast

HEARTBEAT_SECONDS = 1.0
"""Seconds between two calls of `heartbeat`."""

_T = TypeVar("_T")
_END = object()


def run_in_thread(work: Callable[[], _T], name: str) -> Future[_T]:
    """Start the work in a named thread and return its future at once.

    The thread is a daemon: a process that ends does not wait for a silent server, as it would for a pool's threads.
    """
    done: Future[_T] = Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is read
            done.set_exception(error)

    threading.Thread(target=do, name=name, daemon=True).start()
    return done


def wait_for(done: Future[_T], heartbeat: Callable[[], None]) -> _T:
    """Return the work's result, or raise its error. `heartbeat` is called every second until then, in the caller's
    thread, and may raise.
    """
    while wait([done], HEARTBEAT_SECONDS).not_done:
        heartbeat()
    return done.result()


def with_heartbeat(items: Iterator[_T], heartbeat: Callable[[], None]) -> Iterator[_T]:
    """Yield the items, each fetched in a thread. `heartbeat` is called for each, and every second of waiting for one."""
    while (item := wait_for(run_in_thread(lambda: next(items, _END), "reader"), heartbeat)) is not _END:
        heartbeat()
        yield cast("_T", item)
