"""The blob-style half of the local OneLake that writes: whole blobs, blobs in blocks, and listings in XML.

Tools that speak the Blob service rather than the Data Lake one, such as delta-rs, come this way.
Source: https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.utils import format_datetime
from http import HTTPStatus
from xml.sax.saxutils import escape

from report_orchestrator.sandbox.answers import Answer
from report_orchestrator.sandbox.onelake_faults import LakeRefusedError
from report_orchestrator.sandbox.onelake_files import Conditions, Entry, LakeFiles

_BLOCK = re.compile(rb"<(?:Latest|Uncommitted|Committed)>([^<]+)</")


class Blobs:
    """Writes blobs into the lake's files. A blob in blocks is seen when its list of blocks arrives, and not before."""

    def __init__(self, files: LakeFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._blocks: dict[str, dict[str, bytes]] = {}

    def clear(self) -> None:
        """Forgets the blocks that wait for their list."""
        with self._lock:
            self._blocks.clear()

    def put(self, path: str, body: bytes, conditions: Conditions) -> Entry:
        """One blob, whole."""
        return self._files.put(path, (body,), conditions)

    def put_block(self, path: str, block_id: str, body: bytes) -> None:
        """One block of a blob that is not there yet."""
        with self._lock:
            self._blocks.setdefault(path, {})[block_id] = body

    def put_block_list(self, path: str, body: bytes, conditions: Conditions) -> Entry:
        """Makes the blob of its blocks, in the order of the list."""
        with self._lock:
            blocks = self._blocks.pop(path, {})
        try:
            pieces = [blocks[block.decode()] for block in _BLOCK.findall(body)]
        except KeyError as error:
            raise LakeRefusedError(
                HTTPStatus.BAD_REQUEST, "InvalidBlockList", "A block of the list is missing."
            ) from error
        return self._files.put(path, pieces, conditions)


def listing(workspace: str, found: Sequence[tuple[str, Entry]], query: Mapping[str, str]) -> Answer:
    """The blobs whose names begin with `prefix`, from `startFrom` on, those behind a delimiter gathered; all on one page."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    below = [
        (name, entry)
        for name, entry in found
        if name.startswith(prefix) and name >= query.get("startFrom", "")
    ]
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{escape(workspace)}">'
        f"<Prefix>{escape(prefix)}</Prefix><Blobs>{''.join(_items(below, prefix, delimiter))}</Blobs><NextMarker />"
        "</EnumerationResults>"
    ).encode()
    return Answer(length=len(body), chunks=(body,), headers={"Content-Type": "application/xml"})


def _items(below: Iterable[tuple[str, Entry]], prefix: str, delimiter: str) -> Iterator[str]:
    gathered: set[str] = set()
    for name, entry in below:
        head, found, _rest = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        if found:
            gathered.add(f"{prefix}{head}{delimiter}")
        elif not entry.is_folder:
            yield _blob(name, entry)
    for each in sorted(gathered):
        yield f"<BlobPrefix><Name>{escape(each)}</Name></BlobPrefix>"


def _blob(name: str, entry: Entry) -> str:
    modified = format_datetime(entry.modified_at, usegmt=True)
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>{modified}</Creation-Time>"
        f"<Last-Modified>{modified}</Last-Modified><Etag>{escape(entry.etag)}</Etag>"
        f"<Content-Length>{entry.size}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
        "<BlobType>BlockBlob</BlobType></Properties></Blob>"
    )
