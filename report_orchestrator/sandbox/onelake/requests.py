"""Requests to the local OneLake: their endpoints, parameters and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from report_orchestrator.sandbox.http.api import SandboxRequest
from report_orchestrator.sandbox.onelake.faults import LakeEndpoint, LakeRefusedError
from report_orchestrator.sandbox.onelake.files import Conditions

_BY_QUERY: tuple[tuple[str, Mapping[str, str], LakeEndpoint], ...] = (
    ("PUT", {"resource": "file"}, "create"),
    ("PUT", {"resource": "directory"}, "create_folder"),
    ("PATCH", {"action": "append"}, "append"),
    ("PATCH", {"action": "flush"}, "flush"),
    ("GET", {"resource": "filesystem"}, "list"),
    ("PUT", {"comp": "blocklist"}, "put_block_list"),
    ("GET", {"restype": "container", "comp": "list"}, "list_blobs"),
)
_BY_METHOD: Mapping[str, LakeEndpoint] = {"HEAD": "head", "GET": "read", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeRequest:
    """A parsed request to the lake. `path` is below the workspace and percent-decoded."""

    workspace: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def parse(cls, request: SandboxRequest) -> LakeRequest:
        workspace, _, path = unquote(request.path).strip("/").partition("/")
        query = parse_query(request)
        return cls(workspace=workspace, path=path, query=query, headers=request.headers, body=request.body)

    def conditions(self, prefix: str = "If-") -> Conditions:
        return Conditions(
            if_match=self.headers.get(f"{prefix}Match", ""), if_none_match=self.headers.get(f"{prefix}None-Match", "")
        )

    def is_set(self, name: str) -> bool:
        return self.query.get(name) == "true"

    def number(self, name: str) -> int:
        text = self.query.get(name, "")
        if text.isascii() and text.isdigit():
            return int(text)
        raise LakeRefusedError("InvalidQueryParameterValue" if text else "MissingRequiredQueryParameter")


def parse_query(request: SandboxRequest) -> dict[str, str]:
    return dict(parse_qsl(request.query, keep_blank_values=True))


def lake_endpoint(request: SandboxRequest) -> LakeEndpoint | None:
    """Return the endpoint of a request; None if OneLake does not support it, such as setting access rights."""
    query = parse_query(request)
    if request.method == "PUT" and "X-Ms-Rename-Source" in request.headers:
        return "rename"
    for method, parameters, endpoint in _BY_QUERY:
        if request.method == method and parameters.items() <= query.items():
            return endpoint
    if request.method == "PUT":
        return _blob_write(request, query)
    if "comp" not in query and query.get("action", "getStatus") == "getStatus":
        return _BY_METHOD.get(request.method)
    return None


def _blob_write(request: SandboxRequest, query: Mapping[str, str]) -> LakeEndpoint | None:
    if query.get("comp") == "block" and "blockid" in query:
        return "put_block"
    return "put_blob" if not query and request.headers.get("X-Ms-Blob-Type") == "BlockBlob" else None
