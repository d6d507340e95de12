"""What a person reads of a failure on the network: from real sockets, and none of a library's own objects in it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from report_orchestrator.adapters.network_words import in_words
from report_orchestrator.adapters.watched_http import Watch, WatchedAdapter, watched
from report_orchestrator.sandbox.onelake_certificates import server_context
from tests.raw_server import Talk, answer, raw_server, says


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        made.mount("http://", WatchedAdapter())
        made.mount("https://", WatchedAdapter())
        yield made


def told(session: requests.Session, url: str, seconds: float = 0.3) -> str:
    with pytest.raises(requests.RequestException) as caught:
        session.get(url, timeout=seconds)
    return in_words(caught.value)


def test_a_port_where_nobody_listens(session: requests.Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert told(session, f"http://127.0.0.1:{port}/") == "the host refused the connection"


def test_a_name_that_there_is_not(session: requests.Session) -> None:
    said = told(session, "http://no-such-host.invalid/", seconds=10)
    assert said.startswith("the host's name was not found: ")


def test_a_host_that_takes_no_connection(session: requests.Session) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):  # its queue is full then, and further ones are left without an answer
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        assert (
            told(session, f"http://127.0.0.1:{address[1]}/") == "the host did not take the connection in time"
        )


@pytest.mark.parametrize(
    ("talk", "said"),
    [
        (lambda one: one.over.wait(5), "the host said nothing in time"),
        (lambda one: one.socket.close(), "the host closed the connection without an answer"),
    ],
)
def test_a_host_that_does_not_answer(session: requests.Session, talk: Talk, said: str) -> None:
    with raw_server(talk) as server:
        assert told(session, server.url) == said


def test_a_certificate_that_nobody_trusts(session: requests.Session, tmp_path: Path) -> None:
    with raw_server(says(answer()), tls=server_context(tmp_path, "127.0.0.1")) as server:
        said = told(session, server.url, seconds=5)
    assert said.startswith("the host's TLS certificate is not trusted: ")


def test_an_answer_that_drips_says_what_was_exceeded(session: requests.Session) -> None:
    with (
        raw_server(lambda one: one.drip(answer(), seconds=0.1)) as server,
        watched(Watch(silence=1, whole=0.3)),
    ):
        assert told(session, server.url, seconds=1) == "it was not complete in time"


def test_what_has_no_words_of_its_own_is_told_without_a_librarys_objects() -> None:
    error = requests.ConnectionError(
        "<urllib3.connection.HTTPConnection object at 0x7f00>: HTTPConnection(host='a', port=1): odd"
    )
    assert in_words(error) == "ConnectionError: odd"
