"""The local OneLake's Blob service: whole blobs, blobs in blocks, and listings in XML.

Clients such as delta-rs use it instead of the Data Lake service. Source:
https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api
"""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.utils import format_datetime
from xml.sax.saxutils import escape

from report_orchestrator.sandbox.http.responses import Response
from report_orchestrator.sandbox.onelake.faults import LakeRefusedError
from report_orchestrator.sandbox.onelake.files import Conditions, Entry, LakeFiles

_BLOCK = re.compile(rb"<(?:Latest|Uncommitted|Committed)>([^<]+)</")


class Blobs:
    """Blobs in the lake's files. A blob in blocks appears when its list of blocks arrives."""

    def __init__(self, files: LakeFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._blocks: dict[str, dict[str, bytes]] = {}

    def put_block(self, path: str, block_id: str, body: bytes) -> None:
        with self._lock:
            self._blocks.setdefault(path, {})[block_id] = body

    def put_block_list(self, path: str, body: bytes, conditions: Conditions) -> Entry:
        with self._lock:
            blocks = self._blocks.pop(path, {})
        try:
            pieces = [blocks[block.decode()] for block in _BLOCK.findall(body)]
        except KeyError as error:
            raise LakeRefusedError("InvalidBlockList") from error
        return self._files.put(path, pieces, conditions)


def listing(workspace: str, blobs: Sequence[tuple[str, Entry]], query: Mapping[str, str]) -> Response:
    """List the blobs with this `prefix`, from `startFrom` on, grouped by the delimiter, on one page."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    below = [(name, entry) for name, entry in blobs if name.startswith(prefix) and name >= query.get("startFrom", "")]
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{escape(workspace)}">'
        f"<Prefix>{escape(prefix)}</Prefix><Blobs>{''.join(_items(below, prefix, delimiter))}</Blobs><NextMarker />"
        "</EnumerationResults>"
    ).encode()
    return Response(length=len(body), chunks=(body,), headers={"Content-Type": "application/xml"})


def _items(below: Iterable[tuple[str, Entry]], prefix: str, delimiter: str) -> Iterator[str]:
    gathered: set[str] = set()
    for name, entry in below:
        head, separator, _rest = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        if separator:
            gathered.add(f"{prefix}{head}{delimiter}")
        elif not entry.is_folder:
            yield _blob(name, entry)
    for folder in sorted(gathered):
        yield f"<BlobPrefix><Name>{escape(folder)}</Name></BlobPrefix>"


def _blob(name: str, entry: Entry) -> str:
    modified = format_datetime(entry.modified_at, usegmt=True)
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>{modified}</Creation-Time>"
        f"<Last-Modified>{modified}</Last-Modified><Etag>{escape(entry.etag)}</Etag>"
        f"<Content-Length>{entry.size}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
        "<BlobType>BlockBlob</BlobType></Properties></Blob>"
    )
