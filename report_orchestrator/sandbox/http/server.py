"""Sockets and threads of the sandboxes."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import selectors
import socket
import sys
import threading
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from ssl import SSLError
from typing import TYPE_CHECKING, Any, Generic, Self, TypedDict

from report_orchestrator.sandbox.http.api import EndpointT, SandboxApi
from report_orchestrator.sandbox.http.faults import KindT
from report_orchestrator.sandbox.http.handler import LINGER_FOR_NOTHING, Handler

if TYPE_CHECKING:
    import ssl
    from collections import Counter
    from collections.abc import Callable
    from types import TracebackType

logger = logging.getLogger(__name__)

SECONDS_FOR_A_CONNECTION_TO_END = 5.0


class ServerOptions(TypedDict, total=False):
    """The address, by default a free port of the loopback, and a listener for a line for each request.

    `on_request` is called from several threads; its lines have no key, token, query or body.
    """

    host: str
    port: int
    on_request: Callable[[str], None] | None
    allow_remote: bool


class Sandbox(Generic[EndpointT, KindT]):
    """A server for an API, whose state outlives `stop`. `start` serves it again at the same address: an outage.

    A subclass gives `service`, the name of the service that it imitates.

    Raises:
        ValueError: the host is not a loopback address and `allow_remote` was not given.
    """

    service = ""
    scheme = "http"

    def __init__(
        self,
        api: SandboxApi[EndpointT, KindT],
        host: str = "127.0.0.1",
        port: int = 0,
        on_request: Callable[[str], None] | None = None,
        *,
        allow_remote: bool = False,
    ) -> None:
        if not (allow_remote or is_loopback(host)):
            raise ValueError(f"{host} is reachable from other machines: the sandbox is for this machine only")
        self.faults = api.faults
        self._api = api
        self._on_request = on_request
        self._host = host
        self._port = port
        self._server: SandboxServer | None = None

    @property
    def url(self) -> str:
        """The address, without a trailing slash. Known after the first start."""
        if not self._port:
            raise RuntimeError("the sandbox has no address before it is started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self.scheme}://{host}:{self._port}"

    @property
    def requests(self) -> Counter[str]:
        """Requests by endpoint, refused ones included: `requests["status"]`."""
        return self._api.requests

    def clear(self) -> None:
        """Forget all content, requests and faults."""
        self._api.clear()

    def start(self) -> Self:
        """Bind and serve until `stop`. Does nothing if already serving.

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
        """End every connection and thread and release the port. Does nothing if already stopped."""
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
        """The TLS context to serve with; None for plain HTTP."""
        return None


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach a server that binds to `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class SandboxServer(ThreadingHTTPServer):
    """An HTTP server for an API, with TLS if given, which can end all its connections."""

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
        api: SandboxApi[Any, Any],
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
        super().__init__((host, port), Handler)
        self._wake_up, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name=f"{service.lower()}-sandbox", daemon=True)

    def server_bind(self) -> None:
        """Bind without a name-service lookup of this machine's name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Accept no more connections, end the open ones, join their threads and release the port."""
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
        """Accept a connection. Its own thread does the TLS handshake, so that a slow client blocks no other."""
        connection, address = super().get_request()
        if self._tls is None:
            return connection, address
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        # Only the serving thread comes here, and `end` reads when that one has ended: no lock is needed.
        self._connections = {thread: known for thread, known in self._connections.items() if thread.is_alive()}
        thread.start()
        self._connections[thread] = request

    def shutdown_request(self, request: Any) -> None:
        """End a connection in order, or by a reset if a fault requires it."""
        if _is_to_be_reset(request):
            # An orderly end first would reach the client before the reset does.
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log errors of the sandbox, not clients that disconnected."""
        if not isinstance(sys.exception(), ConnectionError | SSLError):
            logger.exception("The %s sandbox could not answer a request", self.service)


def _is_to_be_reset(connection: socket.socket) -> bool:
    lingering = connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(LINGER_FOR_NOTHING))
    return lingering == LINGER_FOR_NOTHING
