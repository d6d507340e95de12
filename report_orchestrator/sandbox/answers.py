"""What the sandbox sends back: an answer of a known length, whose body may be far larger than memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from zlib import crc32

from report_orchestrator.sandbox.payloads import EVENT_LISTS

if TYPE_CHECKING:
    from report_orchestrator.sandbox.jobs import SandboxJob

CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer. `chunks` yields `length` bytes in all; `note` is for the person at the console."""

    status: int = HTTPStatus.OK
    length: int
    chunks: Iterable[bytes] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


class RefusedError(Exception):
    """The request gets an error's status and a JSON body with the message."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.answer = error_answer(status, message)


def bytes_answer(body: bytes, *, status: int = HTTPStatus.OK, note: str = "", **headers: str) -> Answer:
    """An answer whose body is at hand. Header names are given with underscores: `retry_after`."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Answer(
        status=status,
        length=len(body),
        chunks=(body,),
        headers={"Content-Type": "application/json"} | named,
        note=note,
    )


def json_answer(document: object, *, status: int = HTTPStatus.OK, note: str = "", **headers: str) -> Answer:
    """An answer whose body is this document."""
    return bytes_answer(json.dumps(document).encode(), status=status, note=note, **headers)


def error_answer(status: int, message: str, **headers: str) -> Answer:
    """An error's status, and a body that says what is wrong."""
    return json_answer({"error": message}, status=status, note=message, **headers)


def event_result(job: SandboxJob, seed: int) -> Answer:
    """A small result: a row for each event of the job, whose invented exposure never changes."""
    names = [str(event.get("name") or event.get("id")) for event in job.payload[EVENT_LISTS[job.kind]]]
    rows = [{"location": name, "exposure": _invented_exposure(name, seed)} for name in names]
    metadata = {"total_locations": len(rows), "processing_time": "45.2s"}
    answer = json_answer({"results": rows, "metadata": metadata})
    return replace(answer, note=f"{answer.length} bytes")


def synthetic_result(size: int) -> Answer:
    """A result of exactly `size` bytes, streamed: one JSON document of invented rows, or nothing for 0."""
    chunks = _synthetic_chunks(size) if size else ()
    headers = {"Content-Type": "application/json"}
    return Answer(length=size, chunks=chunks, headers=headers, note=f"{size} bytes")


def _invented_exposure(name: str, seed: int) -> int:
    return 1_000 * (1 + crc32(f"{seed}:{name}".encode()) % 1_000_000)


def _synthetic_chunks(size: int) -> Iterator[bytes]:
    opening, row = b'{"results": [', b'{"location": "Invented place", "exposure": 1000000}'
    closing = b'], "metadata": {"total_locations": %d, "processing_time": "45.2s"}}'
    # The count's digits are reserved before the count is known; blanks fill what rows cannot.
    room = size - len(opening) - len(closing) - len(str(size))
    further = room // len(row + b", ") - 1
    ending = closing % (further + 1)
    yield opening + row
    yield from _repeated(b", " + row, further)
    sent = len(opening) + len(row) + further * len(b", " + row)
    yield b" " * (size - sent - len(ending)) + ending


def _repeated(piece: bytes, times: int) -> Iterator[bytes]:
    per_chunk = max(1, CHUNK_BYTES // len(piece))
    chunk = piece * per_chunk
    for _ in range(times // per_chunk):
        yield chunk
    yield piece * (times % per_chunk)
