"""An answer belongs to its question: which connections of the Fireant client are used again."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from report_orchestrator.adapters.fireant.client import FireantClient
from report_orchestrator.adapters.http import bounded_http
from tests.support.fireant_calls import CALLS, PATIENCE, ask, client_of, submit, trusted
from tests.support.raw_server import Connection, answer, raw_server

TWO_FRAMINGS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'15\r\n{"status": "Running"}\r\n0\r\n\r\n'
)
KEPT = {"Connection": "", "Content-Type": "application/json"}
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
STRAY = answer(body=b'{"job_id": 666, "status": "Finished", "data": {"status": "Failed"}}', headers=KEPT)


def own_answer(connection: Connection) -> bytes:
    """Answer a request so that the answer names its job."""
    path = connection.head.split()[1].partition("?")[0]
    job = path.rpartition("/")[2]
    job_id = f"of-{len(connection.body)}" if connection.body else job
    body = f'{{"job_id": "{job_id}", "status": "Running", "results": ["{job}"], "message": "{job}"}}'
    return answer(body=body.encode(), headers=KEPT)


def result_of(client: FireantClient, job: str) -> bytes:
    with client.results(job) as pieces:
        return b"".join(pieces)


def has_own_result(client: FireantClient, job: str) -> bool:
    return f'["{job}"]'.encode() in result_of(client, job)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints", "199 Else"])
def test_interim_responses_are_read_over(call: str, interim: str) -> None:
    hint = f"HTTP/1.1 {interim}\r\nLink: </x>\r\n\r\n".encode()

    def hinted(connection: Connection) -> None:
        connection.send(hint + hint)
        connection.over.wait(0.05)
        connection.send(own_answer(connection))

    with raw_server(hinted, keeps_alive=True) as server, client_of(server.url) as client:
        CALLS[call](client)
        assert [client.status(job).message for job in "89"] == ["8", "9"]


def test_each_job_gets_its_own_result_after_early_hints() -> None:
    def hints_once(connection: Connection) -> None:
        if "results/7" in connection.head:
            connection.send(EARLY_HINTS)
            connection.over.wait(0.1)
        connection.send(own_answer(connection))

    with raw_server(hints_once, keeps_alive=True) as server, client_of(server.url) as client:
        assert [has_own_result(client, job) for job in ("7", "8", "9", "11")] == [True] * 4


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_connection_with_left_over_bytes_is_not_used_again(
    call: str, tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = trusted(tmp_path, monkeypatch) if tls else None
    with (
        raw_server(lambda one: one.send(own_answer(one) + STRAY), tls=context, keeps_alive=True) as server,
        client_of(server.url) as client,
    ):
        CALLS[call](client)
        assert [client.status(job).message for job in "89"] == ["8", "9"]
        assert submit(client) == "of-12"
        assert server.connections == 4


def test_a_second_answer_that_comes_late_is_never_that_of_a_submission_or_a_result() -> None:
    sent = threading.Event()

    def doubled(connection: Connection) -> None:
        connection.send(own_answer(connection))
        if len(server.requests) == 1:
            connection.over.wait(0.05)
            connection.send(STRAY)
            sent.set()

    with raw_server(doubled, keeps_alive=True) as server, client_of(server.url) as client:
        assert submit(client) == "of-12"
        assert submit(client) == "of-12"
        assert has_own_result(client, "7")
        assert sent.wait(PATIENCE)
        assert client.status("8").message == "8"


@pytest.mark.parametrize(
    "unclean",
    [
        answer(body=b'{"status": "Running"}x', headers=KEPT | {"Content-Length": "21"}),
        TWO_FRAMINGS,
        b"HTTP/1.1 204 No Content\r\n\r\nbody",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
    ids=["longer-than-its-length", "two-framings", "a-body-without-content", "another-protocol"],
)
def test_a_connection_whose_exchange_was_not_clean_is_closed(unclean: bytes) -> None:
    with (
        raw_server(lambda one: one.send(own_answer(one) if "/8" in one.head else unclean), keeps_alive=True) as server,
        client_of(server.url) as client,
    ):
        with contextlib.suppress(Exception):
            ask(client)
        assert client.status("8").message == "8"
        assert server.connections == 2


def test_questions_in_a_row_share_a_connection() -> None:
    with raw_server(lambda one: one.send(own_answer(one)), keeps_alive=True) as server, client_of(server.url) as client:
        assert [client.status(job).message for job in "789"] == ["7", "8", "9"]
        assert server.connections == 1


@pytest.mark.parametrize("call", [submit, ask])
def test_a_connection_that_a_balancer_has_forgotten_costs_nothing(
    call: Callable[[FireantClient], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers the first bytes on a connection that was idle with a reset."""
    monkeypatch.setattr(bounded_http, "LONGEST_IDLE", 0.1)

    def forgets(connection: Connection) -> None:
        connection.send(own_answer(connection))
        connection.socket.recv(1)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with raw_server(forgets) as server, client_of(server.url) as client:
        ask(client)
        time.sleep(0.2)  # the time for which the connection is idle
        call(client)
        assert len(server.requests) == 2


def test_blank_lines_behind_an_answer_do_not_meet_the_next_submission() -> None:
    def blank(connection: Connection) -> None:
        connection.send(own_answer(connection))
        connection.over.wait(0.05)
        connection.send(b"\r\n")

    with raw_server(blank, keeps_alive=True) as server, client_of(server.url) as client:
        ask(client)
        assert submit(client) == "of-12"
