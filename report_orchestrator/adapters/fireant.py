"""Fireant over requests: one pooled session a process, every answer a typed value or a typed error.

Source: Fireant's API contract, described in `schematics/fireant.md`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from report_orchestrator import __version__
from report_orchestrator.adapters.fireant_results import whole
from report_orchestrator.conf import SANDBOX_URL, Secret, Settings
from report_orchestrator.domain.payload import Payload
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.exceptions import (
    ConfigurationError,
    FireantError,
    OrchestratorError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.ports import JobState, JobStatus

EXCERPT = 2048
"""How much of an unexpected answer an error keeps, in characters."""
LONGEST_ANSWER = 1024 * 1024
"""Bytes of an answer that is no result. Fireant's are a few hundred."""
LONGEST_JOB_ID = 200
PIECE = 1024 * 1024
"""Results are read in pieces of this many bytes."""

_STATES = {state.value.lower(): state for state in JobState if state is not JobState.UNKNOWN}
_MAY_HAVE_WORKED = frozenset({500, 502, 504})
"""Server errors after which a submitted job may exist all the same."""


class BearerAuth(AuthBase):
    """Sends the key. An auth object, because a plain header would lose to a `.netrc` of the machine."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


class FireantClient:
    """A `Fireant` over HTTP. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout = settings.timeout.total_seconds()
        self._session = requests.Session()
        self._session.auth = BearerAuth(settings.fireant_api_key)
        self._session.headers["User-Agent"] = f"report-orchestrator/{__version__}"
        pool = HTTPAdapter(pool_maxsize=settings.poll_concurrency + 2)
        self._session.mount("https://", pool)
        self._session.mount("http://", pool)

    def close(self) -> None:
        """Gives the pooled connections back."""
        self._session.close()

    def submit(self, kind: EventKind, payload: Payload, *, reference: str) -> str:
        """Sends a job once; returns its id as text."""
        headers = {"Idempotency-Key": reference}
        try:
            response = self._session.post(
                self._url(f"/job_exposure_{kind.value}_agg"),
                json=payload,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
            self._read(response)
        except requests.RequestException as error:
            self._raise_unsent(error)
            raise SubmissionUnknownError(
                f"Fireant did not answer the submission ({self._plain(error)}); the job may exist under reference {reference}."
            ) from error
        if response.status_code in _MAY_HAVE_WORKED:
            raise SubmissionUnknownError(
                f"Fireant answered the submission with {response.status_code}; the job may exist under reference {reference}. "
                f"{self._excerpt(response)}",
                code="submission_unknown" if response.status_code > 500 else "submission_failed",
                retry_after=retry_after(response.headers.get("Retry-After")),
            )
        self._expect_success(response, "the submission")
        return self._job_id(response, reference)

    def _read(self, response: requests.Response) -> None:
        """Reads a short answer whole, bounded in size and in time: one that drips is a time-out, however lively it looks."""
        deadline = time.monotonic() + 2 * self._timeout
        received = bytearray()
        with response, _as_requests_does():
            while piece := response.raw.read1(PIECE, decode_content=True):
                received += piece
                if len(received) > LONGEST_ANSWER or time.monotonic() > deadline:
                    raise requests.ReadTimeout("the answer was too long in coming, or too long")
        # Where requests keeps what it has read, so that everything else of it works on.
        response._content, response._content_consumed = bytes(received), True  # type: ignore[attr-defined]  # noqa: SLF001

    def _job_id(self, response: requests.Response, reference: str) -> str:
        job_id = _job_id_in(response)
        if not job_id:
            raise FireantError(
                f"Fireant took the submission {reference} but named no job_id. Look in Fireant whether the job exists. "
                f"{self._excerpt(response)}",
                code="no_job_id",
                excerpt=self._excerpt(response),
            )
        return job_id

    def status(self, job_id: str) -> JobStatus:
        """Asks about one job."""
        try:
            response = self._session.get(
                self._url(f"/get_job_status/{quote(job_id, safe='')}"),
                params={"is_get_results": "false", "is_newline": "true"},
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
            self._read(response)
        except requests.RequestException as error:
            self._raise_unanswered(error, f"about job {job_id}")
        if response.status_code == requests.codes.not_found:
            raise FireantError(
                f"Fireant does not know job {job_id} (any more). Retry the run: it is submitted anew.",
                code="job_unknown",
                excerpt=self._excerpt(response),
            )
        self._expect_success(response, f"a question about job {job_id}")
        return self._job_status(response, job_id)

    def _job_status(self, response: requests.Response, job_id: str) -> JobStatus:
        try:
            body: Any = response.json()
        except (ValueError, RecursionError) as error:
            raise TransientError(
                f"Fireant's answer about job {job_id} is not JSON. {self._excerpt(response)}",
                code="malformed_answer",
            ) from error
        data = body.get("data", body) if isinstance(body, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("status"), str):
            raise TransientError(
                f"Fireant's answer about job {job_id} has no status. {self._excerpt(response)}",
                code="malformed_answer",
            )
        return self._parsed(data)

    def _parsed(self, data: dict[str, Any]) -> JobStatus:
        progress = data.get("progress")
        reported = storable(data["status"].strip())
        return JobStatus(
            state=_STATES.get(reported.lower(), JobState.UNKNOWN),
            reported=reported,
            progress=float(progress) if isinstance(progress, int | float) and abs(progress) <= 1e6 else None,
            message=self._text(data.get("message")),
            error=self._text(data.get("error")),
            results_url=self._text(data.get("results_url")),
        )

    def _text(self, value: object) -> str:
        return storable(self._settings.masked(str(value or "")))[:EXCERPT]

    @contextmanager
    def results(self, job_id: str) -> Iterator[Iterator[bytes]]:
        """The result's bytes, in pieces, asked for uncompressed so that their number can be held against the header."""
        try:
            response = self._session.get(
                self._url(f"/jobs/results/{quote(job_id, safe='')}"),
                headers={"Accept-Encoding": "identity"},
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
        except requests.RequestException as error:
            self._raise_unanswered(error, f"for the result of job {job_id}")
        with response:
            if response.status_code == requests.codes.not_found:
                raise FireantError(
                    f"Fireant has no result of job {job_id}, though it says that the job has finished. "
                    "Look at the job in Fireant, then retry the run.",
                    code="no_result",
                )
            self._expect_success(response, f"a request for the result of job {job_id}")
            yield whole(self._pieces(response, job_id), response.headers, job_id)

    def _pieces(self, response: requests.Response, job_id: str) -> Iterator[bytes]:
        received = 0
        try:
            with _as_requests_does():
                while piece := response.raw.read1(PIECE, decode_content=True):
                    received += len(piece)
                    self._refuse_too_large(received, job_id)
                    yield piece
        except requests.RequestException as error:
            raise TransientError(
                f"The result of job {job_id} broke off after {received:,} bytes ({self._plain(error)}).",
                code="result_cut_short",
            ) from error

    def _refuse_too_large(self, received: int, job_id: str) -> None:
        if received > self._settings.max_result_bytes:
            raise FireantError(
                f"The result of job {job_id} is larger than MAX_RESULT_BYTES ({self._settings.max_result_bytes:,}). "
                "Raise it if results of this size are meant.",
                code="result_too_large",
            )

    def _url(self, path: str) -> str:
        return f"{self._settings.fireant_api_url}{path}"

    def _expect_success(self, response: requests.Response, what: str) -> None:
        if response.status_code == requests.codes.ok:
            return
        raise self._error_of(response, what)

    def _error_of(self, response: requests.Response, what: str) -> OrchestratorError:
        code, excerpt = response.status_code, self._excerpt(response)
        if code in {401, 403}:
            return ConfigurationError(
                f"Fireant refused the key ({code}) on {what}. Correct FIREANT_API_KEY, then retry the run. {excerpt}"
            )
        if code in {408, 425, 429} or code >= 500:
            wait = retry_after(response.headers.get("Retry-After"))
            return TransientError(
                f"Fireant answered {what} with {code}. {excerpt}", code=f"fireant_{code}", retry_after=wait
            )
        if 300 <= code < 400:
            target = urlsplit(response.headers.get("Location", "")).netloc or "nowhere"
            return FireantError(
                f"Fireant redirected {what} to {target}, which is never followed with the key. Correct FIREANT_API_URL.",
                code=f"fireant_{code}",
            )
        return FireantError(
            f"Fireant refused {what} with {code}. {excerpt}", code=f"fireant_{code}", excerpt=excerpt
        )

    def _excerpt(self, response: requests.Response) -> str:
        """The beginning of an answer, secrets masked; never more than is needed to understand it."""
        try:
            raw = next(response.iter_content(EXCERPT), b"")
        except requests.RequestException:
            return "Its answer broke off."
        text = storable(self._settings.masked(raw[: 4 * EXCERPT].decode(errors="replace"))).strip()[:EXCERPT]
        return f"It said: {text}" if text else "It said nothing more."

    def _raise_unsent(self, error: requests.RequestException) -> None:
        """Raises where the request surely never reached Fireant; returns where it may have."""
        if _is_distrust(error):
            raise ConfigurationError(
                f"Fireant's certificate at FIREANT_API_URL cannot be verified ({self._plain(error)}). "
                "Name your certificate authority in REQUESTS_CA_BUNDLE."
            ) from error
        if isinstance(
            error,
            requests.exceptions.InvalidURL
            | requests.exceptions.MissingSchema
            | requests.exceptions.InvalidSchema
            | requests.exceptions.InvalidHeader,
        ):
            raise ConfigurationError(
                f"Fireant cannot be called ({type(error).__name__}). Correct FIREANT_API_URL and FIREANT_API_KEY."
            ) from error
        reason = getattr(error.args[0], "reason", None) if error.args else None
        if isinstance(error, requests.ConnectTimeout) or isinstance(
            reason, NewConnectionError | ConnectTimeoutError
        ):
            raise TransientError(
                f"Fireant cannot be reached at FIREANT_API_URL ({self._plain(error)}).{self._sandbox_hint()}",
                code="fireant_unreachable",
            ) from error

    def _sandbox_hint(self) -> str:
        if self._settings.fireant_api_url != SANDBOX_URL:
            return ""
        return " That is the local one's address: start it with manage.py fireant_sandbox, or set FIREANT_API_URL."

    def _raise_unanswered(self, error: requests.RequestException, what: str) -> NoReturn:
        self._raise_unsent(error)
        raise TransientError(
            f"Fireant did not answer when asked {what} ({self._plain(error)}).", code="fireant_no_answer"
        ) from error

    def _plain(self, error: BaseException) -> str:
        """What went wrong, without the library's nesting, and without a secret."""
        text = str(getattr(error.args[0], "reason", None) or error) if error.args else ""
        return self._settings.masked(f"{type(error).__name__}: {text}"[:300])


def _job_id_in(response: requests.Response) -> str:
    """The id in an answer, as text; empty where there is none that could be one."""
    try:
        job_id = response.json()["job_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    if isinstance(job_id, bool) or not isinstance(job_id, int | str):
        return ""
    text = str(job_id).strip()
    return text if len(text) <= LONGEST_JOB_ID and storable(text) == text else ""


def storable(text: str) -> str:
    """The text without what no database or log takes: zero bytes and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


@contextmanager
def _as_requests_does() -> Iterator[None]:
    """Reading below requests raises urllib3's errors; they come out as requests' own."""
    try:
        yield
    except ReadTimeoutError as error:
        raise requests.ReadTimeout(str(error)) from error
    except HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(str(error)) from error


def _is_distrust(error: BaseException | None) -> bool:
    """Whether a certificate was refused, anywhere down the chain of causes; other failures of TLS may pass."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        inner = getattr(error.args[0], "reason", None) if error.args else None
        error = getattr(error, "reason", None) or inner or error.__cause__ or error.__context__
        if not isinstance(error, BaseException):
            return False
    return False


def retry_after(header: str | None, *, now: datetime | None = None) -> timedelta | None:
    """The wait that a `Retry-After` header asks for, in either of its forms (RFC 9110, 10.2.3); None where it cannot be read."""
    if not header:
        return None
    seconds = header.strip()
    if seconds.isascii() and seconds.isdigit():
        return timedelta(seconds=int(seconds[:8]) if len(seconds) > 8 else int(seconds))
    try:
        until = parsedate_to_datetime(header)
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        return max(until - (now or datetime.now(UTC)), timedelta(0))
    except (ValueError, OverflowError, TypeError):
        return None
