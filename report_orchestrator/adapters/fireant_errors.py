"""What Fireant's answers and silences mean, as errors of ours: plain, with the answer's beginning, and without a secret."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from report_orchestrator.adapters.fireant_answers import Answer, storable
from report_orchestrator.conf import SANDBOX_URL, Settings
from report_orchestrator.exceptions import (
    ConfigurationError,
    FireantError,
    OrchestratorError,
    SubmissionUnknownError,
    TransientError,
)

EXCERPT = 2048
"""How much of an unexpected answer an error keeps, in characters."""
MAY_HAVE_WORKED = frozenset({500, 502, 504})
"""Server errors after which a submitted job may exist all the same."""

_UNCALLABLE = (
    requests.exceptions.InvalidURL
    | requests.exceptions.MissingSchema
    | requests.exceptions.InvalidSchema
    | requests.exceptions.InvalidHeader
)


def excerpt(answer: Answer, settings: Settings) -> str:
    """The beginning of an answer, secrets masked; never more than is needed to understand it."""
    text = storable(settings.masked_beginning(answer.body.decode(errors="replace"))).strip()[:EXCERPT]
    return f"It said: {text}" if text else "It said nothing more."


def submission_unknown(answer: Answer, reference: str, settings: Settings) -> SubmissionUnknownError:
    """A server error to a submission, after which the job may exist."""
    return SubmissionUnknownError(
        f"Fireant answered the submission with {answer.status}; the job may exist under reference {reference}. "
        f"{excerpt(answer, settings)}",
        code="submission_unknown" if answer.status > 500 else "submission_failed",
        retry_after=answer.retry_after,
    )


def is_definite(status: int) -> bool:
    """Whether an answer is of Fireant's own making, to a request whose key it took."""
    return status == requests.codes.ok or (
        400 <= status < 500 and status not in {401, 403, 407, 408, 425, 429}
    )


def refusal(answer: Answer, what: str, settings: Settings) -> OrchestratorError:
    """An answer that is no success."""
    status, said = answer.status, excerpt(answer, settings)
    if status in {401, 403}:
        return ConfigurationError(
            f"Fireant refused the key ({status}) on {what}. Correct FIREANT_API_KEY, then retry the run. {said}"
        )
    if status == requests.codes.proxy_authentication_required:
        return _refused_by_proxy()
    if status in {408, 425, 429} or status >= 500:
        return TransientError(
            f"Fireant answered {what} with {status}. {said}",
            code=f"fireant_{status}",
            retry_after=answer.retry_after,
        )
    if 300 <= status < 400:
        target = _host_of(answer.headers.get("Location", ""))
        return FireantError(
            f"Fireant redirected {what} to {storable(settings.masked(target))}, which is never followed with the key. "
            "Correct FIREANT_API_URL.",
            code=f"fireant_{status}",
        )
    return FireantError(
        f"Fireant refused {what} with {status}. {said}", code=f"fireant_{status}", excerpt=said
    )


def _host_of(location: str) -> str:
    try:
        address = urlsplit(location)
        port = f":{address.port}" if address.port else ""
        return f"{address.hostname or 'another path'}{port}"[:200]
    except ValueError:
        return "an address that is none"


def unsent(error: requests.RequestException, settings: Settings) -> OrchestratorError | None:
    """The error of a request that surely never reached Fireant; None where it may have."""
    if _is_distrust(error):
        return ConfigurationError(
            f"Fireant's certificate at FIREANT_API_URL cannot be verified ({plain(error, settings)}). "
            "Name your certificate authority in REQUESTS_CA_BUNDLE."
        )
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return ConfigurationError(
            "The proxy's address in the environment is none. Correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY."
        )
    if isinstance(error, _UNCALLABLE):
        return ConfigurationError(
            f"Fireant cannot be called ({type(error).__name__}). Correct FIREANT_API_URL and FIREANT_API_KEY."
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return _unusable_proxy(error, settings)
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.ConnectTimeout) or isinstance(
        reason, NewConnectionError | ConnectTimeoutError
    ):
        return TransientError(
            f"Fireant cannot be reached at FIREANT_API_URL ({plain(error, settings)}).{_sandbox_hint(settings)}",
            code="fireant_unreachable",
        )
    return None


def _unusable_proxy(error: requests.RequestException, settings: Settings) -> OrchestratorError:
    """A tunnel that was not made, or a proxy that did not answer: Fireant has heard nothing."""
    if "407" in str(error):
        return _refused_by_proxy()
    return TransientError(
        f"Fireant cannot be reached through the proxy that the environment names ({plain(error, settings)}). "
        "Look at HTTP_PROXY, HTTPS_PROXY and NO_PROXY if this stays so.",
        code="fireant_unreachable",
    )


def _refused_by_proxy() -> ConfigurationError:
    return ConfigurationError(
        "The proxy on the way to Fireant wants a user and a password (407). Correct HTTPS_PROXY or HTTP_PROXY, "
        "or name Fireant's host in NO_PROXY; then retry the run."
    )


def _sandbox_hint(settings: Settings) -> str:
    if settings.fireant_api_url != SANDBOX_URL:
        return ""
    return (
        " That is the local one's address: start it with manage.py fireant_sandbox, or set FIREANT_API_URL."
    )


def unanswered(error: requests.RequestException, what: str, settings: Settings) -> OrchestratorError:
    """The error of a request that can be repeated without a difference."""
    return unsent(error, settings) or TransientError(
        f"Fireant did not answer when asked {what} ({plain(error, settings)}).", code="fireant_no_answer"
    )


def plain(error: BaseException, settings: Settings) -> str:
    """What went wrong, without the library's nesting, and without a secret."""
    text = str(getattr(error.args[0], "reason", None) or error) if error.args else ""
    return storable(settings.masked(f"{type(error).__name__}: {text}")[:300])


def _is_distrust(error: BaseException) -> bool:
    """Whether a certificate was refused, anywhere among the causes; other failures of TLS may pass."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        seen.add(id(cause))
        waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
    return False
