"""Read Fireant's responses within limits of size and time, decode them, and make their texts fit for a database."""

import contextlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import Message
from itertools import chain
from typing import Any

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from report_orchestrator.adapters.fireant.result_completeness import begins_like_page, is_page
from report_orchestrator.adapters.http.headers import retry_after
from report_orchestrator.domain.printable import storable

LONGEST_ANSWER = 1024 * 1024
"""Bytes of a response that is no result. Fireant's are a few hundred."""
LONGEST_BEGINNING = 8 * 1024
"""Bytes read of an unsuccessful response: four for each character that an error keeps."""
_JOB_ID = re.compile(r"[A-Za-z0-9._~:/?#%@+=,$&!*()-]{1,200}")
"""Letters that stay themselves, or quoted, in an address. `.` and `..` would lead elsewhere."""
PIECE = 1024 * 1024
"""Bytes of a piece of a body, also where few compressed bytes become many."""
UNPACKED_AT_ONCE = 8 * 1024
"""Compressed bytes given to zlib at once: it copies the rest of them for each member, however short."""

GZIP, DEFLATE, RAW_DEFLATE = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_PACKINGS = frozenset({"gzip", "x-gzip", "deflate"})
_UNREADABLE = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip", "aes128gcm"})
"""Registered codings that are not requested. Any other word, such as a charset, names no coding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response that is no result. `body` is complete on success, otherwise its beginning as far as it came."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Parse the body. Raises ValueError or RecursionError if it is not JSON."""
        try:
            return json.loads(self.body)
        except UnicodeDecodeError:
            return json.loads(self.body.decode(_charset(self.headers) or "utf-8"))

    @property
    def is_json(self) -> bool:
        """True if the body can be parsed."""
        try:
            self.json()
        except (ValueError, LookupError, RecursionError):
            return False
        return True

    @property
    def is_page(self) -> bool:
        """True if the body is a web page, or is called one."""
        return is_page(self.headers.get("Content-Type", "")) or begins_like_page(self.body)

    @property
    def retry_after(self) -> timedelta | None:
        """The wait requested by the `Retry-After` header; None without one."""
        return retry_after(self.headers.get("Retry-After"))


def read_response(response: requests.Response) -> Response:
    """Read a short response. An unsuccessful one is read as far as it comes: its status is enough.

    Raises:
        requests.RequestException: a success that broke off, was too slow, or is too long.
    """
    if not is_success(response.status_code):
        return read_beginning(response)
    body = bytearray()
    with response:
        for piece in body_of(response):
            body += piece
            if len(body) > LONGEST_ANSWER:
                raise requests.exceptions.ContentDecodingError(f"the response is longer than {LONGEST_ANSWER:,} bytes")
    return Response(status=response.status_code, headers=response.headers, body=bytes(body))


def read_beginning(response: requests.Response) -> Response:
    """Return a response with the beginning of its body, as far as it came."""
    body = bytearray()
    with contextlib.suppress(requests.RequestException), response:
        for piece in body_of(response):
            body += piece
            if len(body) > LONGEST_BEGINNING:
                break
    return Response(status=response.status_code, headers=response.headers, body=bytes(body[:LONGEST_BEGINNING]))


def is_success(status: int) -> bool:
    """Return True if the request was done, or accepted for processing."""
    return 200 <= status < 300


def body_of(response: requests.Response) -> Iterator[bytes]:
    """Yield the body in decompressed pieces. Memory stays near `PIECE`.

    Raises:
        requests.RequestException: the body broke off, was too slow, or has an unknown encoding.
    """
    if coding := unreadable_coding(response):
        raise requests.exceptions.ContentDecodingError(f"its Transfer-Encoding '{coding}' was not requested")
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if _UNREADABLE.intersection(encoding.replace(",", " ").split()) or "," in encoding:
        raise requests.exceptions.ContentDecodingError(
            f"its Content-Encoding '{storable(encoding)[:40]}' was not requested"
        )
    return _unpacked_if(encoding, _raw(response)) if encoding in _PACKINGS else _raw(response)


def _unpacked_if(encoding: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Go by the first bytes: gateways also declare a packing that is not there, and deflate without its wrapper."""
    first = b""
    for piece in pieces:
        first += piece
        if len(first) > 1:
            break
    whole = chain([first] if first else [], pieces)
    is_gzip, is_zlib = first[:2] == b"\x1f\x8b", first[:1] == b"\x78" and int.from_bytes(first[:2]) % 31 == 0
    if not is_gzip and not is_zlib and (encoding != "deflate" or first.lstrip()[:1] in {b"{", b"["}):
        return whole
    return _unpacked(whole, GZIP if is_gzip else DEFLATE if is_zlib else RAW_DEFLATE)


def _raw(response: requests.Response) -> Iterator[bytes]:
    with _as_requests_does():
        while piece := response.raw.read1(PIECE, decode_content=False):
            yield piece


def _unpacked(packed: Iterator[bytes], window: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(window)
    begun = False
    for piece in _short(packed):
        begun = True
        left = piece
        while True:
            if unpacker.eof and left:  # one member behind another is one body
                unpacker = zlib.decompressobj(window)
            try:
                out = unpacker.decompress(left, PIECE)
            except zlib.error as error:
                raise requests.exceptions.ContentDecodingError("the compressed data cannot be decompressed") from error
            if out:
                yield out
            left = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            if not left and len(out) < PIECE:
                break
    if begun and not unpacker.eof:
        raise requests.exceptions.ChunkedEncodingError("the compressed data ended early")


def _short(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), UNPACKED_AT_ONCE):
            yield piece[start : start + UNPACKED_AT_ONCE]


def unreadable_coding(response: requests.Response) -> str:
    """Return a `Transfer-Encoding` that the library leaves undecoded: any but `chunked` alone; else an empty text."""
    coding = response.headers.get("Transfer-Encoding")
    if coding is None or _transport(response).chunked:
        return ""
    return storable(coding)[:40] or "empty"


def is_delimited(response: requests.Response) -> bool:
    """Return True if the transport knows the body's end. Call it before the body is read.

    It goes by the library's reading of the headers: without a length it reads to the end of the connection.
    """
    transport = _transport(response)
    return bool(transport.chunked) or transport.length is not None


def _transport(response: requests.Response) -> Any:
    """Return the standard library's response below those of requests and urllib3."""
    return response.raw._original_response  # noqa: SLF001 - nothing public tells what was made of the headers


def announced_length(response: requests.Response) -> int:
    """Return the body's length by its header; 0 without one."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def job_id_in(answer: Response) -> str:
    """Return the job's id as text; empty if the response has none that is usable."""
    try:
        job_id = answer.json()["job_id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    if isinstance(job_id, bool) or not isinstance(job_id, int | str):
        return ""
    text = str(job_id).strip()
    return text if _JOB_ID.fullmatch(text) and text not in {".", ".."} else ""


def _charset(headers: Mapping[str, str]) -> str:
    message = Message()
    message["Content-Type"] = headers.get("Content-Type", "")
    return message.get_content_charset() or ""


@contextlib.contextmanager
def _as_requests_does() -> Iterator[None]:
    """Translate urllib3's errors, raised by reads below requests, into those of requests."""
    try:
        yield
    except ReadTimeoutError as error:
        raise requests.ReadTimeout(_timed_out(error)) from error
    except HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(str(error)) from error


def _timed_out(error: ReadTimeoutError) -> str:
    """Return the watch's reason if the watch ended the read."""
    cause = error.__cause__ or error.__context__
    return str(cause) if isinstance(cause, TimeoutError) else str(error)
