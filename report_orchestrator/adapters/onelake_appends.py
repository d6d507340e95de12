"""A result's bytes on their way into a temporary file: in equal pieces, a few of them at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from report_orchestrator.adapters.onelake_client import PIECE

AT_ONCE = 2
"""Appends under way while the next piece is read: the lake's answer to one is not waited for before the next is sent."""

Append = Callable[[bytes, int], None]


def append_all(pieces: Iterable[bytes], append: Append) -> int:
    """Gives each piece with its offset to `append`, from other threads; returns the size of all once each is done.

    The pieces are read in the caller's thread. An append's error is raised from here, and no further one is begun then.
    """
    threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="onelake-append")
    size, under_way = 0, deque[Future[None]]()
    try:
        for piece in pieces:
            if len(under_way) == AT_ONCE:
                under_way.popleft().result()
            under_way.append(threads.submit(append, piece, size))
            size += len(piece)
        while under_way:
            under_way.popleft().result()
    except Exception:
        threads.shutdown(cancel_futures=True)
        raise
    except BaseException:
        # The worker is being ended, and does not wait for a lake that may be silent.
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    threads.shutdown()
    return size


def pieces(chunks: Iterable[bytes], size: int = PIECE) -> Iterator[bytes]:
    """The same bytes in pieces of exactly `size`, the last of what is left. Empty chunks do not matter."""
    held = bytearray()
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            room = size - len(held)
            held += rest[:room]
            rest = rest[room:]
            if len(held) == size:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)
