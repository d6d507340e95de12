"""A local Entra: one tenant, one application, tokens that expire."""

import hmac
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qs

from report_orchestrator.sandbox.http.api import SandboxRequest
from report_orchestrator.sandbox.http.responses import Response, json_response
from report_orchestrator.sandbox.onelake.faults import LakeEndpoint
from report_orchestrator.sandbox.onelake.options import OneLakeOptions

RESOURCE = "https://storage.azure.com"
SCOPE = f"{RESOURCE}/.default"


class Entra:
    """Discovery and tokens for one application. `clock` gives seconds. Thread-safe."""

    def __init__(self, options: OneLakeOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}

    @property
    def tenant_id(self) -> str:
        return self._options.tenant_id

    def endpoint_of(self, request: SandboxRequest) -> LakeEndpoint | None:
        """Return the Entra endpoint of a request, or None."""
        if request.method == "GET" and _DISCOVERY.fullmatch(request.path):
            return "discovery"
        if request.method == "POST" and _TOKEN.fullmatch(request.path):
            return "token"
        return None

    def response(self, endpoint: LakeEndpoint, request: SandboxRequest, authority: str) -> Response:
        tenant = request.path.split("/")[1]
        if tenant.lower() != self._options.tenant_id.lower():
            return _refused(HTTPStatus.BAD_REQUEST, "invalid_tenant", 90002, f"Tenant '{tenant}' not found.")
        if endpoint == "discovery":
            return json_response(_discovered(f"{authority}/{tenant}"))
        return self._token(parse_qs(request.body.decode("latin-1")))

    def accepts(self, authorization: str) -> bool:
        """Return True if an `Authorization` header has a valid token."""
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            good_until = self._tokens.get(token.strip(), 0.0)
        return scheme == "Bearer" and self._clock() < good_until

    def expire_tokens(self) -> None:
        """Invalidate every token issued so far."""
        with self._lock:
            self._tokens.clear()

    def _token(self, form: Mapping[str, list[str]]) -> Response:
        given = {name: values[0] for name, values in form.items()}
        options = self._options
        if given.get("grant_type") != "client_credentials":
            return _refused(HTTPStatus.BAD_REQUEST, "unsupported_grant_type", 70003, "Unsupported grant type.")
        if given.get("client_id") != options.client_id:
            return _refused(HTTPStatus.BAD_REQUEST, "unauthorized_client", 700016, "Application not found.")
        if not hmac.compare_digest(given.get("client_secret", "").encode(), options.client_secret.encode()):
            return _refused(HTTPStatus.UNAUTHORIZED, "invalid_client", 7000215, "Invalid client secret provided.")
        if SCOPE not in given.get("scope", "").split():
            return _refused(HTTPStatus.BAD_REQUEST, "invalid_scope", 70011, "The scope is not valid.")
        return self._issued()

    def _issued(self) -> Response:
        token, seconds = secrets.token_urlsafe(32), self._options.token_seconds
        with self._lock:
            self._tokens[token] = self._clock() + seconds
        return json_response(
            {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
        )


_DISCOVERY = re.compile(r"/[^/]+/v2\.0/\.well-known/openid-configuration")
_TOKEN = re.compile(r"/[^/]+/oauth2/v2\.0/token")


def _discovered(tenant_address: str) -> Mapping[str, object]:
    return {
        "token_endpoint": f"{tenant_address}/oauth2/v2.0/token",
        "authorization_endpoint": f"{tenant_address}/oauth2/v2.0/authorize",
        "issuer": f"{tenant_address}/v2.0",
        "jwks_uri": f"{tenant_address}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
    }


def _refused(status: HTTPStatus, error: str, number: int, message: str) -> Response:
    document = {"error": error, "error_description": f"AADSTS{number}: {message}", "error_codes": [number]}
    return json_response(document, status=status, note=f"AADSTS{number}")
