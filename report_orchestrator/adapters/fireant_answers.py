"""Fireant's answers, read within bounds: sizes and times are limited, encodings undone, texts made fit for a database."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

LONGEST_ANSWER = 1024 * 1024
"""Bytes of an answer that is no result. Fireant's are a few hundred."""
LONGEST_BEGINNING = 8 * 1024
"""Bytes that are read of an answer that is no success: four for each character that an error keeps of it."""
LONGEST_JOB_ID = 200
PIECE = 1024 * 1024
"""Bodies are read in pieces of this many bytes at most, also where few bytes become many when they are unpacked."""

GZIP, DEFLATE = zlib.MAX_WBITS | 16, zlib.MAX_WBITS
_WINDOWS = {"gzip": GZIP, "x-gzip": GZIP, "deflate": DEFLATE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that is no result. `body` is whole where it is a success, and otherwise the beginning, as far as it came."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body's document. Raises ValueError or RecursionError where it is none."""
        return json.loads(self.body)

    @property
    def retry_after(self) -> timedelta | None:
        """The wait that it asks for."""
        return retry_after(self.headers.get("Retry-After"))


def read_answer(response: requests.Response) -> Answer:
    """A short answer. One that is no success is read as far as it comes: its status says enough.

    Raises:
        requests.RequestException: a success that broke off, dripped, or is longer than any answer.
    """
    if not is_success(response.status_code):
        return read_beginning(response)
    body = bytearray()
    with response:
        for piece in body_of(response):
            body += piece
            if len(body) > LONGEST_ANSWER:
                raise requests.exceptions.ContentDecodingError(
                    f"the answer is longer than {LONGEST_ANSWER:,} bytes"
                )
    return Answer(status=response.status_code, headers=response.headers, body=bytes(body))


def read_beginning(response: requests.Response) -> Answer:
    """An answer with the beginning of its body, as far as that came."""
    body = bytearray()
    with contextlib.suppress(requests.RequestException), response:
        for piece in body_of(response):
            body += piece
            if len(body) > LONGEST_BEGINNING:
                break
    return Answer(status=response.status_code, headers=response.headers, body=bytes(body[:LONGEST_BEGINNING]))


def is_success(status: int) -> bool:
    """Whether the request was done, or taken to be done."""
    return 200 <= status < 300


def body_of(response: requests.Response) -> Iterator[bytes]:
    """The body in pieces, unpacked where it was packed unasked. Memory stays near `PIECE`.

    Raises:
        requests.RequestException: it broke off, dripped, or is packed in a way that cannot be undone.
    """
    if coding := unreadable_coding(response):
        raise requests.exceptions.ContentDecodingError(
            f"its Transfer-Encoding is '{coding}', which was not asked for"
        )
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return _raw(response)
    if encoding not in _WINDOWS:
        raise requests.exceptions.ContentDecodingError(
            f"it is packed as '{storable(encoding)[:40]}', which was not asked for"
        )
    return _unpacked(_raw(response), _WINDOWS[encoding])


def _raw(response: requests.Response) -> Iterator[bytes]:
    with _as_requests_does():
        while piece := response.raw.read1(PIECE, decode_content=False):
            yield piece


def _unpacked(packed: Iterator[bytes], window: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(window)
    begun = False
    for piece in packed:
        begun = True
        left = piece
        while True:
            if unpacker.eof and left:  # one member behind another is one body
                unpacker = zlib.decompressobj(window)
            try:
                out = unpacker.decompress(left, PIECE)
            except zlib.error as error:
                raise requests.exceptions.ContentDecodingError("what is packed cannot be unpacked") from error
            if out:
                yield out
            left = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            if not left and len(out) < PIECE:
                break
    if begun and not unpacker.eof:
        raise requests.exceptions.ChunkedEncodingError("what was packed ended early")


def unreadable_coding(response: requests.Response) -> str:
    """A `Transfer-Encoding` whose chunks the library leaves in the body, as it does with all but `chunked` alone; else empty."""
    coding = response.headers.get("Transfer-Encoding")
    if coding is None or _transport(response).chunked:
        return ""
    return storable(coding)[:40] or "empty"


def is_delimited(response: requests.Response) -> bool:
    """Whether the transport knows where the body ends. To be asked before it is read.

    By what the library made of the headers: it reads on to the connection's end where it cannot read a length.
    """
    transport = _transport(response)
    return bool(transport.chunked) or transport.length is not None


def _transport(response: requests.Response) -> Any:
    """The standard library's answer below those of requests and urllib3."""
    return response.raw._original_response  # noqa: SLF001 - nothing public tells what was made of the headers


def announced_length(response: requests.Response) -> int:
    """The body's length by its header; 0 where none is given."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def job_id_in(answer: Answer) -> str:
    """The id in an answer, as text; empty where there is none that could be one."""
    try:
        job_id = answer.json()["job_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    if isinstance(job_id, bool) or not isinstance(job_id, int | str):
        return ""
    text = str(job_id).strip()
    return text if len(text) <= LONGEST_JOB_ID and storable(text) == text else ""


def storable(text: str) -> str:
    """The text without what no database or log takes: zero bytes and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def retry_after(header: str | None, *, now: datetime | None = None) -> timedelta | None:
    """The wait that a `Retry-After` header asks for, in either of its forms (RFC 9110, 10.2.3); None where it cannot be read."""
    if not header:
        return None
    seconds = header.strip()
    if seconds.isascii() and seconds.isdigit():
        return timedelta(seconds=int(seconds[:8]) if len(seconds) > 8 else int(seconds))
    until = instant_in(header)
    return None if until is None else max(until - (now or datetime.now(UTC)), timedelta(0))


def instant_in(header: str) -> datetime | None:
    """The instant of a header such as `Date`, aware; None where it cannot be read."""
    try:
        instant = parsedate_to_datetime(header)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError, TypeError):
        return None


@contextlib.contextmanager
def _as_requests_does() -> Iterator[None]:
    """Reading below requests raises urllib3's errors; they come out as requests' own."""
    try:
        yield
    except ReadTimeoutError as error:
        raise requests.ReadTimeout(_timed_out(error)) from error
    except HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(str(error)) from error


def _timed_out(error: ReadTimeoutError) -> str:
    """Why the watch ended it, where it was the watch."""
    cause = error.__cause__ or error.__context__
    return str(cause) if isinstance(cause, TimeoutError) else str(error)
