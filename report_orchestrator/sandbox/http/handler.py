"""One connection of a sandbox: reads requests and sends responses with the faults of connections."""

from __future__ import annotations

import socket
import struct
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from report_orchestrator.sandbox.http.api import SandboxRequest
from report_orchestrator.sandbox.http.faults import Fault
from report_orchestrator.sandbox.http.responses import Response, error_response

if TYPE_CHECKING:
    from report_orchestrator.sandbox.http.server import SandboxServer

# Closing a socket that lingers for zero seconds sends a reset instead of an orderly end.
LINGER_FOR_NOTHING = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection and sends the API's responses with their faults."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in separate writes, of which Nagle's algorithm would hold the second back for 40 ms.
    disable_nagle_algorithm = True
    server: SandboxServer

    def handle_http(self) -> None:
        length = self._body_length()
        if length is None:
            # The end of the body is unknown, so no later request on this connection can be read.
            self.close_connection = True
            response = error_response(HTTPStatus.LENGTH_REQUIRED, "the body needs a Content-Length")
            self._send(response.with_headers({"Connection": "close"}))
            return
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        headers = {name.title(): value for name, value in self.headers.items()}
        request = SandboxRequest(method=self.command, path=path, query=query, headers=headers, body=body)
        response = self.server.api.respond(request)
        try:
            self._deliver(response)
        finally:
            self._report(path, response)

    # Names that the standard library looks for.
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_http  # noqa: N815

    def version_string(self) -> str:
        return f"{self.server.service.lower()}-sandbox"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: `on_request` gets the requests."""

    def _body_length(self) -> int | None:
        if "Transfer-Encoding" in self.headers:
            return None
        length = self.headers.get("Content-Length", "0")
        return int(length) if length.isascii() and length.isdigit() else None

    def _deliver(self, response: Response) -> None:
        match response.fault:
            case Fault(kind="reset" | "reset_after_work"):
                self._reset()
            case Fault(kind="stall", seconds=seconds):
                self._wait(seconds or 0)
                self._send(response)
            case Fault(kind="trickle", seconds=seconds):
                self._send_slowly(response, seconds or 0)
            case Fault(kind="reset_mid_body", after_bytes=after_bytes):
                self._send_part(response, after_bytes)
                self._reset()
            case Fault(kind="short_body", after_bytes=after_bytes):
                self._send_part(response, after_bytes)
                self.close_connection = True
            case _:
                self._send(response)

    def _send(self, response: Response) -> None:
        self._send_head(response)
        if self.command == "HEAD":
            return
        for chunk in response.chunks:
            self.wfile.write(chunk)

    def _send_head(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(response.length))
        self.end_headers()

    def _send_slowly(self, response: Response, seconds: float) -> None:
        self._send_head(response)
        for chunk in response.chunks:
            for byte in chunk:
                self._wait(seconds)
                self.wfile.write(bytes((byte,)))

    def _send_part(self, response: Response, after_bytes: int | None) -> None:
        self._send_head(response)
        left = response.length // 2 if after_bytes is None else after_bytes
        for chunk in response.chunks:
            if left <= 0:
                return
            self.wfile.write(chunk[:left])
            left -= len(chunk)

    def _wait(self, seconds: float) -> None:
        if self.server.stopping.wait(seconds):
            raise ConnectionAbortedError("the sandbox is stopping")

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_FOR_NOTHING)
        self.close_connection = True

    def _report(self, path: str, response: Response) -> None:
        if self.server.on_request is None:
            return
        outcome = str(response.status.real) if response.fault is None else f"fault: {response.fault.kind}"
        line = f"{self.command} {path} {outcome} {response.note}".rstrip()
        self.server.on_request("".join(letter if letter.isprintable() else "?" for letter in line))
