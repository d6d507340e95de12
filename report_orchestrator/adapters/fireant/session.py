"""Connections to Fireant: one pooled session for each process, with limits of time for each request."""

import os
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from report_orchestrator import __version__
from report_orchestrator.adapters.fireant.responses import Response, read_response
from report_orchestrator.adapters.http.bounded_http import Watch, WatchedAdapter, watched
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.ports import no_heartbeat
from report_orchestrator.setting_values import Secret


class NotSentError(requests.RequestException):
    """No request was sent: a file or an address of the environment cannot be used."""


class BearerAuth(AuthBase):
    """Sends the key. An auth object, because a plain header would lose to the machine's `.netrc`."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


class _Unredirected(requests.Session):
    """Treats a redirect as any other response. requests would read its whole body, decompressed, to find the target."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class FireantSession:
    """Sends requests to Fireant. Thread-safe, and safe after a fork: each process has its own connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._silence = settings.timeout.total_seconds()
        self._sessions: dict[int, requests.Session] = {}

    def close(self) -> None:
        """Close this process's pooled connections. The next use opens new ones."""
        session = self._sessions.pop(os.getpid(), None)
        if session is not None:
            session.close()

    @property
    def _own(self) -> requests.Session:
        """This process's session: a connection that two processes used would carry the bytes of both."""
        process = os.getpid()
        return self._sessions.get(process) or self._sessions.setdefault(process, _new_session(self._settings))

    def answer(self, watch: Watch, method: str, path: str, **given: Any) -> Response:
        """Send a request and read its short response. Raises requests.RequestException."""
        return read_response(self.send(watch, method, path, **given))

    def ask_about(self, job_id: str) -> Response:
        """Request a job's status. Raises requests.RequestException."""
        query = {"is_get_results": "false", "is_newline": "true"}
        return self.answer(self.watch(), "GET", f"/get_job_status/{quote(job_id, safe='')}", params=query)

    def watch(self, *, heartbeat: Callable[[], None] = no_heartbeat, is_fresh: bool = False) -> Watch:
        return Watch(silence=self._silence, whole=2 * self._silence, heartbeat=heartbeat, is_fresh=is_fresh)

    def send(self, watch: Watch, method: str, path: str, **given: Any) -> requests.Response:
        """Send a request and return its response with the body unread.

        Raises:
            requests.RequestException: as requests raises it; `NotSentError` for any other error of its libraries.
        """
        with watched(watch):
            try:
                response = self._own.request(
                    method,
                    f"{self._settings.fireant_api_url}{path}",
                    timeout=self._silence,
                    allow_redirects=False,
                    stream=True,
                    **given,
                )
            except requests.RequestException:
                raise
            except (OSError, ValueError, HTTPError) as error:
                if watch.has_begun:
                    raise requests.ConnectionError(str(error)) from error
                raise NotSentError(str(error)) from error
        response.request.headers.clear()  # code that gets the response must not find the key in it
        return response


def _new_session(settings: Settings) -> requests.Session:
    _refuse_odd_key(settings.fireant_api_key)
    session = _Unredirected()
    session.auth = BearerAuth(settings.fireant_api_key)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    session.headers["User-Agent"] = f"report-orchestrator/{__version__}"
    session.headers["Accept-Encoding"] = "identity"
    adapter = WatchedAdapter(pool_maxsize=settings.poll_concurrency + 2)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _refuse_odd_key(key: Secret) -> None:
    if not _is_sendable(key.reveal()):
        raise ConfigurationError(
            "FIREANT_API_KEY contains characters that are not allowed in a bearer token, such as a space "
            "or an accented letter. Correct it."
        )


def _is_sendable(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key
