"""Descriptions of network failures, from real sockets, without a library's own objects."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from report_orchestrator.adapters.http.bounded_http import Watch, WatchedAdapter, watched
from report_orchestrator.adapters.http.network_errors import describe
from report_orchestrator.sandbox.onelake.certificates import server_context
from tests.support.raw_server import Talk, answer, raw_server, says


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        made.mount("http://", WatchedAdapter())
        made.mount("https://", WatchedAdapter())
        yield made


def message_of(session: requests.Session, url: str, seconds: float = 0.3) -> str:
    with pytest.raises(requests.RequestException) as caught:
        session.get(url, timeout=seconds)
    return describe(caught.value)


def test_a_port_where_nobody_listens(session: requests.Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert message_of(session, f"http://127.0.0.1:{port}/") == "the host refused the connection"


def test_a_name_that_there_is_not(session: requests.Session) -> None:
    message = message_of(session, "http://no-such-host.invalid/", seconds=10)
    assert message.startswith("the host name was not found: ")


def test_a_host_that_takes_no_connection(session: requests.Session) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):  # its queue is full then, and further ones are left without an answer
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        assert (
            message_of(session, f"http://127.0.0.1:{address[1]}/") == "the host did not accept the connection in time"
        )


@pytest.mark.parametrize(
    ("talk", "seconds", "message"),
    [
        (lambda one: one.over.wait(5), 0.3, "the host did not respond in time"),
        (lambda one: one.socket.close(), 10, "the host closed the connection without a response"),
    ],
)
def test_a_host_that_does_not_answer(session: requests.Session, talk: Talk, seconds: float, message: str) -> None:
    with raw_server(talk) as server:
        assert message_of(session, server.url, seconds) == message


def test_a_certificate_that_nobody_trusts(session: requests.Session, tmp_path: Path) -> None:
    with raw_server(says(answer()), tls=server_context(tmp_path, "127.0.0.1")) as server:
        message = message_of(session, server.url, seconds=5)
    assert message.startswith("the host's TLS certificate is not trusted: ")


def test_an_answer_that_drips_says_what_was_exceeded(session: requests.Session) -> None:
    with raw_server(lambda one: one.drip(answer(), seconds=0.1)) as server, watched(Watch(silence=1, whole=0.3)):
        assert message_of(session, server.url, seconds=1) == "it did not complete in time"


def test_what_has_no_words_of_its_own_is_reported_without_a_librarys_objects() -> None:
    error = requests.ConnectionError(
        "<urllib3.connection.HTTPConnection object at 0x7f00>: HTTPConnection(host='a', port=1): odd"
    )
    assert describe(error) == "ConnectionError: odd"
