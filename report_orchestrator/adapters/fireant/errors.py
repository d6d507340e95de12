"""Translate Fireant's responses and network failures into typed errors: short, with an excerpt, without secrets."""

from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from report_orchestrator.adapters.fireant.responses import Response, is_success
from report_orchestrator.adapters.fireant.session import NotSentError
from report_orchestrator.adapters.http.network_errors import describe, error_chain, is_certificate_error
from report_orchestrator.conf import SANDBOX_URL, Settings
from report_orchestrator.domain.error_codes import ErrorCode, response_code
from report_orchestrator.domain.printable import storable
from report_orchestrator.exceptions import (
    ConfigurationError,
    FireantError,
    OrchestratorError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.masking import masked

EXCERPT = 2048
"""Characters of an unexpected response that an error keeps."""
SURELY_NOT_DONE = frozenset({501, 505})
"""Server errors for requests that were not even understood."""

_TUNNEL_REFUSED = f"Tunnel connection failed: {requests.codes.proxy_authentication_required}"
"""The standard library's message for a proxy that requires a password. Outer errors also contain the request's
address.
"""
_NO_SOCKS = "Missing dependencies for SOCKS"
"""The message of requests for a SOCKS proxy without PySocks."""

_HANDSHAKE_REFUSED = frozenset(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    }
)
"""Reasons of OpenSSL for which a server has read no request, though with TLS 1.3 they arrive after it."""

_UNKNOWN_CODES = {500: ErrorCode.SUBMISSION_FAILED, 503: response_code("fireant", 503)}

_UNCALLABLE = (
    requests.exceptions.InvalidURL
    | requests.exceptions.MissingSchema
    | requests.exceptions.InvalidSchema
    | requests.exceptions.InvalidHeader
)


def excerpt(body: bytes, settings: Settings) -> str:
    """Return the beginning of a response's body with secrets masked, short enough for an error message."""
    text = safe_text(body[: 4 * EXCERPT].decode(errors="replace"), settings).strip()
    return f"Response: {text}" if text else "The response body was empty."


def safe_text(value: object, settings: Settings) -> str:
    """Return the beginning of a field of a response as text, with secrets masked; empty for None."""
    text = str(value or "")
    return storable(masked(text[: 2 * EXCERPT], settings.secrets, is_cut=len(text) > 2 * EXCERPT))[:EXCERPT]


def may_have_worked(answer: Response) -> bool:
    """Return True if a job may exist after a submission's response that names none.

    A gateway's own statuses, such as 520 or 599, are as ambiguous as 502. A service that sends Retry-After has not accepted
    the request.
    """
    status = answer.status
    if status == requests.codes.service_unavailable:
        return answer.retry_after is None
    return (status >= 500 and status not in SURELY_NOT_DONE) or (is_success(status) and status != 200)


def submission_unknown(answer: Response, reference: str, settings: Settings) -> SubmissionUnknownError:
    """Return the error of a submission whose job may exist.

    A 503 keeps its own code: it mostly means that Fireant is down. So where submissions may be repeated, the run waits for
    Fireant and uses up no retry.
    """
    return SubmissionUnknownError(
        f"Fireant responded to the submission with {answer.status}; the job may exist under reference "
        f"{reference}. {excerpt(answer.body, settings)}",
        code=_UNKNOWN_CODES.get(answer.status, ErrorCode.SUBMISSION_UNKNOWN),
        retry_after=answer.retry_after,
    )


def is_definite(status: int) -> bool:
    """Return True if Fireant itself responded, to a request whose key it accepted."""
    return status == requests.codes.ok or (400 <= status < 500 and status not in {401, 403, 407, 408, 425, 429})


def refusal(answer: Response, request: str, settings: Settings) -> OrchestratorError:
    """Return the error of an unsuccessful response."""
    status, response_text = answer.status, excerpt(answer.body, settings)
    if status in {401, 403}:
        return ConfigurationError(
            f"Fireant rejected the API key ({status}) for {request}. Correct FIREANT_API_KEY, then retry "
            f"the run. {response_text}"
        )
    if status == requests.codes.proxy_authentication_required:
        return _refused_by_proxy()
    if _is_of_gateway(answer):
        return TransientError(
            f"A gateway in front of Fireant responded to {request} with {status}. If this continues, correct the gateway or "
            f"FIREANT_API_URL. {response_text}",
            code=ErrorCode.NOT_FROM_FIREANT,
            retry_after=answer.retry_after,
        )
    if status in {408, 425, 429} or status >= 500 or is_success(status):
        return TransientError(
            f"Fireant responded to {request} with {status}. {response_text}",
            code=response_code("fireant", status),
            retry_after=answer.retry_after,
        )
    if 300 <= status < 400:
        target = _host_of(answer.headers.get("Location", ""))
        return FireantError(
            f"Fireant redirected {request} to {storable(masked(target, settings.secrets))}. Redirects are "
            "not followed, to protect the key. Correct FIREANT_API_URL.",
            code=response_code("fireant", status),
        )
    return FireantError(
        f"Fireant rejected {request} with {status}. {response_text}",
        code=response_code("fireant", status),
        excerpt=response_text,
    )


def _is_of_gateway(answer: Response) -> bool:
    """Return True for a refusal in words that are not Fireant's: a 404 that is not JSON, or a web page."""
    if answer.status == requests.codes.not_found:
        return not answer.is_json
    return is_definite(answer.status) and answer.is_page


def _host_of(location: str) -> str:
    try:
        address = urlsplit(location)
        port = f":{address.port}" if address.port else ""
        return f"{address.hostname or 'another path'}{port}"[:200]
    except ValueError:
        return "an invalid address"


def unsent(error: requests.RequestException, settings: Settings) -> OrchestratorError | None:
    """Return the error of a request that certainly did not reach Fireant; None if it may have."""
    if is_certificate_error(error):
        return ConfigurationError(
            "The TLS certificate of Fireant at FIREANT_API_URL cannot be verified "
            f"({plain(error, settings)}). Set REQUESTS_CA_BUNDLE to the file of your certificate "
            "authority."
        )
    if any(getattr(cause, "reason", None) in _HANDSHAKE_REFUSED for cause in error_chain(error)):
        return ConfigurationError(
            f"Fireant at FIREANT_API_URL refused the TLS connection ({plain(error, settings)}). It may require a client "
            "certificate, which is not supported: let it accept FIREANT_API_KEY alone, or connect through a proxy that has one."
        )
    if isinstance(error, NotSentError):
        return ConfigurationError(
            f"Fireant cannot be called: {plain(error, settings)}. Correct FIREANT_API_URL, or REQUESTS_CA_BUNDLE and the "
            "proxy in the environment, then retry the run."
        )
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return ConfigurationError(
            "The proxy address in the environment is invalid. Correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY."
        )
    if isinstance(error, _UNCALLABLE):
        return _uncallable(error)
    if isinstance(error, requests.exceptions.ProxyError):
        return _unusable_proxy(error, settings)
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return TransientError(
            f"Fireant cannot be reached at FIREANT_API_URL ({plain(error, settings)}).{_sandbox_hint(settings)}",
            code=ErrorCode.FIREANT_UNREACHABLE,
        )
    return None


def _uncallable(error: requests.RequestException) -> ConfigurationError:
    if str(error).startswith(_NO_SOCKS):
        return ConfigurationError(
            "The environment sets a SOCKS proxy (ALL_PROXY, HTTPS_PROXY or HTTP_PROXY), but the package "
            "PySocks is not installed. Install it, use an HTTP proxy, or add the host of Fireant to "
            "NO_PROXY; then retry the run."
        )
    return ConfigurationError(
        f"Fireant cannot be called ({type(error).__name__}). Correct FIREANT_API_URL, FIREANT_API_KEY "
        "or the proxy set in the environment."
    )


def _unusable_proxy(error: requests.RequestException, settings: Settings) -> OrchestratorError:
    """Return the error of a failed tunnel or a silent proxy: Fireant has received nothing."""
    if any(str(cause).startswith(_TUNNEL_REFUSED) for cause in error_chain(error)):
        return _refused_by_proxy()
    return TransientError(
        "Fireant cannot be reached through the proxy set in the environment "
        f"({plain(error, settings)}). If this continues, check HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
        code=ErrorCode.FIREANT_UNREACHABLE,
    )


def _refused_by_proxy() -> ConfigurationError:
    return ConfigurationError(
        "The proxy in front of Fireant requires a user name and password (407). Correct HTTPS_PROXY "
        "or HTTP_PROXY, or add the host of Fireant to NO_PROXY; then retry the run."
    )


def _sandbox_hint(settings: Settings) -> str:
    if settings.fireant_api_url != SANDBOX_URL:
        return ""
    return " This is the address of the local sandbox: start it with manage.py fireant_sandbox, or set FIREANT_API_URL."


def unanswered(error: requests.RequestException, request: str, settings: Settings) -> OrchestratorError:
    """Return the error of a request that is safe to repeat."""
    return unsent(error, settings) or TransientError(
        f"Fireant did not respond to {request} ({plain(error, settings)}).", code=ErrorCode.FIREANT_NO_ANSWER
    )


def plain(error: BaseException, settings: Settings) -> str:
    """Return a description of the failure without the library's nesting and without secrets."""
    return storable(masked(describe(error), settings.secrets)[:300])
