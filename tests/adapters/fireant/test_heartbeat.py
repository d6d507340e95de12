"""A download keeps its lease by the clock, not by its output."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from report_orchestrator.adapters.fireant.client import FireantClient
from report_orchestrator.adapters.http import bounded_http
from report_orchestrator.exceptions import LeaseLostError, SubmissionUnknownError
from tests.support.fireant_calls import CALLS, SHORT, client_of, download, failure, trusted
from tests.support.raw_server import Connection, answer, raw_server

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
GZIP = CHUNKED + b"Content-Encoding: gzip\r\n\r\n"
EMPTY_MEMBERS = gzip.compress(b"") * 50
EMPTY_BLOCKS = b"\x00\x00\x00\xff\xff" * 200


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


FRUITLESS = {
    "empty members": (GZIP, chunk(EMPTY_MEMBERS)),
    "empty blocks": (GZIP + chunk(gzip.compress(b"")[:10]), chunk(EMPTY_BLOCKS)),
    "empty deflate blocks": (
        CHUNKED + b"Content-Encoding: deflate\r\n\r\n" + chunk(zlib.compress(b"")[:2]),
        chunk(EMPTY_BLOCKS),
    ),
    "trailers": (CHUNKED + b"\r\n" + chunk(b"{}") + b"0\r\n", b"X-More: and more\r\n" * 50),
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50),
}


def endless(head: bytes, more: bytes, *, seconds: float) -> Callable[[Connection], None]:
    def talk(connection: Connection) -> None:
        connection.send(head)
        while not connection.over.wait(seconds):
            connection.send(more)

    return talk


@pytest.mark.parametrize("kind", FRUITLESS)
def test_a_download_that_yields_nothing_hears_a_lost_lease(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "HEARTBEAT_SECONDS", 0.05)

    def lost() -> None:
        raise LeaseLostError

    with raw_server(endless(*FRUITLESS[kind], seconds=0.01)) as server, client_of(server.url) as client:
        began = time.monotonic()
        with pytest.raises(LeaseLostError), client.results("7", lost) as pieces:
            list(pieces)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("kind", FRUITLESS)
def test_a_download_that_yields_nothing_ends(kind: str) -> None:
    head, more = FRUITLESS[kind]
    with raw_server(endless(head, more * 100, seconds=0)) as server, client_of(server.url) as client:
        began = time.process_time()
        raised = failure(download, client)
        assert time.process_time() - began < 10
    assert "without content" in raised.message


SILENT = {
    "before the response": b"",
    "within the headers": CHUNKED,
    "before the body": CHUNKED + b"\r\n",
    "within the body": CHUNKED + b"\r\n" + chunk(b'{"results": ['),
}


def silent(head: bytes) -> Callable[[Connection], None]:
    def talk(connection: Connection) -> None:
        connection.send(head)
        connection.over.wait(60)

    return talk


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext | None:
    return trusted(tmp_path, monkeypatch) if request.param == "https" else None


@pytest.mark.parametrize("moment", SILENT)
def test_a_silent_download_hears_a_lost_lease(
    moment: str, tls: ssl.SSLContext | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEARTBEAT_SECONDS", 0.05)
    beats = iter(range(5))

    def lost_after_a_while() -> None:
        if next(beats, None) is None:
            raise LeaseLostError

    with raw_server(silent(SILENT[moment]), tls=tls) as server, client_of(server.url, TIMEOUT_SECONDS=30) as client:
        began = time.monotonic()
        with pytest.raises(LeaseLostError), client.results("7", lost_after_a_while) as pieces:
            list(pieces)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("moment", SILENT)
def test_a_silent_download_ends_in_time(moment: str, tls: ssl.SSLContext | None) -> None:
    with raw_server(silent(SILENT[moment]), tls=tls) as server, client_of(server.url, TIMEOUT_SECONDS=SHORT) as client:
        raised = failure(download_with_heartbeat, client)
    assert "in time" in raised.message or "timed out" in raised.message


def test_a_slow_download_is_complete(tls: ssl.SSLContext | None) -> None:
    body = b'{"results": [%s]}' % b", ".join([b"1"] * 20_000)

    def talk(connection: Connection) -> None:
        whole = answer(body=body)
        connection.drip(whole[:100], seconds=0.001)
        connection.send(whole[100:])

    with raw_server(talk, tls=tls) as server, client_of(server.url) as client:
        assert download_with_heartbeat(client) == body


def download_with_heartbeat(client: FireantClient) -> bytes:
    with client.results("7", lambda: None) as pieces:
        return b"".join(pieces)


@pytest.fixture
def unanswered(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of a host with twenty addresses, at none of which a connection is accepted."""
    with contextlib.ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _filling in range(4):  # the kernel's queue
            client = held.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)] * 20
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_options: found)
        yield f"http://fireant.example:{address[1]}"


@pytest.mark.parametrize("call", CALLS)
def test_a_host_of_many_addresses_is_given_up_in_time(call: str, unanswered: str) -> None:
    with client_of(unanswered, TIMEOUT_SECONDS=0.5) as client:
        began = time.monotonic()
        raised = failure(CALLS[call], client)
        assert time.monotonic() - began < 5  # each address alone takes half a second
    assert "did not accept the connection in time" in raised.message
    assert not isinstance(raised, SubmissionUnknownError)


def test_a_download_that_cannot_connect_hears_a_lost_lease(unanswered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "HEARTBEAT_SECONDS", 0.05)

    def lost() -> None:
        raise LeaseLostError

    with client_of(unanswered, TIMEOUT_SECONDS=30) as client:
        began = time.monotonic()
        with pytest.raises(LeaseLostError), client.results("7", lost) as pieces:
            list(pieces)
        assert time.monotonic() - began < 10
