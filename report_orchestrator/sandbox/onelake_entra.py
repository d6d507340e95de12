"""A stand-in for Entra: one tenant, one application, tokens that expire."""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs

from report_orchestrator.sandbox.answers import Answer, json_answer
from report_orchestrator.sandbox.exchange import SandboxRequest
from report_orchestrator.sandbox.onelake_faults import LakeEndpoint

RESOURCE = "https://storage.azure.com"
SCOPE = f"{RESOURCE}/.default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Who may sign in, and for how long a token is good."""

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    token_seconds: int


class Entra:
    """Discovery and tokens for one application of one tenant. `clock` gives seconds. Safe in many threads."""

    def __init__(self, application: Application, clock: Callable[[], float]) -> None:
        self._application = application
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}

    @property
    def tenant_id(self) -> str:
        """The one tenant."""
        return self._application.tenant_id

    def endpoint_of(self, request: SandboxRequest) -> LakeEndpoint | None:
        """Which of its two endpoints a request is for, if any."""
        if request.method == "GET" and _DISCOVERY.fullmatch(request.path):
            return "discovery"
        if request.method == "POST" and _TOKEN.fullmatch(request.path):
            return "token"
        return None

    def answer(self, endpoint: LakeEndpoint, request: SandboxRequest, authority: str) -> Answer:
        """What Entra says. `authority` is its own address, without a path."""
        tenant = request.path.split("/")[1]
        if tenant.lower() != self._application.tenant_id.lower():
            return _refused(HTTPStatus.BAD_REQUEST, "invalid_tenant", 90002, f"Tenant '{tenant}' not found.")
        if endpoint == "discovery":
            return json_answer(_discovered(f"{authority}/{tenant}"))
        return self._token(parse_qs(request.body.decode("latin-1")))

    def accepts(self, authorization: str) -> bool:
        """Whether an `Authorization` header carries a token that is still good."""
        scheme, _, token = authorization.partition(" ")
        with self._lock:
            good_until = self._tokens.get(token.strip(), 0.0)
        return scheme == "Bearer" and self._clock() < good_until

    def expire_tokens(self) -> None:
        """Makes every token given out so far worthless, whatever its holder believes."""
        with self._lock:
            self._tokens.clear()

    def _token(self, form: Mapping[str, list[str]]) -> Answer:
        given = {name: values[0] for name, values in form.items()}
        wanted = self._application
        if given.get("grant_type") != "client_credentials":
            return _refused(
                HTTPStatus.BAD_REQUEST, "unsupported_grant_type", 70003, "Unsupported grant type."
            )
        if given.get("client_id") != wanted.client_id:
            return _refused(HTTPStatus.BAD_REQUEST, "unauthorized_client", 700016, "Application not found.")
        if not hmac.compare_digest(given.get("client_secret", "").encode(), wanted.client_secret.encode()):
            return _refused(
                HTTPStatus.UNAUTHORIZED, "invalid_client", 7000215, "Invalid client secret provided."
            )
        if SCOPE not in given.get("scope", "").split():
            return _refused(HTTPStatus.BAD_REQUEST, "invalid_scope", 70011, "The scope is not valid.")
        return self._issued()

    def _issued(self) -> Answer:
        token, seconds = secrets.token_urlsafe(32), self._application.token_seconds
        with self._lock:
            self._tokens[token] = self._clock() + seconds
        return json_answer(
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


def _refused(status: HTTPStatus, error: str, number: int, message: str) -> Answer:
    document = {"error": error, "error_description": f"AADSTS{number}: {message}", "error_codes": [number]}
    return json_answer(document, status=status, note=f"AADSTS{number}")
