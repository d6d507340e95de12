"""The local OneLake without its sockets: the Data Lake and blob requests that a store of results makes, and Entra's.

It follows Microsoft's documentation and the SDK's recordings (https://learn.microsoft.com/fabric/onelake/onelake-api-parity).
Where those say only that a request is refused, the status and the word for it are this sandbox's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import format_datetime
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode

from report_orchestrator.sandbox.answers import Answer, error_answer, json_answer
from report_orchestrator.sandbox.exchange import Exchange, RequestCounter, SandboxRequest
from report_orchestrator.sandbox.faults import Fault, FaultScript, parse_fault
from report_orchestrator.sandbox.onelake_blobs import Blobs, listing
from report_orchestrator.sandbox.onelake_entra import RESOURCE, Entra
from report_orchestrator.sandbox.onelake_faults import (
    ENTRA_ENDPOINTS,
    LakeEndpoint,
    LakeFaultKind,
    LakeRefusedError,
    raw_refusal,
    refusal,
)
from report_orchestrator.sandbox.onelake_files import Conditions, Entry, LakeFiles

LakeFault = Fault[LakeEndpoint, LakeFaultKind]
RequestedLakeEndpoint = LakeEndpoint | Literal["sandbox", "unknown"]

MOST_LISTED = 5000
IGNORED_HEADERS = (
    "X-Ms-Owner",
    "X-Ms-Group",
    "X-Ms-Permissions",
    "X-Ms-Acl",
    "X-Ms-Encryption-Key",
    "X-Ms-Encryption-Key-Sha256",
    "X-Ms-Encryption-Algorithm",
    "X-Ms-Encryption-Scope",
    "X-Ms-Access-Tier",
)
"""What OneLake neither obeys nor refuses, but names in its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The one workspace and lakehouse, each under its name and its GUID."""

    workspace: str
    workspace_id: str
    lakehouse: str
    lakehouse_id: str

    def path_below(self, workspace: str, path: str) -> str:
        """The path below the lakehouse, of an address in either form.

        Raises:
            LakeRefusedError: the forms are mixed, or nothing has that name.
        """
        item, _, below = path.partition("/")
        by_name, by_id = (self.workspace, self.lakehouse), (self.workspace_id, self.lakehouse_id)
        if (workspace, item) in {by_name, by_id}:
            return below
        if workspace in {self.workspace, self.workspace_id} and item in {self.lakehouse, self.lakehouse_id}:
            raise LakeRefusedError(
                HTTPStatus.BAD_REQUEST, "InvalidUri", "Workspace and item must be both names or both GUIDs."
            )
        if workspace in {self.workspace, self.workspace_id} and not item:
            raise LakeRefusedError(
                HTTPStatus.FORBIDDEN, "OperationNotAllowedOnThePath", "Fabric manages its workspaces itself."
            )
        known = workspace in {self.workspace, self.workspace_id}
        raise LakeRefusedError(
            HTTPStatus.NOT_FOUND,
            "PathNotFound" if known else "FilesystemNotFound",
            f"There is no {path if known else workspace} here.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeRequest:
    """A request to the lake, taken apart. `path` is below the workspace and not percent-encoded any more."""

    endpoint: LakeEndpoint
    workspace: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def conditions(self) -> Conditions:
        """What must hold of the path."""
        return self._conditions("If-")

    @property
    def source_conditions(self) -> Conditions:
        """What must hold of the source of a rename."""
        return self._conditions("X-Ms-Source-If-")

    def number(self, name: str) -> int:
        """A query parameter that must be a whole number."""
        given = self.query.get(name, "")
        if not (given.isascii() and given.isdigit()):
            raise LakeRefusedError(
                HTTPStatus.BAD_REQUEST,
                "InvalidQueryParameterValue" if given else "MissingRequiredQueryParameter",
                f"The query parameter {name} must be a whole number.",
            )
        return int(given)

    def _conditions(self, prefix: str) -> Conditions:
        return Conditions(
            if_match=self.headers.get(f"{prefix}Match", ""),
            if_none_match=self.headers.get(f"{prefix}None-Match", ""),
        )


class OneLakeApi(RequestCounter[RequestedLakeEndpoint]):
    """The lake's endpoints, Entra's, and the sandbox's own under `/sandbox`. `observe` is called after each request's work."""

    def __init__(
        self,
        place: Place,
        files: LakeFiles,
        entra: Entra,
        faults: FaultScript[LakeEndpoint, LakeFaultKind],
        *,
        observe: Callable[[], None],
    ) -> None:
        self._place = place
        self._files = files
        self._blobs = Blobs(files)
        self._entra = entra
        self._faults = faults
        self._observe = observe
        super().__init__()

    def exchange(self, request: SandboxRequest) -> Exchange:
        """Does what the request asks, unless it is refused or a fault stands in for the work."""
        if request.path.startswith("/sandbox/"):
            self._count("sandbox")
            return Exchange(answer=self._own_answer(request))
        endpoint = self._entra.endpoint_of(request) or _lake_endpoint(request)
        self._count(endpoint or "unknown")
        exchange = self._refused(request) if endpoint is None else self._lake_exchange(endpoint, request)
        self._observe()
        return replace(exchange, answer=_marked(exchange.answer, request))

    def _lake_exchange(self, endpoint: LakeEndpoint, request: SandboxRequest) -> Exchange:
        if endpoint not in ENTRA_ENDPOINTS and not self._is_authorized(request):
            return Exchange(answer=self._unauthorized(request))
        if fault := self._faults.take_instead_of_work(endpoint):
            return Exchange(answer=self._answer_of(fault, request), fault=fault)
        answer = self._act(endpoint, request)
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            return Exchange(answer=answer)
        fault = self._faults.take_after_work(endpoint)
        if fault is not None and fault.kind == "status_after_work":
            answer = _told(fault)
        return Exchange(answer=answer, fault=fault)

    def _act(self, endpoint: LakeEndpoint, request: SandboxRequest) -> Answer:
        if endpoint in ENTRA_ENDPOINTS:
            return self._entra.answer(endpoint, request, self._authority(request))
        try:
            return _ACTIONS[endpoint](self, _taken_apart(endpoint, request))
        except LakeRefusedError as refused:
            return refused.answer

    def _authority(self, request: SandboxRequest) -> str:
        return f"https://{request.headers.get('Host', '')}"

    def _is_authorized(self, request: SandboxRequest) -> bool:
        return self._entra.accepts(request.headers.get("Authorization", ""))

    def _unauthorized(self, request: SandboxRequest) -> Answer:
        tenant = self._entra.tenant_id
        challenge = f"Bearer authorization_uri={self._authority(request)}/{tenant}/oauth2/authorize resource_id={RESOURCE}"
        given = "Authorization" in request.headers
        return refusal(
            HTTPStatus.UNAUTHORIZED,
            "InvalidAuthenticationInfo" if given else "NoAuthenticationInformation",
            "Server failed to authenticate the request.",
            {"WWW-Authenticate": challenge},
        )

    def _answer_of(self, fault: LakeFault, request: SandboxRequest) -> Answer:
        match fault.kind:
            case "expired_token":
                self._entra.expire_tokens()
                return self._unauthorized(request)
            case "damaged":
                return self._act(fault.endpoint, _damaged(request))
            case "short_flush":
                return self._act(fault.endpoint, _shortened(request))
            case _:
                return _told(fault)

    def _refused(self, request: SandboxRequest) -> Exchange:
        return Exchange(
            answer=refusal(
                HTTPStatus.BAD_REQUEST,
                "UnsupportedOperation",
                f"OneLake has no {request.method} with the query '{request.query}'.",
            )
        )

    # The lake's endpoints

    def create(self, request: LakeRequest) -> Answer:
        """Makes a file or a folder."""
        is_folder = request.endpoint == "create_folder"
        entry = self._files.create(self._path(request), is_folder=is_folder, conditions=request.conditions)
        return _empty(HTTPStatus.CREATED, _versions(entry))

    def append(self, request: LakeRequest) -> Answer:
        """Takes bytes at a position; nobody sees them yet, unless they are to be flushed at once."""
        wanted = request.headers.get("Content-Md5")
        found = _md5(request.body) if wanted else ""
        if wanted and wanted != found:
            raise LakeRefusedError(HTTPStatus.BAD_REQUEST, "Md5Mismatch", "The bytes do not have that MD5.")
        path, position = self._path(request), request.number("position")
        self._files.append(path, position, request.body)
        checked = {"Content-MD5": found} if wanted else {}
        if request.query.get("flush") != "true":
            return _empty(HTTPStatus.ACCEPTED, checked)
        entry = self._files.flush(path, position + len(request.body), request.conditions)
        return _empty(HTTPStatus.ACCEPTED, {**checked, **_versions(entry)})

    def flush(self, request: LakeRequest) -> Answer:
        """Shows what was appended."""
        entry = self._files.flush(self._path(request), request.number("position"), request.conditions)
        return _empty(HTTPStatus.OK, _versions(entry))

    def rename(self, request: LakeRequest) -> Answer:
        """Moves a file or a folder. Like the real one, it answers no ETag."""
        workspace, _, path = (
            unquote(request.headers["X-Ms-Rename-Source"]).partition("?")[0].strip("/").partition("/")
        )
        self._files.rename(
            self._place.path_below(workspace, path),
            self._path(request),
            source_conditions=request.source_conditions,
            conditions=request.conditions,
        )
        return _empty(HTTPStatus.CREATED)

    def delete(self, request: LakeRequest) -> Answer:
        """Removes a file or a folder."""
        recursive = request.query.get("recursive") == "true"
        self._files.delete(self._path(request), recursive=recursive, conditions=request.conditions)
        # The real one tells the two services by their hosts; here a client of the Blob service is known by its wish for XML.
        for_blobs = request.headers.get("Accept") == "application/xml"
        return _empty(HTTPStatus.ACCEPTED if for_blobs else HTTPStatus.OK)

    def head(self, request: LakeRequest) -> Answer:
        """Says what stands at a path, in the headers of both the blob and the Data Lake service."""
        if not request.path and request.workspace in {self._place.workspace, self._place.workspace_id}:
            return _empty(HTTPStatus.OK)
        entry = self._files.find(self._path(request))
        request.conditions.check_read(entry)
        return Answer(length=entry.size, chunks=(), headers=_properties(entry))

    def read(self, request: LakeRequest) -> Answer:
        """A file's flushed bytes, or a range of them."""
        entry = self._files.find(self._path(request))
        request.conditions.check_read(entry)
        wanted = request.headers.get("X-Ms-Range") or request.headers.get("Range")
        if not wanted:
            return self._range(entry, 0, entry.size, HTTPStatus.OK, {})
        start, end = _parsed_range(wanted, entry.size)
        span = {"Content-Range": f"bytes {start}-{end - 1}/{entry.size}"}
        return self._range(entry, start, end, HTTPStatus.PARTIAL_CONTENT, span)

    def list(self, request: LakeRequest) -> Answer:
        """What stands below a folder, a page at a time."""
        folder = request.query.get("directory", "").strip("/")
        path = self._place.path_below(request.workspace, folder)
        recursive = request.query.get("recursive") == "true"
        below = [
            (f"{folder.partition('/')[0]}/{name}", entry)
            for name, entry in self._files.below(path, recursive=recursive)
        ]
        after = unquote(request.query.get("continuation", ""))
        most = request.number("maxResults") if "maxResults" in request.query else MOST_LISTED
        left = [(name, entry) for name, entry in below if name > after]
        answer = json_answer({"paths": [_listed(name, entry) for name, entry in left[:most]]})
        if len(left) <= most:
            return answer
        return replace(answer, headers={**answer.headers, "X-Ms-Continuation": left[most - 1][0]})

    def put_blob(self, request: LakeRequest) -> Answer:
        """Makes a blob of the body."""
        entry = self._blobs.put(self._path(request), request.body, request.conditions)
        return _empty(HTTPStatus.CREATED, _versions(entry))

    def put_block(self, request: LakeRequest) -> Answer:
        """Takes a block of a blob to come."""
        self._blobs.put_block(self._path(request), request.query["blockid"], request.body)
        return _empty(HTTPStatus.CREATED)

    def put_block_list(self, request: LakeRequest) -> Answer:
        """Makes a blob of its blocks."""
        entry = self._blobs.put_block_list(self._path(request), request.body, request.conditions)
        return _empty(HTTPStatus.CREATED, _versions(entry))

    def list_blobs(self, request: LakeRequest) -> Answer:
        """What has names that begin alike."""
        item = request.query.get("prefix", "").partition("/")[0]
        self._place.path_below(request.workspace, item)
        found = [(f"{item}/{name}", entry) for name, entry in self._files.below("", recursive=True)]
        return listing(request.workspace, found, request.query)

    def _path(self, request: LakeRequest) -> str:
        return self._place.path_below(request.workspace, request.path)

    def _range(
        self, entry: Entry, start: int, end: int, status: HTTPStatus, headers: Mapping[str, str]
    ) -> Answer:
        chunks = self._files.chunks(entry, start, end)
        return Answer(
            status=status, length=end - start, chunks=chunks, headers={**_properties(entry), **headers}
        )

    # The sandbox's own endpoints

    def _own_answer(self, request: SandboxRequest) -> Answer:
        match request.method, request.path:
            case "GET", "/sandbox/health":
                return json_answer({"status": "ok"})
            case "GET", "/sandbox/requests":
                return json_answer({"requests": self.requests})
            case "GET", "/sandbox/faults":
                return json_answer(self._faults.document())
            case "POST", "/sandbox/faults":
                return self._add_fault(request)
            case _:
                return error_answer(HTTPStatus.NOT_FOUND, f"there is no {request.method} {request.path} here")

    def _add_fault(self, request: SandboxRequest) -> Answer:
        try:
            self._faults.append(parse_fault(json.loads(request.body)))
        except (ValueError, RecursionError) as error:
            return error_answer(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        return json_answer(self._faults.document(), status=HTTPStatus.CREATED)


_ACTIONS: Mapping[LakeEndpoint, Callable[[OneLakeApi, LakeRequest], Answer]] = {
    "create": OneLakeApi.create,
    "create_folder": OneLakeApi.create,
    "append": OneLakeApi.append,
    "flush": OneLakeApi.flush,
    "rename": OneLakeApi.rename,
    "delete": OneLakeApi.delete,
    "head": OneLakeApi.head,
    "read": OneLakeApi.read,
    "list": OneLakeApi.list,
    "put_blob": OneLakeApi.put_blob,
    "put_block": OneLakeApi.put_block,
    "put_block_list": OneLakeApi.put_block_list,
    "list_blobs": OneLakeApi.list_blobs,
}


def _lake_endpoint(request: SandboxRequest) -> LakeEndpoint | None:
    """Which of the lake's endpoints a request is for; None for what OneLake refuses, such as setting access rights."""
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    match request.method, query:
        case "PUT", _ if "X-Ms-Rename-Source" in request.headers:
            return "rename"
        case "PUT", {"resource": "file"}:
            return "create"
        case "PUT", {"resource": "directory"}:
            return "create_folder"
        case "PATCH", {"action": "append"}:
            return "append"
        case "PATCH", {"action": "flush"}:
            return "flush"
        case "GET", {"resource": "filesystem"}:
            return "list"
        case method, {**others} if others.get("action", "getStatus") == "getStatus" and "comp" not in others:
            return _BY_METHOD.get(method) or _blob_endpoint(request, query)
        case _:
            return _blob_endpoint(request, query)


def _blob_endpoint(request: SandboxRequest, query: Mapping[str, str]) -> LakeEndpoint | None:
    match request.method, query:
        case "PUT", {"comp": "block", "blockid": _}:
            return "put_block"
        case "PUT", {"comp": "blocklist"}:
            return "put_block_list"
        case "PUT", {**others} if not others and request.headers.get("X-Ms-Blob-Type") == "BlockBlob":
            return "put_blob"
        case "GET", {"restype": "container", "comp": "list"}:
            return "list_blobs"
        case _:
            return None


_BY_METHOD: Mapping[str, LakeEndpoint] = {"HEAD": "head", "GET": "read", "DELETE": "delete"}


def _taken_apart(endpoint: LakeEndpoint, request: SandboxRequest) -> LakeRequest:
    workspace, _, path = unquote(request.path).strip("/").partition("/")
    return LakeRequest(
        endpoint=endpoint,
        workspace=workspace,
        path=path,
        query=dict(parse_qsl(request.query, keep_blank_values=True)),
        headers=request.headers,
        body=request.body,
    )


def _marked(answer: Answer, request: SandboxRequest) -> Answer:
    """The answer with what every answer of the lake carries."""
    marks = {"X-Ms-Request-Id": str(uuid.uuid4())}
    if version := request.headers.get("X-Ms-Version"):
        marks["X-Ms-Version"] = version
    if ignored := [name.lower() for name in IGNORED_HEADERS if name in request.headers]:
        marks["X-Ms-Rejected-Headers"] = ",".join(ignored)
    return replace(answer, headers={**answer.headers, **marks})


def _damaged(request: SandboxRequest) -> SandboxRequest:
    return replace(request, body=bytes(byte ^ 1 for byte in request.body[:1]) + request.body[1:])


def _shortened(request: SandboxRequest) -> SandboxRequest:
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    return replace(request, query=urlencode({**query, "position": int(query["position"]) - 1}))


def _told(fault: LakeFault) -> Answer:
    """The answer that a fault asks for."""
    status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
    if fault.text is not None:
        answer = raw_refusal(status, fault.text)
    else:
        answer = refusal(status, fault.error_code or "InternalError", "The sandbox was told to answer so.")
    if fault.retry_after is None:
        return answer
    return replace(answer, headers={**answer.headers, "Retry-After": fault.retry_after})


def _empty(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status=status, length=0, chunks=(), headers=headers or {})


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


def _listed(name: str, entry: Entry) -> Mapping[str, str]:
    kind = {"isDirectory": "true"} if entry.is_folder else {}
    return {
        "name": name,
        **kind,
        "contentLength": str(entry.size),
        "etag": entry.etag.strip('"'),
        "lastModified": format_datetime(entry.modified_at, usegmt=True),
    }


def _parsed_range(wanted: str, size: int) -> tuple[int, int]:
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
    if match is None or int(match[1]) >= size:
        raise LakeRefusedError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "InvalidRange", "The range is not in the file."
        )
    return int(match[1]), min(int(match[2]) + 1, size) if match[2] else size


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
