"""The local OneLake's Data Lake and Blob requests. Each method of `LakeActions` has the name of its endpoint."""

import base64
import hashlib
import re
from collections.abc import Mapping
from email.utils import format_datetime
from http import HTTPStatus
from urllib.parse import unquote

from report_orchestrator.sandbox.http.responses import Response, json_response
from report_orchestrator.sandbox.onelake.blobs import Blobs, listing
from report_orchestrator.sandbox.onelake.faults import LakeRefusedError
from report_orchestrator.sandbox.onelake.files import Entry, LakeFiles
from report_orchestrator.sandbox.onelake.options import OneLakeOptions
from report_orchestrator.sandbox.onelake.requests import LakeRequest

_RANGE = re.compile(r"bytes=(\d{1,20})-(\d{0,20})")
MOST_LISTED = 5000


class LakeActions:
    def __init__(self, options: OneLakeOptions, files: LakeFiles) -> None:
        self._options = options
        self._files = files
        self._blobs = Blobs(files)

    def create(self, request: LakeRequest, *, is_folder: bool = False) -> Response:
        entry = self._files.create(self._path(request), is_folder=is_folder, conditions=request.conditions())
        return Response(status=HTTPStatus.CREATED, headers=_versions(entry))

    def create_folder(self, request: LakeRequest) -> Response:
        return self.create(request, is_folder=True)

    def append(self, request: LakeRequest) -> Response:
        """Store bytes at a position. They are invisible until a flush, unless the request flushes them."""
        headers: dict[str, str] = {}
        if expected := request.headers.get("Content-Md5"):
            headers["Content-MD5"] = _md5(request.body)
            if headers["Content-MD5"] != expected:
                raise LakeRefusedError("Md5Mismatch")
        path, position = self._path(request), request.number("position")
        self._files.append(path, position, request.body)
        if request.is_set("flush"):
            entry = self._files.flush(path, position + len(request.body), request.conditions())
            headers |= _versions(entry)
        return Response(status=HTTPStatus.ACCEPTED, headers=headers)

    def flush(self, request: LakeRequest) -> Response:
        entry = self._files.flush(self._path(request), request.number("position"), request.conditions())
        return Response(status=HTTPStatus.OK, headers=_versions(entry))

    def rename(self, request: LakeRequest) -> Response:
        """Move a file or a folder. Like the real service, it returns no ETag."""
        source = unquote(request.headers["X-Ms-Rename-Source"]).partition("?")[0].strip("/")
        workspace, _, path = source.partition("/")
        self._files.rename(
            self._options.path_below(workspace, path),
            self._path(request),
            source_conditions=request.conditions("X-Ms-Source-If-"),
            conditions=request.conditions(),
        )
        return Response(status=HTTPStatus.CREATED)

    def delete(self, request: LakeRequest) -> Response:
        self._files.delete(self._path(request), recursive=request.is_set("recursive"), conditions=request.conditions())
        # The real services differ by host; here only clients of the Blob service accept XML.
        is_blob_client = request.headers.get("Accept") == "application/xml"
        return Response(status=HTTPStatus.ACCEPTED if is_blob_client else HTTPStatus.OK)

    def head(self, request: LakeRequest) -> Response:
        if not request.path and request.workspace in {self._options.workspace, self._options.workspace_id}:
            return Response(status=HTTPStatus.OK)
        entry = self._files.find(self._path(request))
        request.conditions().check_read(entry)
        return Response(length=entry.size, headers=_properties(entry))

    def read(self, request: LakeRequest) -> Response:
        entry = self._files.find(self._path(request))
        request.conditions().check_read(entry)
        start, end, status, headers = 0, entry.size, HTTPStatus.OK, dict(_properties(entry))
        if span := request.headers.get("X-Ms-Range") or request.headers.get("Range"):
            start, end = _parse_range(span, entry.size)
            status = HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
        chunks = self._files.chunks(entry, start, end)
        return Response(status=status, length=end - start, chunks=chunks, headers=headers)

    def list(self, request: LakeRequest) -> Response:
        folder = request.query.get("directory", "").strip("/")
        path = self._options.path_below(request.workspace, folder)
        item = folder.partition("/")[0]
        after = unquote(request.query.get("continuation", ""))
        limit = request.number("maxResults") if "maxResults" in request.query else MOST_LISTED
        paths = [
            _path_document(f"{item}/{name}", entry)
            for name, entry in self._files.below(path, recursive=request.is_set("recursive"))
            if f"{item}/{name}" > after
        ]
        response = json_response({"paths": paths[:limit]})
        if len(paths) <= limit:
            return response
        return response.with_headers({"X-Ms-Continuation": paths[limit - 1]["name"]})

    def put_blob(self, request: LakeRequest) -> Response:
        entry = self._files.put(self._path(request), (request.body,), request.conditions())
        return Response(status=HTTPStatus.CREATED, headers=_versions(entry))

    def put_block(self, request: LakeRequest) -> Response:
        self._blobs.put_block(self._path(request), request.query["blockid"], request.body)
        return Response(status=HTTPStatus.CREATED)

    def put_block_list(self, request: LakeRequest) -> Response:
        entry = self._blobs.put_block_list(self._path(request), request.body, request.conditions())
        return Response(status=HTTPStatus.CREATED, headers=_versions(entry))

    def list_blobs(self, request: LakeRequest) -> Response:
        item = request.query.get("prefix", "").partition("/")[0]
        self._options.path_below(request.workspace, item)
        blobs = [(f"{item}/{name}", entry) for name, entry in self._files.below("", recursive=True)]
        return listing(request.workspace, blobs, request.query)

    def _path(self, request: LakeRequest) -> str:
        return self._options.path_below(request.workspace, request.path)


def _versions(entry: Entry) -> Mapping[str, str]:
    return {"ETag": entry.etag, "Last-Modified": format_datetime(entry.modified_at, usegmt=True)}


def _properties(entry: Entry) -> Mapping[str, str]:
    kind = {"X-Ms-Resource-Type": "directory", "X-Ms-Meta-Hdi_isfolder": "true"}
    return {
        **_versions(entry),
        **(kind if entry.is_folder else {"X-Ms-Resource-Type": "file"}),
        "X-Ms-Blob-Type": "BlockBlob",
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
    }


def _path_document(name: str, entry: Entry) -> dict[str, str]:
    return {
        "name": name,
        **({"isDirectory": "true"} if entry.is_folder else {}),
        "contentLength": str(entry.size),
        "etag": entry.etag.strip('"'),
        "lastModified": format_datetime(entry.modified_at, usegmt=True),
    }


def _parse_range(span: str, size: int) -> tuple[int, int]:
    match = _RANGE.fullmatch(span)
    if match is None or int(match[1]) >= size:
        raise LakeRefusedError("InvalidRange")
    return int(match[1]), min(int(match[2]) + 1, size) if match[2] else size


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
