"""A server that sends exactly the given bytes over a socket, slowly if required, and records its requests."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

Talk = Callable[["Connection"], None]


@dataclass(slots=True)
class Connection:
    """A client's connection whose request has been read. `over` is set when the test ends."""

    socket: socket.socket
    head: str
    body: bytes
    over: threading.Event

    def send(self, data: bytes) -> None:
        """Send it at once."""
        self.socket.sendall(data)

    def drip(self, data: bytes, *, seconds: float) -> None:
        """Send it a byte at a time, with a pause before each."""
        for byte in data:
            if self.over.wait(seconds):
                return
            self.socket.sendall(bytes((byte,)))


@dataclass(slots=True)
class RawServer:
    """The address, and the received requests as head and body."""

    url: str
    port: int
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    connections: int = 0

    @property
    def heads(self) -> list[str]:
        """Return the heads of the requests: request line and headers."""
        return [head for head, _body in self.requests]


def answer(status: str = "200 OK", body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Return an HTTP/1.1 response, with its length unless the headers differ."""
    lines = {"Content-Length": str(len(body)), "Connection": "close"} | dict(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def says(data: bytes) -> Talk:
    """Return a server that always sends the same response."""
    return lambda connection: connection.send(data)


@contextmanager
def raw_server(
    talk: Talk, *, tls: ssl.SSLContext | None = None, reads_bodies: bool = True, keeps_alive: bool = False
) -> Iterator[RawServer]:
    """Serve until the end of the block: one thread for each connection, and one request unless it `keeps_alive`."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        server = RawServer(url=f"{'https' if tls else 'http'}://127.0.0.1:{port}", port=port)

        def converse(plain: socket.socket) -> None:
            # A client that leaves in the middle is what many tests want.
            with contextlib.suppress(OSError), plain:
                plain.settimeout(10)
                with tls.wrap_socket(plain, server_side=True) if tls else plain as client:
                    head, body = _request(client, reads_bodies)
                    while head:
                        server.requests.append((head, body))
                        talk(Connection(socket=client, head=head, body=body, over=over))
                        head, body = _request(client, reads_bodies) if keeps_alive else ("", b"")

        def accept() -> None:
            while True:
                try:
                    client, _address = listener.accept()
                except OSError:
                    return
                server.connections += 1
                threads.append(threading.Thread(target=converse, args=(client,), daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)
            for thread in threads:
                thread.join(5)


def _request(client: socket.socket, reads_bodies: bool) -> tuple[str, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = client.recv(65536)
        if not piece:
            return "", b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    length = next(
        (int(line.split(":")[1]) for line in text.split("\r\n") if line.lower().startswith("content-length:")), 0
    )
    while reads_bodies and len(body) < length:
        body += client.recv(65536)
    return text, body


def relay(connection: Connection, port: int) -> None:
    """Relay bytes both ways until one side ends, as a proxy does after CONNECT."""
    connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as server:
        back = threading.Thread(target=_carry, args=(server, connection.socket), daemon=True)
        back.start()
        _carry(connection.socket, server)
        back.join(5)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
