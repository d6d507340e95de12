"""The Fireant client behind gateways that respond in Fireant's place, or change its responses."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from report_orchestrator.exceptions import ConfigurationError, FireantError, TransientError
from tests.support.fireant_calls import CALLS, ask, client_of, download, failure, submit
from tests.support.raw_server import answer, raw_server, says

JSON = {"Content-Type": "application/json"}
PAGE = "<html><body>404 page not found</body></html>"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("kind", "body"), [("text/plain; charset=utf-8", "404 page not found\n"), ("text/html", PAGE), ("", "")]
)
def test_a_404_that_is_not_json_comes_from_a_gateway_and_is_tried_again(call: str, kind: str, body: str) -> None:
    refused = answer("404 Not Found", body.encode(), {"Content-Type": kind})
    with raw_server(says(refused)) as server, client_of(server.url) as client:
        raised = failure(CALLS[call], client)
    assert isinstance(raised, TransientError)
    assert raised.code == "not_from_fireant"
    assert "gateway" in raised.message


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [400, 405, 410, 413, 421, 431, 494])
@pytest.mark.parametrize(("kind", "body"), [("text/html", ""), ("text/plain", PAGE), ("", f"\n<!DOCTYPE html>{PAGE}")])
def test_a_refusal_that_is_a_page_comes_from_a_gateway_too(call: str, status: int, kind: str, body: str) -> None:
    refused = answer(f"{status} Refused", body.encode(), {"Content-Type": kind})
    with raw_server(says(refused)) as server, client_of(server.url) as client:
        raised = failure(CALLS[call], client)
    assert isinstance(raised, TransientError)
    assert raised.code == "not_from_fireant"
    assert f"with {status}" in raised.message


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", [b'{"detail": "no"}', b"no"])
def test_a_refusal_in_fireants_own_words_ends_the_run(call: str, body: bytes) -> None:
    with raw_server(says(answer("422 Unprocessable Content", body))) as server, client_of(server.url) as client:
        raised = failure(CALLS[call], client)
    assert (type(raised), raised.code) == (FireantError, "fireant_422")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_page_that_refuses_the_key_is_a_setting_to_correct(call: str, status: int) -> None:
    refused = answer(f"{status} Refused", PAGE.encode(), {"Content-Type": "text/html"})
    with raw_server(says(refused)) as server, client_of(server.url) as client:
        assert isinstance(failure(CALLS[call], client), ConfigurationError)


@pytest.mark.parametrize(
    ("call", "code"), [("submit", "fireant_404"), ("status", "job_unknown"), ("results", "no_result")]
)
def test_a_404_in_json_is_that_of_fireant(call: str, code: str) -> None:
    refused = answer("404 Not Found", b'{"detail": "Not Found"}', JSON)
    with raw_server(says(refused)) as server, client_of(server.url) as client:
        raised = failure(CALLS[call], client)
    assert (type(raised), raised.code) == (FireantError, code)


@pytest.mark.parametrize("status", ["200 OK", "202 Accepted", "203 Non-Authoritative Information"])
def test_a_question_is_answered_by_any_2xx_with_a_status(status: str) -> None:
    running = answer(status, b'{"data": {"status": "Running"}}', JSON)
    with raw_server(says(running)) as server, client_of(server.url) as client:
        assert client.status("7").reported == "Running"


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        ("status", "204 No Content", "malformed_answer"),
        ("status", "202 Accepted", "malformed_answer"),
        ("results", "202 Accepted", "fireant_202"),
        ("results", "204 No Content", "fireant_204"),
        ("results", "206 Partial Content", "fireant_206"),
    ],
)
def test_a_2xx_without_an_answer_is_tried_again_after_the_wait_it_asks_for(call: str, status: str, code: str) -> None:
    body = b"" if "204" in status else b"[]"
    with raw_server(says(answer(status, body, JSON | {"Retry-After": "3"}))) as server, client_of(server.url) as client:
        raised = failure(CALLS[call], client)
    assert isinstance(raised, TransientError)
    assert (raised.code, raised.retry_after and raised.retry_after.total_seconds()) == (code, 3)
    assert status.partition(" ")[0] in raised.message


PLAIN = b'{"job_id": 5, "status": "Running", "results": []}'
DEFLATED = zlib.compressobj(wbits=-15)
RAW = DEFLATED.compress(PLAIN) + DEFLATED.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("UTF-8", PLAIN),
        ("none", PLAIN),
        ("gzip", PLAIN),
        ("deflate", PLAIN),
        ("deflate", b" \n" + PLAIN),
        ("deflate", RAW),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", gzip.compress(PLAIN, mtime=0)),
        ("gzip", zlib.compress(PLAIN)),
        ("x-gzip", gzip.compress(PLAIN, mtime=0)),
    ],
)
def test_a_packing_is_known_by_its_first_bytes(encoding: str, body: bytes) -> None:
    packed = answer(body=body, headers=JSON | {"Content-Encoding": encoding})
    with raw_server(says(packed)) as server, client_of(server.url) as client:
        assert submit(client) == "5"
        assert client.status("5").reported == "Running"
        assert download(client).strip() == PLAIN


def test_bytes_that_come_one_by_one_are_unpacked_too() -> None:
    body = b"".join(b"1\r\n" + bytes((byte,)) + b"\r\n" for byte in gzip.compress(PLAIN, mtime=0)) + b"0\r\n\r\n"
    headers = JSON | {"Content-Length": "", "Transfer-Encoding": "chunked", "Content-Encoding": "gzip"}
    with raw_server(says(answer(headers=headers) + body)) as server, client_of(server.url) as client:
        assert download(client) == PLAIN


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/json", "text/plain", ""])
@pytest.mark.parametrize("body", [b'{"results":[1', b" [[1]", b'\xef\xbb\xbf{"a": "}"'])
def test_json_that_is_cut_short_is_tried_again_whatever_it_is_called(kind: str, body: bytes) -> None:
    with raw_server(says(answer(body=body, headers={"Content-Type": kind}))) as server, client_of(server.url) as client:
        raised = failure(download, client)
    assert (type(raised), raised.code) == (TransientError, "result_cut_short")


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/json, text/html", "text/html", ""])
@pytest.mark.parametrize("body", [b"<html>login</html>", b"\n<!DOCTYPE html><p>login"])
def test_a_page_is_no_result_whatever_it_is_called(kind: str, body: bytes) -> None:
    with raw_server(says(answer(body=body, headers={"Content-Type": kind}))) as server, client_of(server.url) as client:
        assert failure(download, client).code == "result_is_a_page"


def test_two_content_types_of_which_one_is_a_page_are_refused() -> None:
    two = answer(body=b"{}", headers={"Content-Type": "application/json\r\nContent-Type: text/html"})
    with raw_server(says(two)) as server, client_of(server.url) as client:
        assert failure(download, client).code == "result_is_a_page"


@pytest.mark.parametrize("body", [b"a,b\n1,2\n", b"PK\x03\x04zip", b"PAR1", b"<xml/>", b""])
def test_other_results_are_stored_as_they_come(body: bytes) -> None:
    kind = {"Content-Type": "application/octet-stream"}
    with raw_server(says(answer(body=body, headers=kind))) as server, client_of(server.url) as client:
        assert download(client) == body


def test_cookies_are_neither_kept_nor_sent() -> None:
    sets = answer(body=PLAIN, headers=JSON | {"Set-Cookie": "session=1; Path=/"})
    with raw_server(says(sets)) as server, client_of(server.url) as client:
        client.status("5"), submit(client), download(client)
        assert [head for head in server.heads if "cookie" in head.lower()] == []


def test_a_declared_charset_is_read() -> None:
    body = json.dumps({"job_id": 5, "message": "Überschwemmung"}, ensure_ascii=False).encode("iso-8859-1")
    latin = answer(body=body, headers={"Content-Type": "application/json; charset=ISO-8859-1"})
    with raw_server(says(latin)) as server, client_of(server.url) as client:
        assert submit(client) == "5"


@pytest.mark.parametrize("charset", ["no-such-charset", "ascii", ""])
def test_a_charset_that_does_not_fit_is_no_answer(charset: str) -> None:
    odd = answer(body=b'{"status": "\xdc"}', headers={"Content-Type": f"application/json; charset={charset}"})
    with raw_server(says(odd)) as server, client_of(server.url) as client:
        assert failure(ask, client).code == "malformed_answer"


@pytest.mark.parametrize(
    "job_id", [".", "..", " .. ", "<script>", "a b", "a\nb", "a\x1bb", "a\u202eb", "ü", "x" * 201, "", '"', "\\", "{}"]
)
def test_a_job_id_of_odd_letters_is_none(job_id: str) -> None:
    with (
        raw_server(says(answer(body=json.dumps({"job_id": job_id}).encode(), headers=JSON))) as server,
        client_of(server.url) as client,
    ):
        raised = failure(submit, client)
        assert len(server.requests) == 1
    assert (type(raised), raised.code) == (FireantError, "no_job_id")
    assert not {"\x1b", "\u202e"}.intersection(raised.message)


@pytest.mark.parametrize("job_id", ["5", 10**21, -3, "a/b", "a?b", "a#b", "%2e%2e", "a..b", "3f2b-4c:1", "x" * 200])
def test_a_job_id_stays_as_it_is_and_quoted_in_addresses(job_id: str | int) -> None:
    with (
        raw_server(says(answer(body=json.dumps({"job_id": job_id, "status": "Running"}).encode()))) as server,
        client_of(server.url) as client,
    ):
        assert submit(client) == str(job_id)
        client.status(str(job_id))
        path = server.heads[1].split()[1]
        assert path.count("/") == 2
        assert path.count("?") == 1


@pytest.mark.parametrize(
    "body", ['{"job_id": 8, "status": "Finished"}', '{"data": {"status": "Failed", "job_id": "8"}}']
)
def test_a_status_of_another_job_is_no_answer(body: str) -> None:
    with raw_server(says(answer(body=body.encode(), headers=JSON))) as server, client_of(server.url) as client:
        raised = failure(ask, client)
    assert (raised.code, "is about another job" in raised.message) == ("malformed_answer", True)


@pytest.mark.parametrize("call", CALLS)
def test_a_host_name_that_cannot_be_is_a_setting_to_correct(call: str) -> None:
    with client_of(f"http://{'a' * 70}.invalid:8136") as client:
        raised = failure(CALLS[call], client)
    assert isinstance(raised, ConfigurationError)
    assert "FIREANT_API_URL" in raised.message


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_file_of_authorities_is_a_setting_to_correct(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/ca.pem")
    with client_of("https://127.0.0.1:8132") as client:
        raised = failure(CALLS[call], client)
    assert isinstance(raised, ConfigurationError)
    assert "REQUESTS_CA_BUNDLE" in raised.message
    assert "/no/such/ca.pem" in raised.message


def test_a_signed_address_of_a_result_is_stored_without_its_signature() -> None:
    url = "https://acct.blob.core.windows.net/r/f.json?sv=2024-11-04&sig=q1w2e3%2Fabc%3D"
    body = json.dumps({"data": {"status": "Finished", "results_url": url, "error": f"cannot read {url} : 403"}})
    with raw_server(says(answer(body=body.encode(), headers=JSON))) as server, client_of(server.url) as client:
        status = client.status("7")
    assert status.results_url == "https://acct.blob.core.windows.net/r/f.json?sv=2024-11-04&sig=***"
    assert status.error == f"cannot read {status.results_url} : 403"
