"""An incomplete result is detected whatever the server sends at its end; a complete one passes unchanged."""

from __future__ import annotations

import gzip
import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from report_orchestrator.adapters.fireant.client import FireantClient
from report_orchestrator.adapters.fireant.result_completeness import Ends
from report_orchestrator.adapters.json_completeness import BracketCounter, DocumentCounter, StructuralBrackets
from report_orchestrator.conf import parse_settings
from report_orchestrator.exceptions import FireantError, TransientError

DOCUMENT = json.dumps(
    {"results": [{"location": 'a "quoted" } place \\', "exposure": 1.5}, {"location": "[", "exposure": 2}]}
).encode()
JSON = b"Content-Type: application/json\r\n"
TEXT = b"Content-Type: text/csv\r\n"
END_IS_KNOWN = ("length", "chunks")


@contextmanager
def serving(answer: bytes) -> Iterator[FireantClient]:
    """Yield a client of a server that sends exactly these bytes to every request, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _address = server.accept()
            with connection:
                requested = b""
                while b"\r\n\r\n" not in requested:
                    requested += connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        settings, problems = parse_settings({"FIREANT_API_URL": address, "TIMEOUT_SECONDS": 5}, {})
        assert not problems
        client = FireantClient(settings)
        yield client
        client.close()
        thread.join(5)


def answer_of(body: bytes, how: str, headers: bytes = JSON, *, cut: int | None = None) -> bytes:
    """Return a response that is complete, or whose body is cut off after this many bytes."""
    if how == "length":
        headers += b"Content-Length: %d\r\n" % len(body)
    elif how == "chunks":
        headers += b"Transfer-Encoding: chunked\r\n"
        middle = len(body) // 2
        parts = [part for part in (body[:middle], body[middle:]) if part]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\n" + headers + b"Connection: close\r\n\r\n" + body[:cut]


def downloaded(answer: bytes) -> bytes:
    with serving(answer) as client, client.results("7") as pieces:
        return b"".join(pieces)


@pytest.mark.parametrize("how", ["length", "chunks", "close"])
@pytest.mark.parametrize("body", [DOCUMENT, b"{}", b"[]", b" \n" + DOCUMENT + b"\n" * 100, b"\xef\xbb\xbf" + DOCUMENT])
def test_a_whole_document_passes_as_it_is(how: str, body: bytes) -> None:
    assert downloaded(answer_of(body, how)) == body


@pytest.mark.parametrize("how", END_IS_KNOWN)
@pytest.mark.parametrize("headers", [JSON, TEXT, b""])
@pytest.mark.parametrize("body", [b"", b"7"])
def test_a_result_of_one_byte_or_of_none_passes(how: str, headers: bytes, body: bytes) -> None:
    assert downloaded(answer_of(body, how, headers)) == body


@pytest.mark.parametrize("how", [*END_IS_KNOWN, "close"])
def test_a_document_cut_at_any_byte_is_noticed(how: str) -> None:
    body = b'{"a": [{"b": "}"}, {"c": 1}]}'
    sent = answer_of(body, how)
    head = sent.index(b"\r\n\r\n") + 4

    behind = len(b"\r\n\r\n") if how == "chunks" else 0  # the last chunk's name is there: nothing is missing
    for length in range(len(sent) - head - behind):
        with pytest.raises(TransientError) as caught:
            downloaded(sent[: head + length])
        assert caught.value.code == "result_cut_short", length


@pytest.mark.parametrize("how", END_IS_KNOWN)
def test_what_is_no_json_is_held_against_its_length(how: str) -> None:
    assert downloaded(answer_of(b"a,b\n1,2", how, TEXT)) == b"a,b\n1,2"
    with pytest.raises(TransientError) as caught:
        downloaded(answer_of(b"a,b\n1,2", how, TEXT, cut=5))
    assert caught.value.code == "result_cut_short"


@pytest.mark.parametrize(("headers", "body"), [(TEXT, b"a,b\n1,2"), (TEXT, b""), (JSON, b"17"), (JSON, b'"a"')])
def test_a_result_whose_completeness_is_unknown_is_refused(headers: bytes, body: bytes) -> None:
    with pytest.raises(FireantError) as caught:
        downloaded(answer_of(body, "close", headers))
    assert caught.value.code == "result_end_unknown"


@pytest.mark.parametrize("body", [b'{"results": [', b'{"results": "', b"[1, 2", b'{"a": 1]'])
@pytest.mark.parametrize("how", END_IS_KNOWN)
def test_a_document_that_fireant_itself_cut_is_noticed_by_its_closing_bracket(how: str, body: bytes) -> None:
    """As with a gateway that buffers a broken response and then counts its bytes."""
    with pytest.raises(TransientError, match="closing bracket"):
        downloaded(answer_of(body, how))


@pytest.mark.parametrize("how", END_IS_KNOWN)
def test_a_document_that_fireant_itself_cut_at_any_byte_is_noticed(how: str) -> None:
    for length in range(1, len(DOCUMENT)):
        with pytest.raises(TransientError) as caught:
            downloaded(answer_of(DOCUMENT[:length], how))
        assert caught.value.code == "result_cut_short", length


LINES = b'{"a": 1}\n{"b": {"c": 2}}\n'


@pytest.mark.parametrize("how", END_IS_KNOWN)
def test_documents_behind_each_other_pass_where_their_end_is_known(how: str) -> None:
    assert downloaded(answer_of(LINES, how)) == LINES


@pytest.mark.parametrize("body", [LINES, b"[1] [2]", b"{}{}", b'{"a": {}} , {}'])
def test_documents_behind_each_other_are_refused_where_one_more_might_have_followed(body: bytes) -> None:
    with pytest.raises(FireantError) as caught:
        downloaded(answer_of(body, "close"))
    assert caught.value.code == "result_end_unknown"


@pytest.mark.parametrize("length", [b"x", b"8, 8", b"-8", b""])
def test_a_length_that_cannot_be_read_is_none(length: bytes) -> None:
    with pytest.raises(FireantError) as caught:
        downloaded(answer_of(b"a,b\n1,2\n", "close", TEXT + b"Content-Length: %b\r\n" % length))
    assert caught.value.code == "result_end_unknown"


@pytest.mark.parametrize(
    "coding", [b"gzip, chunked", b"identity, chunked", b"chunked, chunked", b"chunked ", b"identity", b"gzip", b""]
)
@pytest.mark.parametrize("headers", [JSON, TEXT])
def test_chunks_that_the_transport_leaves_in_the_body_are_no_result(coding: bytes, headers: bytes) -> None:
    chunks = answer_of(DOCUMENT, "chunks").partition(b"\r\n\r\n")[2]
    with pytest.raises(FireantError, match="Transfer-Encoding") as caught:
        downloaded(answer_of(chunks, "close", headers + b"Transfer-Encoding: %b\r\n" % coding))
    assert caught.value.code == "result_end_unknown"


@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
def test_a_web_page_is_no_result(kind: str) -> None:
    with pytest.raises(FireantError, match="FIREANT_API_URL") as caught:
        downloaded(answer_of(b"<html>Please log in", "length", b"Content-Type: %b\r\n" % kind.encode()))
    assert caught.value.code == "result_is_a_page"
    assert "Please log in" in caught.value.message


@pytest.mark.parametrize("how", ["length", "chunks", "close"])
def test_a_compressed_answer_without_a_request_for_it_is_unpacked_and_checked(how: str) -> None:
    headers = JSON + b"Content-Encoding: gzip\r\n"
    packed = gzip.compress(DOCUMENT)
    assert downloaded(answer_of(packed, how, headers)) == DOCUMENT
    with pytest.raises(TransientError) as caught:
        downloaded(answer_of(packed, how, headers, cut=len(packed) // 2))
    assert caught.value.code == "result_cut_short"


@pytest.mark.parametrize("seed", range(50))
def test_brackets_are_counted_wherever_the_pieces_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    letters = '{}[]"\\ab'
    text = ["".join(chance.choices(letters, k=chance.randint(0, 9))) for _ in range(20)]
    document = json.dumps({"results": [dict(zip(text, text, strict=True)), text]}).encode()
    at = sorted(chance.sample(range(len(document)), 30))
    pieces = [document[a:b] for a, b in zip([0, *at], [*at, len(document)], strict=True)]

    whole, cut = BracketCounter(), BracketCounter()
    for piece in pieces:
        whole.see(piece)
    for piece in pieces[:-1]:
        cut.see(piece)

    assert whole.are_closed
    assert not cut.are_closed


@pytest.mark.parametrize("seed", range(200))
def test_what_stands_outside_strings_is_found_wherever_the_pieces_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choices('{}[]""\\\\a,', k=60)).encode()
    at = sorted(chance.sample(range(len(text)), chance.randint(0, 20)))
    outside = StructuralBrackets()

    found = b"".join(outside.see(text[a:b]) for a, b in zip([0, *at], [*at, len(text)], strict=True))

    assert (found, outside.in_string) == brackets_of(text)


def brackets_of(text: bytes) -> tuple[bytes, bool]:
    """Return the brackets outside strings, found character by character, and True if the text ends within a string.

    A backslash escapes outside strings too, where no document has one.
    """
    found, in_string, escaped = b"", False, False
    for letter in (bytes((octet,)) for octet in text):
        if escaped:
            # Only what is a quote or a backslash itself loses its meaning.
            escaped = False
            if letter in {b'"', b"\\"}:
                continue
        if letter == b"\\":
            escaped = True
        elif letter == b'"':
            in_string = not in_string
        elif letter in b"[]{}" and not in_string:
            found += letter
    return found, in_string


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("text", "closed"),
    [(b"", 0), (b"[", 0), (b"[1]", 1), (b"[[{}, {}], []]", 1), (b'{"a": "}{"}', 1), (b"{}\n{}\n[]", 3)],
)
def test_documents_are_counted_wherever_the_pieces_are_cut(text: bytes, closed: int, size: int) -> None:
    documents = DocumentCounter()
    for start in range(0, len(text), size):
        documents.see(text[start : start + size])
    assert documents.closed == closed


def test_the_ends_are_found_among_blanks() -> None:
    ends = Ends()
    for piece in (b"", b" \n", b"  [1", b" " * 1000, b"]" + b" " * 1000, b"\n"):
        ends.see(piece)
    assert (ends.first, ends.last) == (b"[", b"]")
