"""What Fireant's answers and silences mean, as errors of ours: plain, with the answer's beginning, and without a secret."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from report_orchestrator.adapters.fireant_answers import Answer, is_success, storable
from report_orchestrator.adapters.network_words import causes, in_words, is_distrust
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
SURELY_NOT_DONE = frozenset({501, 505})
"""Server errors that say that the request was not even understood."""

_TUNNEL_REFUSED = f"Tunnel connection failed: {requests.codes.proxy_authentication_required}"
"""What the standard library says of a proxy that wants a password. Outer errors name the request's address too."""
_NO_SOCKS = "Missing dependencies for SOCKS"
"""What requests says of a SOCKS proxy without PySocks."""

_UNKNOWN_CODES = {500: "submission_failed", 503: "fireant_503"}

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


def may_have_worked(answer: Answer) -> bool:
    """Whether a job may exist after an answer to its submission that names none.

    A gateway's own statuses, such as 520 or 599, tell no more of what became of the request than 502 does. A service that says
    when to come back has taken nothing.
    """
    status = answer.status
    if status == requests.codes.service_unavailable:
        return answer.retry_after is None
    return (status >= 500 and status not in SURELY_NOT_DONE) or (is_success(status) and status != 200)


def submission_unknown(answer: Answer, reference: str, settings: Settings) -> SubmissionUnknownError:
    """An answer to a submission after which the job may exist.

    A 503 keeps its own code: most often it says that Fireant is away, so where submissions are repeated it is waited out like
    every other, and costs no retry.
    """
    return SubmissionUnknownError(
        f"Fireant answered the submission with {answer.status}; the job may exist under reference {reference}. "
        f"{excerpt(answer, settings)}",
        code=_UNKNOWN_CODES.get(answer.status, "submission_unknown"),
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
    if is_distrust(error):
        return ConfigurationError(
            f"Fireant's certificate at FIREANT_API_URL cannot be verified ({plain(error, settings)}). "
            "Name your certificate authority in REQUESTS_CA_BUNDLE."
        )
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return ConfigurationError(
            "The proxy's address in the environment is none. Correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY."
        )
    if isinstance(error, _UNCALLABLE):
        return _uncallable(error)
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


def _uncallable(error: requests.RequestException) -> ConfigurationError:
    if str(error).startswith(_NO_SOCKS):
        return ConfigurationError(
            "The environment names a SOCKS proxy (ALL_PROXY, HTTPS_PROXY or HTTP_PROXY), and the package PySocks is missing. "
            "Install it, name an HTTP proxy instead, or name Fireant's host in NO_PROXY; then retry the run."
        )
    return ConfigurationError(
        f"Fireant cannot be called ({type(error).__name__}). Correct FIREANT_API_URL and FIREANT_API_KEY, "
        "or the proxy that the environment names."
    )


def _unusable_proxy(error: requests.RequestException, settings: Settings) -> OrchestratorError:
    """A tunnel that was not made, or a proxy that did not answer: Fireant has heard nothing."""
    if any(str(cause).startswith(_TUNNEL_REFUSED) for cause in causes(error)):
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
    return storable(settings.masked(in_words(error))[:300])
