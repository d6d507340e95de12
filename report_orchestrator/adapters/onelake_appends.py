"""A result's bytes on their way into a temporary file: in equal pieces, a few of them at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from functools import partial

from report_orchestrator.adapters.beside import awaited, beside
from report_orchestrator.adapters.onelake_client import PIECE

AT_ONCE = 2
"""Appends under way while the next piece is read: the lake's answer to one is not waited for before the next is sent."""

Append = Callable[[bytes, int], None]


def append_all(pieces: Iterable[bytes], append: Append, keep: Callable[[], None]) -> int:
    """Gives each piece with its offset to `append`, from other threads; returns the size of all once each is done.

    The pieces are read in the caller's thread, in which `keep` is called every second that an append is waited for. An append's
    error, or one of `keep`, is raised from here once those under way are done, and no further one is begun then. A worker that
    is being ended does not wait: the lake may be silent.
    """
    size, under_way = 0, deque[Future[None]]()
    try:
        for piece in pieces:
            if len(under_way) == AT_ONCE:
                _wait_for_first(under_way, keep)
            under_way.append(beside(partial(append, piece, size), "onelake-append"))
            size += len(piece)
        while under_way:
            _wait_for_first(under_way, keep)
    except Exception:
        wait(under_way)
        raise
    return size


def _wait_for_first(under_way: deque[Future[None]], keep: Callable[[], None]) -> None:
    """It stays among those under way where `keep` raises."""
    awaited(under_way[0], keep)
    under_way.popleft()


def pieces(chunks: Iterable[bytes], size: int = PIECE) -> Iterator[bytes]:
    """The same bytes in pieces of exactly `size`, the last of what is left. Empty chunks do not matter."""
    held, filled = bytearray(), 0
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            fitting = rest[: size - filled]
            if len(held) < size:
                held += fitting
            else:
                # It grew with the first piece and is filled again: new memory for each took a fifth of the worker's time.
                memoryview(held)[filled : filled + len(fitting)] = fitting
            filled += len(fitting)
            rest = rest[len(fitting) :]
            if filled == size:
                yield bytes(held)
                filled = 0
    if filled:
        yield bytes(memoryview(held)[:filled])
