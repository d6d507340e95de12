"""The Fireant client against servers that mean no good, or that stand in its way: real sockets, real TLS, a real proxy."""

from __future__ import annotations

import base64
import contextlib
import gzip
import importlib.util
import json
import multiprocessing
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from report_orchestrator.adapters.fireant import FireantClient
from report_orchestrator.domain.payload import Payload
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.exceptions import (
    ConfigurationError,
    FireantError,
    OrchestratorError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.ports import JobState
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.sandbox.onelake_certificates import AUTHORITY, server_context
from tests.conftest import SettingsFactory
from tests.raw_server import Connection, Talk, answer, raw_server, relay, says

KEY = "k/9+secret=key&more"
FINISHED = answer(body=b'{"data": {"status": "Finished"}}', headers={"Content-Type": "application/json"})
SHORT = 0.3  # seconds of silence that the client bears; a whole short answer may take twice that
PAYLOAD: Payload = {"geos": []}


@contextmanager
def client_of(url: str, **given: object) -> Iterator[FireantClient]:
    options = {"FIREANT_API_URL": url, "FIREANT_API_KEY": KEY, "TIMEOUT_SECONDS": SHORT, **given}
    client = FireantClient(SettingsFactory.make(**options))
    try:
        yield client
    finally:
        client.close()


def submit(client: FireantClient) -> str:
    return client.submit(EventKind.GEO, PAYLOAD, reference="ref-1")


def ask(client: FireantClient) -> object:
    return client.status("7")


def download(client: FireantClient) -> bytes:
    with client.results("7") as pieces:
        return b"".join(pieces)


CALLS: dict[str, Callable[[FireantClient], object]] = {"submit": submit, "status": ask, "results": download}


def failure(call: Callable[[FireantClient], object], client: FireantClient) -> OrchestratorError:
    with pytest.raises(OrchestratorError) as caught:
        call(client)
    return caught.value


# Deadlines


@pytest.mark.parametrize(
    ("call", "error"),
    [("submit", SubmissionUnknownError), ("status", TransientError), ("results", TransientError)],
)
@pytest.mark.parametrize("tls", [False, True])
def test_a_head_that_drips_is_ended_by_the_deadline(
    call: str, error: type[OrchestratorError], tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = trusted(tmp_path, monkeypatch) if tls else None
    dripping = answer(headers={"X-Padding": "x" * 5000})
    with raw_server(lambda one: one.drip(dripping, seconds=SHORT / 6), tls=context) as server:
        with client_of(server.url) as client:
            began = time.monotonic()
            raised = failure(CALLS[call], client)
            assert time.monotonic() - began < 2 * SHORT + 1
        assert type(raised) is error
        assert len(server.requests) == 1


def test_a_body_that_drips_is_ended_by_the_deadline() -> None:
    def drip(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        connection.drip(b"x" * 5000, seconds=SHORT / 6)

    with raw_server(drip) as server, client_of(server.url) as client:
        began = time.monotonic()
        assert failure(ask, client).code == "fireant_no_answer"
        assert time.monotonic() - began < 2 * SHORT + 1


@pytest.mark.parametrize(
    ("framing", "body"),
    [("Content-Length: 5000", b"x" * 5000), ("Transfer-Encoding: chunked", b"1;" + b"x" * 5000)],
    ids=["body", "chunk-head"],
)
def test_a_result_of_one_byte_now_and_then_is_given_up(framing: str, body: bytes) -> None:
    def drip(connection: Connection) -> None:
        connection.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        connection.drip(body, seconds=SHORT / 6)

    with raw_server(drip) as server, client_of(server.url) as client:
        began = time.monotonic()
        raised = failure(download, client)
        assert raised.code == "result_cut_short"
        assert "less than 1024 bytes a second" in raised.message
        assert time.monotonic() - began < 2 * SHORT + 1


def test_a_result_that_takes_longer_than_its_deadline_is_given_up() -> None:
    def keep_on(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while not connection.over.wait(0.02):
            connection.send(b"x" * 4096)

    with raw_server(keep_on) as server, client_of(server.url, RESULT_DEADLINE_SECONDS=1) as client:
        began = time.monotonic()
        raised = failure(download, client)
        assert (raised.code, "not complete in time" in raised.message) == ("result_cut_short", True)
        assert 0.9 < time.monotonic() - began < 3


def test_a_store_that_takes_its_time_is_not_held_against_fireant() -> None:
    with raw_server(says(answer(body=b"x" * 3_000_000))) as server, client_of(server.url) as client:
        with client.results("7") as pieces:
            received = len(next(pieces))
            time.sleep(3 * SHORT)  # the store's time: what is tested is that it passes
            received += sum(len(piece) for piece in pieces)
        assert received == 3_000_000


def test_a_server_that_reads_nothing_is_ended_by_the_deadline() -> None:
    def deaf(connection: Connection) -> None:
        connection.over.wait(10)

    large: Payload = {"geos": ["x" * 50_000_000]}
    with raw_server(deaf, reads_bodies=False) as server, client_of(server.url) as client:
        began = time.monotonic()
        raised = failure(lambda one: one.submit(EventKind.GEO, large, reference="ref-1"), client)
        assert isinstance(raised, SubmissionUnknownError)
        assert time.monotonic() - began < 2 * SHORT + 1


# Redirects


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 x"]
)
def test_a_redirect_is_never_followed_and_the_other_host_never_hears_of_it(call: str, status: str) -> None:
    with raw_server(says(FINISHED)) as other:
        location = f"http://me:{KEY}@localhost:{other.port}/elsewhere?key={KEY}"
        with (
            raw_server(says(answer(status, headers={"Location": location}))) as server,
            client_of(server.url) as client,
        ):
            raised = failure(CALLS[call], client)
        assert other.connections == 0
        assert raised.code == f"fireant_{status[:3]}"
        assert "FIREANT_API_URL" in raised.message
        assert KEY not in raised.message


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("location", ["http://[bad", "/\xff", "http://x:port/", "//", ""])
def test_a_redirect_to_an_address_that_is_none_is_told_like_any_other(call: str, location: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    with raw_server(says(head.encode("latin-1"))) as server, client_of(server.url) as client:
        assert failure(CALLS[call], client).code == "fireant_302"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("packed", [True, False])
def test_the_body_of_a_redirect_is_never_read_whole(call: str, packed: bool) -> None:
    """The rest stays with its sender, who meets a closed connection; what is packed would be 64 MB in memory."""
    sent = threading.Event()
    bomb = gzip.compress(bytes(64_000_000))

    def talk(connection: Connection) -> None:
        headers = {"Location": "https://login.example/", "Content-Length": ""}
        if packed:
            connection.send(answer("302 Found", bomb, headers | {"Content-Encoding": "gzip"}))
            return
        connection.send(answer("302 Found", headers=headers))
        with contextlib.suppress(OSError):
            for _ in range(64):
                connection.send(b"x" * 1_000_000)
            sent.set()

    with raw_server(talk) as server, client_of(server.url, TIMEOUT_SECONDS=5) as client:
        tracemalloc.start()
        try:
            assert failure(CALLS[call], client).code == "fireant_302"
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert most < 10_000_000
    assert not sent.is_set()


# Sizes


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


def test_an_encoding_that_was_not_asked_for_and_cannot_be_undone_is_told() -> None:
    with (
        raw_server(says(answer(body=b"x", headers={"Content-Encoding": "br"}))) as server,
        client_of(server.url) as client,
    ):
        assert "packed as 'br'" in failure(download, client).message
        assert "accept-encoding: identity" in server.heads[0].lower()


@pytest.mark.parametrize(
    ("call", "code"), [("submit", "submission_unknown"), ("status", "fireant_no_answer")]
)
def test_an_answer_whose_chunks_the_transport_leaves_in_it_counts_as_none(call: str, code: str) -> None:
    headers = {"Content-Length": "", "Transfer-Encoding": "gzip, chunked"}
    body = b'{"job_id": "7", "status": "Finished"}'
    with raw_server(says(answer(body=body, headers=headers))) as server, client_of(server.url) as client:
        raised = failure(CALLS[call], client)
    assert raised.code == code
    refused = answer("422 Unprocessable", body, headers)
    with raw_server(says(refused)) as server, client_of(server.url) as client:
        assert failure(CALLS[call], client).code == "fireant_422"


# Beginnings of answers, without secrets

ECHOES = {
    "as it is": KEY,
    "in a header": f"Authorization: Bearer {KEY}",
    "percent-encoded": quote(KEY, safe=""),
    "percent-encoded in small letters": quote(KEY, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "in JSON": json.dumps({"got": {"Authorization": f"Bearer {KEY}"}}),
    "in base64": base64.b64encode(KEY.encode()).decode(),
    "in base64 behind a name": base64.b64encode(f"me:{KEY}".encode()).decode(),
    "in base64 between others": base64.urlsafe_b64encode(f"ab{KEY}cdef".encode()).decode(),
    "in hexadecimal": KEY.encode().hex(),
    "in HTML": "<b>k/9+secret=key&amp;more</b>",
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("form", ECHOES)
def test_a_server_that_echoes_the_key_gives_nothing_of_it_away(call: str, form: str) -> None:
    echo = ECHOES[form]
    text = f"bad ncores {echo} end"
    with (
        raw_server(says(answer("422 Unprocessable", text.encode()))) as server,
        client_of(server.url) as client,
    ):
        raised = failure(CALLS[call], client)
        assert KEY in server.heads[0]
    assert "bad ncores" in raised.message
    assert "end" in raised.message
    assert "***" in raised.message
    for secret in (KEY, echo, quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode()[:16]):
        assert secret not in raised.message


@pytest.mark.parametrize("before", [*range(2048 - len(KEY) - 1, 2050), *range(8192 - len(KEY) - 1, 8194)])
def test_a_key_at_the_cut_leaves_no_beginning_of_it(before: int) -> None:
    body = b"-" * before + KEY.encode() + b"-" * 20_000
    with raw_server(says(answer("400 Bad", body))) as server, client_of(server.url) as client:
        said = failure(ask, client).message
    assert KEY[:4] not in said
    assert len(said) < 2200


def test_many_keys_that_are_masked_do_not_pull_a_cut_one_into_the_beginning() -> None:
    body = (KEY.encode() + b" ") * 2000
    with raw_server(says(answer("400 Bad", body))) as server, client_of(server.url) as client:
        said = failure(ask, client).message
    assert KEY[:4] not in said


def test_a_status_or_an_id_that_is_the_key_is_not_kept() -> None:
    document = json.dumps({"status": KEY, "message": KEY, "error": KEY, "results_url": f"https://x/?k={KEY}"})
    with raw_server(says(answer(body=document.encode()))) as server, client_of(server.url) as client:
        status = client.status("7")
    assert KEY not in repr(status)
    assert status.state is JobState.UNKNOWN
    with (
        raw_server(says(answer(body=json.dumps({"job_id": KEY}).encode()))) as server,
        client_of(server.url) as client,
    ):
        raised = failure(submit, client)
    assert raised.code == "no_job_id"
    assert KEY not in raised.message


def test_the_status_of_a_refusal_counts_although_its_body_breaks_off_or_never_ends() -> None:
    cut = answer("503 Unavailable", b"busy", {"Content-Length": "5000", "Retry-After": "77"})
    endless = answer("422 Unprocessable", b"x" * 3_000_000)
    with raw_server(says(cut)) as server, client_of(server.url) as client:
        raised = failure(submit, client)
        assert isinstance(raised, TransientError)
        assert (raised.code, raised.retry_after) == ("fireant_503", timedelta(seconds=77))
    with raw_server(says(endless)) as server, client_of(server.url) as client:
        assert failure(submit, client).code == "fireant_422"


def test_a_success_that_is_longer_than_any_answer_is_not_read_to_its_end() -> None:
    with raw_server(says(answer(body=b" " * 3_000_000 + b"{}"))) as server, client_of(server.url) as client:
        assert failure(ask, client).code == "fireant_no_answer"


@pytest.mark.parametrize("key", ["k\u2026y", "a b", "schl\u00fcssel", "new\nline"])
def test_a_key_that_no_header_can_carry_is_a_matter_of_configuration(key: str) -> None:
    with raw_server(says(FINISHED)) as server, client_of(server.url, FIREANT_API_KEY=key) as client:
        raised = failure(ask, client)
        assert isinstance(raised, ConfigurationError)
        assert "FIREANT_API_KEY" in raised.message
        assert key not in repr(raised)
        assert server.connections == 0


# TLS and proxies


def trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context whose authority the environment names."""
    context = server_context(folder, "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / AUTHORITY))
    return context


def test_a_certificate_of_an_authority_that_the_environment_names_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        raw_server(says(FINISHED), tls=trusted(tmp_path, monkeypatch)) as server,
        client_of(server.url) as client,
    ):
        assert client.status("7").state is JobState.FINISHED


@pytest.mark.parametrize("call", CALLS)
def test_a_certificate_of_an_authority_that_nobody_named_is_refused_before_the_key_is_sent(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with (
        raw_server(says(FINISHED), tls=server_context(tmp_path, "127.0.0.1")) as server,
        client_of(server.url) as client,
    ):
        raised = failure(CALLS[call], client)
    assert isinstance(raised, ConfigurationError)
    assert "REQUESTS_CA_BUNDLE" in raised.message
    assert server.requests == []


def test_a_certificate_of_another_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(says(FINISHED), tls=trusted(tmp_path, monkeypatch)) as server:
        with (
            client_of(server.url.replace("127.0.0.1", "127.0.0.2")) as client,
            pytest.raises(OrchestratorError),
        ):
            ask(client)
        assert server.requests == []


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the environment name a proxy, for this machine's addresses too."""

    def name(url: str) -> None:
        for variable in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("https_proxy", url)

    return name


def test_a_proxy_of_the_environment_is_used(through: Callable[[str], None]) -> None:
    with raw_server(says(FINISHED)) as proxy:
        through(proxy.url)
        with client_of("http://fireant.test") as client:
            assert client.status("7").state is JobState.FINISHED
        assert proxy.heads[0].startswith("GET http://fireant.test/get_job_status/7?")


def test_https_goes_through_a_proxy_as_a_tunnel_that_hides_the_key(
    through: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw_server(says(FINISHED), tls=trusted(tmp_path, monkeypatch)) as server:
        with raw_server(lambda one: relay(one, server.port)) as proxy:
            through(proxy.url.replace("http://", "http://me:pr0xy-passw0rd@"))
            with client_of(server.url) as client:
                assert client.status("7").state is JobState.FINISHED
            assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} ")
            assert KEY not in proxy.heads[0]
        assert f"Authorization: Bearer {KEY}" in server.heads[0]
        assert "Proxy-Authorization" not in server.heads[0]


def test_a_host_that_no_proxy_names_is_called_directly(
    through: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        raw_server(says(FINISHED)) as server,
        raw_server(says(FINISHED)) as proxy,
        client_of(server.url) as client,
    ):
        through(proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        ask(client)
        assert (len(server.requests), proxy.connections) == (1, 0)


PROXY_FAULTS: dict[str, tuple[Talk, type[OrchestratorError]]] = {
    "407": (says(answer("407 Proxy Authentication Required")), ConfigurationError),
    "502": (says(answer("502 Bad Gateway")), TransientError),
    "drips": (lambda one: one.drip(answer(headers={"X": "x" * 900}), seconds=SHORT / 6), TransientError),
}


@pytest.mark.parametrize("fault", PROXY_FAULTS)
def test_a_tunnel_that_is_not_made_surely_submitted_nothing(
    fault: str, through: Callable[[str], None]
) -> None:
    talk, error = PROXY_FAULTS[fault]
    with raw_server(talk) as proxy:
        through(proxy.url.replace("http://", "http://me:pr0xy-passw0rd@"))
        with client_of("https://fireant.test") as client:
            raised = failure(submit, client)
        assert len(proxy.requests) == 1
    assert type(raised) is error
    assert "pr0xy" not in raised.message


def test_a_proxy_that_is_away_surely_submitted_nothing(through: Callable[[str], None]) -> None:
    with raw_server(says(b"")) as gone:
        pass
    through(f"http://me:pr0xy-passw0rd@127.0.0.1:{gone.port}")
    for url in ("http://fireant.test", "https://fireant.test"):
        with client_of(url) as client:
            raised = failure(submit, client)
            assert raised.code == "fireant_unreachable"
            assert "pr0xy" not in raised.message


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_job_whose_id_holds_407_makes_no_password_of_a_proxy_that_is_away(
    scheme: str, through: Callable[[str], None]
) -> None:
    with raw_server(says(b"")) as gone:
        pass
    through(gone.url)
    with client_of(f"{scheme}://fireant407.test") as client:
        raised = failure(lambda one: one.status("4071"), client)
    assert raised.code == "fireant_unreachable"


@pytest.mark.skipif(importlib.util.find_spec("socks") is not None, reason="PySocks is installed")
def test_a_socks_proxy_without_its_package_is_told_as_such(
    through: Callable[[str], None],
) -> None:
    through("socks5://me:pr0xy-passw0rd@127.0.0.1:9")
    with client_of("http://fireant.test") as client:
        raised = failure(submit, client)
    assert isinstance(raised, ConfigurationError)
    assert "PySocks" in raised.message
    assert "ALL_PROXY" in raised.message
    assert "FIREANT_API_KEY" not in raised.message
    assert "pr0xy" not in raised.message


# Submissions of which nobody can tell what became


@pytest.mark.parametrize("status", [500, 502, 503, 504, 508, 511, 520, 522, 524, 599])
def test_a_gateways_error_leaves_open_whether_the_job_exists(status: int) -> None:
    with raw_server(says(answer(f"{status} x", b'{"job_id": 7}'))) as server, client_of(server.url) as client:
        raised = failure(submit, client)
    assert isinstance(raised, SubmissionUnknownError)
    own_codes = {500: "submission_failed", 503: "fireant_503"}
    assert raised.code == own_codes.get(status, "submission_unknown")


@pytest.mark.parametrize("status", ["501 x", "505 x", "503 x\r\nRetry-After: 7", "429 x", "408 x"])
def test_an_error_that_says_that_nothing_was_done_is_definite(status: str) -> None:
    with raw_server(says(answer(status))) as server, client_of(server.url) as client:
        raised = failure(submit, client)
    assert (type(raised), raised.code) == (TransientError, f"fireant_{status[:3]}")


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted", "299 x"])
def test_any_success_that_names_a_job_is_taken(status: str) -> None:
    with raw_server(says(answer(status, b'{"job_id": 7}'))) as server, client_of(server.url) as client:
        assert submit(client) == "7"


@pytest.mark.parametrize(
    ("status", "body"), [("202 Accepted", b""), ("201 Created", b'{"id": 7}'), ("204 No Content", b"")]
)
def test_a_success_of_another_kind_without_a_job_leaves_open_whether_there_is_one(
    status: str, body: bytes
) -> None:
    with raw_server(says(answer(status, body))) as server, client_of(server.url) as client:
        raised = failure(submit, client)
    assert (type(raised), raised.code) == (SubmissionUnknownError, "submission_unknown")


# One session a process


def test_threads_share_one_session_and_its_connections() -> None:
    with (
        FireantSandbox(SandboxOptions(api_key=KEY)) as sandbox,
        client_of(sandbox.url, TIMEOUT_SECONDS=5) as client,
    ):
        job_id = submit_good(client)
        threads = [
            threading.Thread(target=lambda: [client.status(job_id) for _ in range(20)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sandbox.requests["status"] == 160
        assert len(client._sessions) == 1


def submit_good(client: FireantClient) -> str:
    payload: Payload = {
        "as_at_date": "2026-07-01",
        "fx_date": "2026-07-01",
        "geos": [{"id": 1, "event_type": "geo"}],
        "meta": {"report_id": 1},
    }
    return client.submit(EventKind.GEO, payload, reference="ref-1")


def test_a_child_of_a_fork_has_a_session_of_its_own() -> None:
    with (
        FireantSandbox(SandboxOptions(api_key=KEY)) as sandbox,
        client_of(sandbox.url, TIMEOUT_SECONDS=5) as client,
    ):
        job_id = submit_good(client)
        context: Any = multiprocessing.get_context("fork")
        told = context.SimpleQueue()

        def in_child() -> None:
            before = dict(client._sessions)
            state = client.status(job_id).state.value
            told.put((state, len(before), len(client._sessions)))

        child = context.Process(target=in_child)
        child.start()
        child.join(20)
        assert told.get() == ("Finished", 1, 2)
        assert client.status(job_id).state is JobState.FINISHED


def test_the_client_shows_no_key() -> None:
    with client_of("http://127.0.0.1:1") as client:
        failure(ask, client)
        shown = [
            repr(client),
            str(client),
            repr(vars(client)),
            repr(client._session.auth),
            repr(client._settings),
        ]
    assert not [text for text in shown if KEY in text]


def test_nothing_is_repeated_by_the_client_itself() -> None:
    with raw_server(lambda one: None) as server, client_of(server.url) as client:
        for call in CALLS.values():
            failure(call, client)
        assert len(server.requests) == 3


def test_a_probe_tells_whether_the_key_is_accepted_and_submits_nothing() -> None:
    with FireantSandbox(SandboxOptions(api_key=KEY)) as sandbox:
        with client_of(sandbox.url) as client:
            probed = client.probe()
            assert (probed.detail, probed.doubt) == ("answered 404 to a question about no job", "")
            assert probed.ahead is not None
            assert abs(probed.ahead) < timedelta(seconds=3)
        with client_of(sandbox.url, FIREANT_API_KEY="wrong") as client:
            assert isinstance(failure(lambda one: one.probe(), client), ConfigurationError)
        assert sandbox.jobs == ()


def test_a_probe_that_meets_a_web_page_says_so() -> None:
    with raw_server(says(answer("404 Not Found", b"<html>"))) as server, client_of(server.url) as client:
        assert "FIREANT_API_URL" in client.probe().doubt


def test_a_definite_refusal_is_an_error_of_fireants(tmp_path: Path) -> None:
    with raw_server(says(answer("422 Unprocessable", b"no"))) as server, client_of(server.url) as client:
        assert isinstance(failure(submit, client), FireantError)
