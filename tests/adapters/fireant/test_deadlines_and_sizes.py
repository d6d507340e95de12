"""The Fireant client against slow servers and large answers."""

from __future__ import annotations

import gzip
import json
import threading
import time
from pathlib import Path

import pytest

from report_orchestrator.domain.payload import Payload
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.exceptions import OrchestratorError, SubmissionUnknownError, TransientError
from tests.support.fireant_calls import CALLS, SHORT, ask, client_of, download, failure, trusted
from tests.support.raw_server import Connection, answer, raw_server, says

pytestmark = pytest.mark.slow

LONG = 60.0  # seconds that a slow machine does not need for a deadline of less than a second; the servers take minutes


@pytest.mark.parametrize(
    ("call", "error"), [("submit", SubmissionUnknownError), ("status", TransientError), ("results", TransientError)]
)
@pytest.mark.parametrize("tls", [False, True])
def test_a_head_that_drips_is_ended_by_the_deadline(
    call: str, error: type[OrchestratorError], tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = trusted(tmp_path, monkeypatch) if tls else None
    dripping = answer(headers={"X-Padding": "x" * 5000})
    with raw_server(lambda one: one.drip(dripping, seconds=SHORT / 6), tls=context) as server:
        with client_of(server.url, TIMEOUT_SECONDS=SHORT) as client:
            began = time.monotonic()
            raised = failure(CALLS[call], client)
            assert time.monotonic() - began < LONG
        assert type(raised) is error
        assert len(server.requests) == 1


def test_a_body_that_drips_is_ended_by_the_deadline() -> None:
    def drip(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        connection.drip(b"x" * 5000, seconds=SHORT / 6)

    with raw_server(drip) as server, client_of(server.url, TIMEOUT_SECONDS=SHORT) as client:
        began = time.monotonic()
        assert failure(ask, client).code == "fireant_no_answer"
        assert time.monotonic() - began < LONG


@pytest.mark.parametrize(
    ("framing", "body"),
    [("Content-Length: 5000", b"x" * 5000), ("Transfer-Encoding: chunked", b"1;" + b"x" * 5000)],
    ids=["body", "chunk-head"],
)
def test_a_result_of_one_byte_now_and_then_is_given_up(framing: str, body: bytes) -> None:
    def drip(connection: Connection) -> None:
        connection.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        connection.drip(body, seconds=SHORT / 6)

    with raw_server(drip) as server, client_of(server.url, TIMEOUT_SECONDS=SHORT) as client:
        began = time.monotonic()
        raised = failure(download, client)
        assert raised.code == "result_cut_short"
        assert "slower than 1024 bytes per second" in raised.message
        assert time.monotonic() - began < LONG


def test_a_result_that_takes_longer_than_its_deadline_is_given_up() -> None:
    def keep_on(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while not connection.over.wait(0.02):
            connection.send(b"x" * 4096)

    with raw_server(keep_on) as server, client_of(server.url, RESULT_DEADLINE_SECONDS=1) as client:
        began = time.monotonic()
        raised = failure(download, client)
        assert (raised.code, "not complete in time" in raised.message) == ("result_cut_short", True)
        assert 0.9 < time.monotonic() - began < LONG


def test_a_store_that_takes_its_time_is_not_held_against_fireant() -> None:
    with raw_server(says(answer(body=b"x" * 3_000_000))) as server, client_of(server.url) as client:
        with client.results("7") as pieces:
            received = len(next(pieces))
            time.sleep(3 * SHORT)  # the store's time: what is tested is that it passes
            received += sum(len(piece) for piece in pieces)
        assert received == 3_000_000


def test_a_server_that_reads_nothing_is_ended_by_the_deadline() -> None:
    def deaf(connection: Connection) -> None:
        connection.over.wait(2 * LONG)

    large: Payload = {"geos": ["x" * 50_000_000]}
    with raw_server(deaf, reads_bodies=False) as server, client_of(server.url, TIMEOUT_SECONDS=SHORT) as client:
        began = time.monotonic()
        raised = failure(lambda one: one.submit(EventKind.GEO, large, reference="ref-1"), client)
        assert isinstance(raised, SubmissionUnknownError)
        assert time.monotonic() - began < LONG


def test_the_time_to_encode_a_payload_is_none_of_the_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    dumps, never = json.dumps, threading.Event()

    def encode_slowly(*args: object, **kwargs: object) -> str:
        never.wait(3 * SHORT)
        return dumps(*args, **kwargs)  # type: ignore[arg-type]  # as requests calls it

    monkeypatch.setattr("requests.models.complexjson.dumps", encode_slowly)
    with (
        raw_server(says(answer(body=b'{"job_id": "7"}'))) as server,
        client_of(server.url, TIMEOUT_SECONDS=SHORT) as client,
    ):
        assert client.submit(EventKind.GEO, {"geos": []}, reference="ref-1") == "7"


@pytest.mark.parametrize("framing", ["length", "chunked", "close", "gzip"])
@pytest.mark.parametrize(("size", "refused"), [(100_000, False), (100_001, True)])
def test_a_result_is_measured_unpacked_however_it_is_framed(framing: str, size: int, refused: bool) -> None:
    with (
        raw_server(says(framed(json_of(size), framing))) as server,
        client_of(server.url, MAX_RESULT_BYTES=100_000) as client,
    ):
        if refused:
            assert failure(download, client).code == "result_too_large"
        else:
            assert download(client) == json_of(size)


def json_of(size: int) -> bytes:
    """A document of so many bytes."""
    return b"[" + b" " * (size - 2) + b"]"


def framed(body: bytes, framing: str) -> bytes:
    match framing:
        case "chunked":
            chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
            return answer(headers={"Content-Length": "", "Transfer-Encoding": "chunked"}) + chunk
        case "close":
            return answer(headers={"Content-Length": ""}) + body
        case "gzip":
            return answer(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
        case _:
            return answer(body=body)


def test_a_result_that_announces_too_much_is_refused_before_its_first_byte() -> None:
    head = answer(headers={"Content-Length": "100001"})
    with raw_server(says(head)) as server, client_of(server.url, MAX_RESULT_BYTES=100_000) as client:
        assert failure(download, client).code == "result_too_large"


def test_an_unpacked_bomb_is_never_in_memory_whole() -> None:
    bomb = gzip.compress(bytes(300_000_000))
    with (
        raw_server(says(answer(body=bomb, headers={"Content-Encoding": "gzip"}))) as server,
        client_of(server.url) as client,
    ):
        with client.results("7") as pieces:
            largest = max(len(piece) for piece in pieces)
        assert largest <= 1024 * 1024
        assert failure(ask, client).code == "fireant_no_answer"


def test_what_is_packed_twice_behind_each_other_is_one_body_and_what_ends_early_is_none() -> None:
    packed = gzip.compress(b"first") + gzip.compress(b"second")
    with (
        raw_server(says(answer(body=packed, headers={"Content-Encoding": "gzip"}))) as server,
        client_of(server.url) as client,
    ):
        assert download(client) == b"firstsecond"
    with (
        raw_server(says(answer(body=packed[:-9], headers={"Content-Encoding": "gzip"}))) as server,
        client_of(server.url) as client,
    ):
        assert failure(download, client).code == "result_cut_short"


def test_an_encoding_that_was_not_requested_and_cannot_be_undone_is_reported() -> None:
    with (
        raw_server(says(answer(body=b"x", headers={"Content-Encoding": "br"}))) as server,
        client_of(server.url) as client,
    ):
        assert "Content-Encoding 'br'" in failure(download, client).message
        assert "accept-encoding: identity" in server.heads[0].lower()


@pytest.mark.parametrize(("call", "code"), [("submit", "submission_unknown"), ("status", "fireant_no_answer")])
def test_an_answer_whose_chunks_the_transport_leaves_in_it_counts_as_none(call: str, code: str) -> None:
    headers = {"Content-Length": "", "Transfer-Encoding": "gzip, chunked"}
    body = b'{"job_id": "7", "status": "Finished"}'
    with raw_server(says(answer(body=body, headers=headers))) as server, client_of(server.url) as client:
        raised = failure(CALLS[call], client)
    assert raised.code == code
    refused = answer("422 Unprocessable", body, headers)
    with raw_server(says(refused)) as server, client_of(server.url) as client:
        assert failure(CALLS[call], client).code == "fireant_422"


@pytest.mark.parametrize("call", CALLS)
def test_a_long_status_line_costs_next_to_nothing(call: str) -> None:
    with raw_server(says(b"a" * 65000 + b"\r\n\r\n")) as server, client_of(server.url) as client:
        began = time.thread_time()
        failure(CALLS[call], client)
        assert time.thread_time() - began < 0.5


@pytest.mark.parametrize("unit", ["eyJ-", "a", '"key":', "://", " ", "Connection("])
def test_a_long_text_of_fireant_costs_next_to_nothing(unit: str) -> None:
    text = unit * (1_000_000 // len(unit) // 2)
    body = json.dumps({"data": {"status": "Running", "message": text}}).encode()
    assert len(body) < 1024 * 1024
    with raw_server(says(answer(body=body))) as server, client_of(server.url) as client:
        began = time.thread_time()
        status = client.status("7")
        client.probe()
        assert time.thread_time() - began < 0.5
    assert len(status.message) == 2048
