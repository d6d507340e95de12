"""The bodies of the local Fireant's results."""

from collections.abc import Iterator
from dataclasses import replace
from zlib import crc32

from report_orchestrator.sandbox.fireant.jobs import SandboxJob
from report_orchestrator.sandbox.fireant.payloads import EVENT_LISTS
from report_orchestrator.sandbox.http.responses import Response, json_response

CHUNK_BYTES = 64 * 1024


def event_result(job: SandboxJob, seed: int) -> Response:
    """Return a small result: a row for each event of the job, with an invented but stable exposure."""
    names = [str(event.get("name") or event.get("id")) for event in job.payload[EVENT_LISTS[job.kind]]]
    rows = [
        {"location": name, "exposure": 1_000 * (1 + crc32(f"{seed}:{name}".encode()) % 1_000_000)} for name in names
    ]
    metadata = {"total_locations": len(rows), "processing_time": "45.2s"}
    response = json_response({"results": rows, "metadata": metadata})
    return replace(response, note=f"{response.length} bytes")


def synthetic_result(size: int) -> Response:
    """Return a streamed result of exactly `size` bytes: one JSON document of invented rows, or nothing for 0."""
    chunks = _synthetic_chunks(size) if size else ()
    headers = {"Content-Type": "application/json"}
    return Response(length=size, chunks=chunks, headers=headers, note=f"{size} bytes")


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
