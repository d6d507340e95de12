"""HTTP exchanges with a limit on their total time, so that a server that sends a byte now and then cannot hold a
worker, over connections that are used again only after an exchange that ended cleanly.

A time-out of requests limits only the silence between bytes. Here a `Watch` is consulted before every read and write
of the socket.
"""

import http.client
import io
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError

from report_orchestrator.adapters.background_thread import run_in_thread
from report_orchestrator.ports import no_heartbeat

SENT_AT_ONCE = 64 * 1024
"""Bytes sent between two checks of the watch, so that a slow reader is noticed."""
LONGEST_WITHOUT_CONTENT = 4 * 1024 * 1024
"""Bytes received in a row, such as trailers or empty compressed members, of which none became content."""
LONGEST_IDLE = 3.0
"""Seconds after which a pooled connection is not used again: a balancer may have dropped it without closing it."""
SHORTEST_TIMEOUT = 0.001
"""Seconds; a timeout of zero would make the socket non-blocking."""
HEARTBEAT_SECONDS = 1.0
"""Seconds between two calls of a watch's `heartbeat`."""


class Watch:
    """Time limits of one exchange: `silence` seconds between two bytes, `whole` seconds in total once it is prepared.

    `heartbeat` is called about once a second while bytes are awaited or come in, and may raise. `is_fresh` requires a new
    connection: a late response to an earlier request may still arrive on an old one.
    """

    def __init__(
        self, *, silence: float, whole: float, heartbeat: Callable[[], None] = no_heartbeat, is_fresh: bool = False
    ) -> None:
        self.has_begun = False
        """True once the request itself has begun: connection, handshake and tunnel are done."""
        self.is_fresh = is_fresh
        self._heartbeat = heartbeat
        self._heartbeat_at = time.monotonic() + HEARTBEAT_SECONDS
        self._without_content = 0
        self._silence = silence
        self._whole = whole
        self._ends_at = time.monotonic() + whole
        self._slowest = 0.0
        self._received, self._waited = 0, 0.0

    def start(self) -> None:
        """Count from now on: to encode a large payload takes time, but none of the exchange."""
        self._ends_at = time.monotonic() + self._whole

    def download(self, *, whole: float, slowest: float) -> None:
        """Allow `whole` more seconds, at no less than `slowest` bytes a second over twice the silence limit.

        Only the time spent waiting for bytes counts, so a slow consumer does not make the sender look slow.
        """
        self._ends_at = time.monotonic() + whole
        self._slowest = slowest

    def allow(self) -> float:
        """Return the seconds that the next read or write may wait. Raises `TimeoutError` if the time is up."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("it did not complete in time")
        return min(self._silence, left)

    def progressed(self) -> None:
        """Record that received bytes became content."""
        self._without_content = 0

    @property
    def longest_read(self) -> float:
        """Seconds of one read without a heartbeat."""
        return self._silence if self._heartbeat is no_heartbeat else HEARTBEAT_SECONDS

    def beat(self) -> None:
        """Call the heartbeat, unless it was called within the last second."""
        if time.monotonic() >= self._heartbeat_at:
            self._heartbeat()
            self._heartbeat_at = time.monotonic() + HEARTBEAT_SECONDS

    def note(self, received: int, waited: float) -> None:
        """Record a read. Raises `TimeoutError` if bytes arrive too slowly, or bring no content."""
        self.beat()
        self._without_content += received
        if self._without_content > LONGEST_WITHOUT_CONTENT:
            raise TimeoutError(f"it sent {LONGEST_WITHOUT_CONTENT:,} bytes without content")
        self._received += received
        self._waited += waited
        if self._waited < 2 * self._silence:
            return
        if self._received < self._slowest * self._waited:
            raise TimeoutError(f"it was slower than {self._slowest:g} bytes per second")
        self._received, self._waited = 0, 0.0


_current: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Bound all requests made within the block, and the bodies of their streamed responses."""
    token = _current.set(watch)
    try:
        yield
    finally:
        _current.reset(token)


class _WatchedReader(io.RawIOBase):
    """A socket's bytes; consults the watch before each read."""

    def __init__(self, raw: io.RawIOBase, connection: Any, watch: Watch) -> None:
        self.has_ended = False
        """True once the response is complete: no more bytes are read for it."""
        self._raw = raw
        self._connection = connection  # a socket, or what urllib3 puts in its place for TLS within TLS
        self._watch = watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.has_ended:
            return None
        began = time.monotonic()
        received = self._received(buffer, began + self._watch.allow())
        self._watch.note(received, time.monotonic() - began)
        return received

    def _received(self, buffer: Any, until: float) -> int:
        """Receive bytes, with heartbeats meanwhile. The standard library's reader reads no more after a time-out."""
        while True:
            left = until - time.monotonic()
            self._connection.settimeout(max(min(left, self._watch.longest_read), SHORTEST_TIMEOUT))
            try:
                return cast("int", self._connection.recv_into(buffer))
            except TimeoutError:
                self._watch.allow()  # raises if the limit of the whole exchange is exceeded, not only that of a silence
                if time.monotonic() >= until:
                    raise
                self._watch.beat()

    def close(self) -> None:
        self._raw.close()
        super().close()


class WatchedResponse(http.client.HTTPResponse):
    """A response, or a proxy's response to CONNECT, read under the request's watch."""

    is_clean = False
    """True once the response was read to its end and nothing but it was received."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._connection = sock
        self._reader: _WatchedReader | None = None
        watch = _current.get()
        if watch is not None:
            self._reader = _WatchedReader(self.fp.detach(), sock, watch)
            self.fp: Any = io.BufferedReader(self._reader)

    def _read_status(self) -> tuple[str, int, str]:
        """Report each interim response as 100, the only one that the standard library reads over (RFC 9110, 15.2)."""
        version, status, reason = super()._read_status()  # type: ignore[misc]
        is_interim = 100 < status < 200 and status != http.client.SWITCHING_PROTOCOLS
        return version, http.client.CONTINUE if is_interim else status, reason

    def _close_conn(self) -> None:
        self.is_clean = self._ended_cleanly()
        super()._close_conn()  # type: ignore[misc]

    def _ended_cleanly(self) -> bool:
        if self._reader is None or not self.headers or self.status < http.client.OK or self.length:
            return False
        if self.chunked and self.headers.get("Content-Length") is not None:
            return False  # the two may disagree about the end (RFC 9112, 6.3)
        self._reader.has_ended = True
        decrypted = getattr(self._connection, "pending", None)
        return not self.fp.peek(1) and not (decrypted and decrypted())


class _Watched:
    """The behaviour shared by watched HTTP and HTTPS connections."""

    response_class: Any = WatchedResponse
    idle_since = 0.0
    _response: WatchedResponse | None = None

    @property
    def is_reusable(self) -> bool:
        """True if the last exchange ended cleanly."""
        return self._response is not None and self._response.is_clean

    def _new_conn(self) -> Any:
        """Connect in a thread: a look-up of names, or many addresses that do not answer, may take longer than the watch."""
        watch = _current.get()
        if watch is None:
            return super()._new_conn()  # type: ignore[misc]
        connecting = run_in_thread(super()._new_conn, "connect")  # type: ignore[misc]
        try:
            while wait([connecting], min(watch.allow(), watch.longest_read)).not_done:
                watch.beat()
        except TimeoutError:
            connecting.add_done_callback(_close_unused)
        except BaseException:
            connecting.add_done_callback(_close_unused)
            raise
        else:
            return connecting.result()
        # Outside of the block, so that no cause describes it.
        raise ConnectTimeoutError(self, "no address accepted a connection in time")

    def getresponse(self) -> Any:
        response = super().getresponse()  # type: ignore[misc]
        self._response = response._original_response  # noqa: SLF001 - the standard library's response
        return response

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        """Begin the request, once the connection, with any handshake and tunnel, is there."""
        if getattr(self, "sock", None) is None:
            self.connect()  # type: ignore[attr-defined]  # the standard library would connect after its beginning
        watch = _current.get()
        if watch is not None:
            watch.has_begun = True
        self._response = None
        super().putrequest(*args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        """Send in pieces and consult the watch in between."""
        watch = _current.get()
        if watch is None or not isinstance(data, bytes | bytearray):
            super().send(data)  # type: ignore[misc]
            return
        for start in range(0, len(data), SENT_AT_ONCE):
            self._wait_no_longer_than(watch.allow())
            self._send_piece(data[start : start + SENT_AT_ONCE])

    def _send_piece(self, piece: bytes | bytearray) -> None:
        try:
            super().send(piece)  # type: ignore[misc]
        except ssl.SSLEOFError:
            # The other side has closed: with TLS 1.3 its reason, such as a missing client certificate, can still be read.
            self.sock.recv(1)  # type: ignore[attr-defined]
            raise

    def _wait_no_longer_than(self, seconds: float) -> None:
        connection = getattr(self, "sock", None)
        if connection is not None:
            connection.settimeout(seconds)


def _close_unused(connecting: Future[Any]) -> None:
    if connecting.exception() is None:
        connecting.result().close()


class _WatchedHTTPConnection(_Watched, HTTPConnection):
    pass


class _WatchedHTTPSConnection(_Watched, HTTPSConnection):
    pass


class _CleanPool:
    """The behaviour shared by pools: an old connection is closed, and opened anew when it is used."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        watch = _current.get()
        if watch is None or watch.is_fresh or time.monotonic() - connection.idle_since > LONGEST_IDLE:
            connection.close()
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
            if not conn.is_reusable:
                conn.close()
        super()._put_conn(conn)  # type: ignore[misc]


class _WatchedHTTPPool(_CleanPool, HTTPConnectionPool):
    ConnectionCls = _WatchedHTTPConnection


class _WatchedHTTPSPool(_CleanPool, HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPSConnection


class WatchedAdapter(HTTPAdapter):
    """The adapter of requests over watched connections, to servers and through proxies."""

    def send(self, *args: Any, **kwargs: Any) -> Any:
        if watch := _current.get():
            watch.start()
        return super().send(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _watch_pools_of(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        _watch_pools_of(manager)
        return manager


def _watch_pools_of(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _WatchedHTTPPool, "https": _WatchedHTTPSPool}
