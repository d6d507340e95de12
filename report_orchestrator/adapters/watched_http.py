"""HTTP whose whole exchange is bounded: an answer that drips is ended, in its head as in its body.

A time-out of requests bounds one silence only, so a byte a second would hold a worker for ever. Here a `Watch` is asked before
every read and write of the socket.
"""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

SENT_AT_ONCE = 64 * 1024
"""Bytes. A server that reads a byte at a time is met between two of these."""


class Watch:
    """How long one exchange may take: `silence` seconds between two bytes, `whole` seconds from now on for all of it."""

    def __init__(self, *, silence: float, whole: float) -> None:
        self.has_begun = False
        """Whether the request itself has begun: no connection, handshake or tunnel is being waited for any more."""
        self._silence = silence
        self._ends_at = time.monotonic() + whole
        self._slowest = 0.0
        self._received, self._waited = 0, 0.0

    def download(self, *, whole: float, slowest: float) -> None:
        """From here on, so many seconds for the rest, and no slower than `slowest` bytes a second over two silences' length.

        Only waiting for bytes counts for the pace, so a reader that takes its time is not held against the sender.
        """
        self._ends_at = time.monotonic() + whole
        self._slowest = slowest

    def allow(self) -> float:
        """How many seconds the next read or write may wait. Raises `TimeoutError` when the time is up."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("it was not complete in time")
        return min(self._silence, left)

    def note(self, received: int, waited: float) -> None:
        """Takes note of a read. Raises `TimeoutError` where bytes come too slowly to wait for the rest."""
        self._received += received
        self._waited += waited
        if self._waited < 2 * self._silence:
            return
        if self._received < self._slowest * self._waited:
            raise TimeoutError(f"it came at less than {self._slowest:g} bytes a second")
        self._received, self._waited = 0, 0.0


_current: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """What is sent and answered within is bounded by the watch; of a streamed answer, all of the body too."""
    token = _current.set(watch)
    try:
        yield
    finally:
        _current.reset(token)


class _WatchedReader(io.RawIOBase):
    """A socket's bytes, with the watch asked before each read."""

    def __init__(self, raw: io.RawIOBase, connection: Any, watch: Watch) -> None:
        self._raw = raw
        self._connection = connection  # a socket, or what urllib3 puts in its place for TLS within TLS
        self._watch = watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._connection.settimeout(self._watch.allow())
        began = time.monotonic()
        try:
            received = cast("int | None", self._raw.readinto(buffer))
        except TimeoutError:
            self._watch.allow()  # says so, where it was the whole and not a silence
            raise
        self._watch.note(received or 0, time.monotonic() - began)
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class WatchedResponse(http.client.HTTPResponse):
    """An answer, and a proxy's answer to CONNECT, read under the watch of the request."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        watch = _current.get()
        if watch is not None:
            self.fp: Any = io.BufferedReader(_WatchedReader(self.fp.detach(), sock, watch))


class _Watched:
    """What both kinds of connection do differently."""

    response_class: Any = WatchedResponse

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        """Begins the request, for which HTTPS has shaken hands by now, and made its tunnel where there is a proxy."""
        watch = _current.get()
        if watch is not None:
            watch.has_begun = True
        super().putrequest(*args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        """Sends in pieces, so that the watch is asked in between."""
        watch = _current.get()
        if watch is None or not isinstance(data, bytes | bytearray):
            super().send(data)  # type: ignore[misc]
            return
        for start in range(0, len(data), SENT_AT_ONCE):
            self._wait_no_longer_than(watch.allow())
            super().send(data[start : start + SENT_AT_ONCE])  # type: ignore[misc]

    def _wait_no_longer_than(self, seconds: float) -> None:
        connection = getattr(self, "sock", None)
        if connection is not None:
            connection.settimeout(seconds)


class _WatchedHTTPConnection(_Watched, HTTPConnection):
    pass


class _WatchedHTTPSConnection(_Watched, HTTPSConnection):
    pass


class _WatchedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTPConnection


class _WatchedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPSConnection


class WatchedAdapter(HTTPAdapter):
    """Requests' own adapter over connections that are watched, to the server and through proxies alike."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Makes the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _watch_pools_of(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Makes the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        _watch_pools_of(manager)
        return manager


def _watch_pools_of(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _WatchedHTTPPool, "https": _WatchedHTTPSPool}
