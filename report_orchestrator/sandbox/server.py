"""The sandboxes' sockets: connections, threads, and the faults that only a socket can commit."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import selectors
import socket
import struct
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from ssl import SSLError
from typing import TYPE_CHECKING, Any, Self

from report_orchestrator.sandbox.answers import Answer, error_answer
from report_orchestrator.sandbox.exchange import Exchange, SandboxApi, SandboxRequest
from report_orchestrator.sandbox.faults import Fault

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from types import TracebackType

logger = logging.getLogger(__name__)

# Closing a socket that lingers for zero seconds sends a reset instead of an orderly end.
LINGER_FOR_NOTHING = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

SECONDS_FOR_A_CONNECTION_TO_END = 5.0


class Sandbox:
    """What the sandboxes have in common: an address, a start and a stop, after which it may start again at the same address.

    A subclass gives `service`, the name of what it stands in for, and `_api`.

    Raises:
        ValueError: the host is not a loopback address and `allow_remote` was not given.
    """

    service = ""
    scheme = "http"
    _api: SandboxApi

    def __init__(
        self, host: str, port: int, *, on_request: Callable[[str], None] | None, allow_remote: bool
    ) -> None:
        if not (allow_remote or is_loopback(host)):
            raise ValueError(f"{host} can be reached from other machines: the sandbox is for this one only")
        self._on_request = on_request
        self._host = host
        self._port = port
        self._server: SandboxServer | None = None

    @property
    def url(self) -> str:
        """Its address, without a trailing slash. Known from the first start on."""
        if not self._port:
            raise RuntimeError("the sandbox has no address before its first start")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self.scheme}://{host}:{self._port}"

    def start(self) -> Self:
        """Binds and serves until `stop`. Does nothing when it serves already.

        Raises:
            OSError: the port is taken, or the address is not one of this machine.
        """
        if self._server is None:
            self._server = SandboxServer(
                self._host, self._port, self._api, self._on_request, service=self.service, tls=self._tls()
            )
            self._port = self._server.server_port
            self._server.start()
        return self

    def stop(self) -> None:
        """Ends every connection and thread and gives the port back. Does nothing when stopped already."""
        server, self._server = self._server, None
        if server is not None:
            server.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _tls(self) -> ssl.SSLContext | None:
        """The context to serve with; None for plain HTTP."""
        return None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that binds to `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class SandboxServer(ThreadingHTTPServer):
    """Serves an API, over HTTPS where there is a `tls` context. Knows its connections, so that it can end them all.

    `service` is the name of what it stands in for, such as `Fireant`.
    """

    # Windows would let two servers share one port.
    allow_reuse_address = sys.platform != "win32"
    daemon_threads = True
    # Seconds. A client that left before it was served must not block the one thread that accepts.
    timeout = 0
    # The standard library's five refuses a burst of workers that all poll at once.
    request_queue_size = 1024

    def __init__(
        self,
        host: str,
        port: int,
        api: SandboxApi,
        on_request: Callable[[str], None] | None,
        *,
        service: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.service = service
        self.api = api
        self._tls = tls
        self.on_request = on_request
        self.stopping = threading.Event()
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__((host, port), _Handler)
        self._wake_up, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name=f"{service.lower()}-sandbox", daemon=True)

    def server_bind(self) -> None:
        """Binds without asking the name service for this machine's name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def start(self) -> None:
        """Serves from a thread of its own until `end`."""
        self._thread.start()

    def end(self) -> None:
        """Takes no more connections, ends the open ones, waits for their threads and gives the port back."""
        self.stopping.set()
        self._wake_up.close()
        self._thread.join()
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._connections:
            thread.join(SECONDS_FOR_A_CONNECTION_TO_END)
        self._woken.close()
        self.server_close()

    def _serve(self) -> None:
        # The standard library's own loop looks for its end twice a second; this one sleeps until it is woken.
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while selector.select() and not self.stopping.is_set():
                self.handle_request()

    def get_request(self) -> tuple[Any, Any]:
        """Accepts a connection. Its first read shakes hands, in its own thread, so that a slow client holds up nobody."""
        connection, address = super().get_request()
        if self._tls is None:
            return connection, address
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serves one connection in a thread of its own."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        # Only the serving thread comes here, and `end` reads when that one has ended: no lock is needed.
        self._connections = {
            thread: known for thread, known in self._connections.items() if thread.is_alive()
        }
        thread.start()
        self._connections[thread] = request

    def shutdown_request(self, request: Any) -> None:
        """Ends one connection: in order, or by the reset that a fault asked for."""
        if _is_to_be_reset(request):
            # An orderly end first would reach the client before the reset does.
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that left, and everything of a defect."""
        if not isinstance(sys.exception(), ConnectionError | SSLError):
            logger.exception("The %s sandbox could not answer a request", self.service)


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, and sends what the API answers, with the fault that goes with it."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in separate writes, of which Nagle's algorithm would hold the second back for 40 ms.
    disable_nagle_algorithm = True
    server: SandboxServer

    def answer_request(self) -> None:
        length = self._body_length()
        if length is None:
            self._refuse_unreadable()
            return
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        headers = {name.title(): value for name, value in self.headers.items()}
        request = SandboxRequest(method=self.command, path=path, query=query, headers=headers, body=body)
        exchange = self.server.api.exchange(request)
        try:
            self._deliver(exchange)
        finally:
            self._tell(path, exchange)

    # Names that the standard library looks for.
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer_request  # noqa: N815

    def version_string(self) -> str:
        return f"{self.server.service.lower()}-sandbox"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: requests are told to `on_request`, where there is one."""

    def _body_length(self) -> int | None:
        if "Transfer-Encoding" in self.headers:
            return None
        length = self.headers.get("Content-Length", "0")
        return int(length) if length.isascii() and length.isdigit() else None

    def _refuse_unreadable(self) -> None:
        # Where the body ends is unknown, so nothing after it on this connection can be read.
        self.close_connection = True
        self._send(
            error_answer(HTTPStatus.LENGTH_REQUIRED, "the body needs a Content-Length", connection="close")
        )

    def _deliver(self, exchange: Exchange) -> None:
        answer = exchange.answer
        match exchange.fault:
            case Fault(kind="reset" | "reset_after_work"):
                self._reset()
            case Fault(kind="stall", seconds=seconds):
                self._wait(seconds or 0)
                self._send(answer)
            case Fault(kind="trickle", seconds=seconds):
                self._send_slowly(answer, seconds or 0)
            case Fault(kind="reset_mid_body", after_bytes=after_bytes):
                self._send_part(answer, after_bytes)
                self._reset()
            case Fault(kind="short_body", after_bytes=after_bytes):
                self._send_part(answer, after_bytes)
                self.close_connection = True
            case _:
                self._send(answer)

    def _send(self, answer: Answer) -> None:
        self._send_head(answer)
        if self.command == "HEAD":
            return
        for chunk in answer.chunks:
            self.wfile.write(chunk)

    def _send_head(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(answer.length))
        self.end_headers()

    def _send_slowly(self, answer: Answer, seconds: float) -> None:
        self._send_head(answer)
        for chunk in answer.chunks:
            for byte in chunk:
                self._wait(seconds)
                self.wfile.write(bytes((byte,)))

    def _send_part(self, answer: Answer, after_bytes: int | None) -> None:
        self._send_head(answer)
        most = answer.length // 2 if after_bytes is None else after_bytes
        for chunk in _first_bytes(answer, most):
            self.wfile.write(chunk)

    def _wait(self, seconds: float) -> None:
        if self.server.stopping.wait(seconds):
            raise ConnectionAbortedError("the sandbox is stopping")

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_FOR_NOTHING)
        self.close_connection = True

    def _tell(self, path: str, exchange: Exchange) -> None:
        if self.server.on_request is None:
            return
        told = str(exchange.answer.status.real) if exchange.fault is None else f"fault: {exchange.fault.kind}"
        line = f"{self.command} {path} {told} {exchange.answer.note}".rstrip()
        self.server.on_request("".join(letter if letter.isprintable() else "?" for letter in line))


def _first_bytes(answer: Answer, most: int) -> Iterator[bytes]:
    left = most
    for chunk in answer.chunks:
        if left <= 0:
            return
        yield chunk[:left]
        left -= len(chunk)


def _is_to_be_reset(connection: socket.socket) -> bool:
    lingering = connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(LINGER_FOR_NOTHING))
    return lingering == LINGER_FOR_NOTHING
