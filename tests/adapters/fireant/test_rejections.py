"""The Fireant client against redirects and rejections, which never give a secret away."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import threading
import tracemalloc
from datetime import timedelta
from urllib.parse import quote

import pytest

from report_orchestrator.exceptions import ConfigurationError, TransientError
from report_orchestrator.ports import JobState
from tests.support.fireant_calls import CALLS, FINISHED, KEY, ask, client_of, failure, submit
from tests.support.raw_server import Connection, answer, raw_server, says

pytestmark = pytest.mark.slow


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
def test_a_redirect_to_an_address_that_is_none_is_reported_like_any_other(call: str, location: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    with raw_server(says(head.encode("latin-1"))) as server, client_of(server.url) as client:
        assert failure(CALLS[call], client).code == "fireant_302"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("packed", [True, False])
def test_the_body_of_a_redirect_is_never_read_whole(call: str, packed: bool) -> None:
    """The rest is not read, and the sender finds a closed connection; decompressed, it would be 64 MB in memory."""
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

    with raw_server(talk) as server, client_of(server.url) as client:
        tracemalloc.start()
        try:
            assert failure(CALLS[call], client).code == "fireant_302"
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert most < 10_000_000
    assert not sent.is_set()


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
    with raw_server(says(answer("422 Unprocessable", text.encode()))) as server, client_of(server.url) as client:
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
        message = failure(ask, client).message
    assert KEY[:4] not in message
    assert len(message) < 2200


def test_many_keys_that_are_masked_do_not_pull_a_cut_one_into_the_beginning() -> None:
    body = (KEY.encode() + b" ") * 2000
    with raw_server(says(answer("400 Bad", body))) as server, client_of(server.url) as client:
        message = failure(ask, client).message
    assert KEY[:4] not in message


def test_a_status_or_an_id_that_is_the_key_is_not_kept() -> None:
    document = json.dumps({"status": KEY, "message": KEY, "error": KEY, "results_url": f"https://x/?k={KEY}"})
    with raw_server(says(answer(body=document.encode()))) as server, client_of(server.url) as client:
        status = client.status("7")
    assert KEY not in repr(status)
    assert status.state is JobState.UNKNOWN
    with raw_server(says(answer(body=json.dumps({"job_id": KEY}).encode()))) as server, client_of(server.url) as client:
        raised = failure(submit, client)
    assert raised.code == "no_job_id"
    assert KEY not in raised.message


@pytest.mark.parametrize(("key", "code"), [("dev", ""), ("develop", ""), ("developer", "no_job_id")])
def test_a_short_key_occurs_in_ids_by_chance_and_costs_no_job(key: str, code: str) -> None:
    body = json.dumps({"job_id": f"job-{key}-7"}).encode()
    with raw_server(says(answer(body=body))) as server, client_of(server.url, FIREANT_API_KEY=key) as client:
        if code:
            assert failure(submit, client).code == code
        else:
            assert submit(client) == f"job-{key}-7"


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


@pytest.mark.parametrize("key", ["k\u2026y", "k y", "schl\u00fcssel", "new\nline"])
def test_a_key_that_no_header_can_carry_is_a_matter_of_configuration(key: str) -> None:
    with raw_server(says(FINISHED)) as server, client_of(server.url, FIREANT_API_KEY=key) as client:
        raised = failure(ask, client)
        assert isinstance(raised, ConfigurationError)
        assert "FIREANT_API_KEY" in raised.message
        assert key not in repr(raised)
        assert server.connections == 0
