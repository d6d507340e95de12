"""The local OneLake's API: authorization, faults and the headers that all responses share.

It follows Microsoft's documentation and the SDK's recordings (https://learn.microsoft.com/fabric/onelake/onelake-api-parity).
If those do not name the status or code of a refusal, the sandbox chooses one.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlencode

from report_orchestrator.sandbox.http.api import SandboxApi, SandboxRequest
from report_orchestrator.sandbox.http.faults import Fault
from report_orchestrator.sandbox.http.responses import Response, scripted_response
from report_orchestrator.sandbox.onelake.actions import LakeActions
from report_orchestrator.sandbox.onelake.entra import RESOURCE, Entra
from report_orchestrator.sandbox.onelake.faults import (
    ENTRA_ENDPOINTS,
    LAKE_FAULTS,
    LakeEndpoint,
    LakeFaultKind,
    refusal,
)
from report_orchestrator.sandbox.onelake.files import LakeFiles
from report_orchestrator.sandbox.onelake.options import OneLakeOptions
from report_orchestrator.sandbox.onelake.requests import LakeRequest, lake_endpoint, parse_query

LakeFault = Fault[LakeEndpoint, LakeFaultKind]

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
"""Headers that OneLake ignores and names in its response."""


class OneLakeApi(SandboxApi[LakeEndpoint, LakeFaultKind]):
    """The lake's endpoints and Entra's. `observe` is called after each request's work."""

    def __init__(self, options: OneLakeOptions, files: LakeFiles, entra: Entra, observe: Callable[[], None]) -> None:
        super().__init__(LAKE_FAULTS)
        self._files = files
        self._actions = LakeActions(options, files)
        self._entra = entra
        self._observe = observe

    def respond(self, request: SandboxRequest) -> Response:
        if request.path.startswith("/sandbox/"):
            self._count("sandbox")
            return self._control(request)
        endpoint = self._entra.endpoint_of(request) or lake_endpoint(request)
        self._count(endpoint or "unknown")
        response = _unsupported(request) if endpoint is None else self._respond_at(endpoint, request)
        self._observe()
        return response.with_headers(_common_headers(request))

    def clear(self) -> None:
        super().clear()
        self._files.clear()

    def _respond_at(self, endpoint: LakeEndpoint, request: SandboxRequest) -> Response:
        if endpoint in ENTRA_ENDPOINTS or self._entra.accepts(request.headers.get("Authorization", "")):
            return self._respond_with_faults(endpoint, request)
        return self._unauthorized(request)

    def _act(self, endpoint: LakeEndpoint, request: SandboxRequest) -> Response:
        if endpoint in ENTRA_ENDPOINTS:
            return self._entra.response(endpoint, request, _authority(request))
        action: Callable[[LakeRequest], Response] = getattr(self._actions, endpoint)
        return action(LakeRequest.parse(request))

    def _unauthorized(self, request: SandboxRequest) -> Response:
        tenant = f"{_authority(request)}/{self._entra.tenant_id}"
        challenge = f"Bearer authorization_uri={tenant}/oauth2/authorize resource_id={RESOURCE}"
        has_token = "Authorization" in request.headers
        code = "InvalidAuthenticationInfo" if has_token else "NoAuthenticationInformation"
        response = refusal(HTTPStatus.UNAUTHORIZED, code, "Server failed to authenticate the request.")
        return response.with_headers({"WWW-Authenticate": challenge})

    def _replace_work(self, fault: LakeFault, request: SandboxRequest) -> Response:
        match fault.kind:
            case "expired_token":
                self._entra.expire_tokens()
                return self._unauthorized(request)
            case "damaged":
                corrupt = bytes(byte ^ 1 for byte in request.body[:1]) + request.body[1:]
                return self._attempt(fault.endpoint, replace(request, body=corrupt))
            case "short_flush":
                query = parse_query(request)
                shorter = urlencode({**query, "position": int(query["position"]) - 1})
                return self._attempt(fault.endpoint, replace(request, query=shorter))
            case _:
                return _status_response(fault)

    def _change_response(self, response: Response, fault: LakeFault) -> Response:
        return _status_response(fault) if fault.kind == "status_after_work" else response


def _authority(request: SandboxRequest) -> str:
    return f"https://{request.headers.get('Host', '')}"


def _unsupported(request: SandboxRequest) -> Response:
    message = f"OneLake has no {request.method} with the query '{request.query}'."
    return refusal(HTTPStatus.BAD_REQUEST, "UnsupportedOperation", message)


def _common_headers(request: SandboxRequest) -> Mapping[str, str]:
    headers = {"X-Ms-Request-Id": str(uuid.uuid4())}
    if version := request.headers.get("X-Ms-Version"):
        headers["X-Ms-Version"] = version
    if ignored := [name.lower() for name in IGNORED_HEADERS if name in request.headers]:
        headers["X-Ms-Rejected-Headers"] = ",".join(ignored)
    return headers


def _status_response(fault: LakeFault) -> Response:
    """Return the scripted status; with a `text`, as a gateway in front of the lake, without the lake's error code."""
    status = fault.status or HTTPStatus.INTERNAL_SERVER_ERROR
    return scripted_response(fault, refusal(status, fault.error_code or "InternalError", "Scripted fault."))
