"""Fireant over requests: one pooled session a process, every answer a typed value or a typed error.

Source: Fireant's API contract, described in `schematics/fireant.md`. Nothing is repeated here: whether repeating is safe is
known to the run, which tries its step again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests
from requests.auth import AuthBase

from report_orchestrator import __version__
from report_orchestrator.adapters.fireant_answers import (
    Answer,
    announced_length,
    body_of,
    instant_in,
    is_delimited,
    is_success,
    job_id_in,
    read_answer,
    read_beginning,
    retry_after,
    storable,
    unreadable_coding,
)
from report_orchestrator.adapters.fireant_errors import (
    EXCERPT,
    excerpt,
    is_definite,
    may_have_worked,
    plain,
    refusal,
    submission_unknown,
    unanswered,
    unsent,
)
from report_orchestrator.adapters.fireant_results import is_page, whole
from report_orchestrator.adapters.watched_http import Watch, WatchedAdapter, watched
from report_orchestrator.conf import Secret, Settings
from report_orchestrator.domain.payload import Payload
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.exceptions import (
    ConfigurationError,
    FireantError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.ports import JobState, JobStatus, Probed

__all__ = ["FireantClient", "retry_after"]

SLOWEST = 1024
"""Bytes a second below which a download is given up."""
NO_JOB = "0"
"""An id that no job has, to ask about. A number, as a service with integer ids may stumble over anything else."""

NOWHERE = "/no-such-path-of-fireant"
"""A path that Fireant does not have, to see what is said of such."""

_STATES = {state.value.lower(): state for state in JobState if state is not JobState.UNKNOWN}


class BearerAuth(AuthBase):
    """Sends the key. An auth object, because a plain header would lose to a `.netrc` of the machine."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


class _Unredirected(requests.Session):
    """Takes a redirect as an answer like others. The library's own would read its body whole, unpacked, to learn its target."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class FireantClient:
    """A `Fireant` over HTTP. Safe to use from several threads, and after a fork: each process has a session of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._silence = settings.timeout.total_seconds()
        self._sessions: dict[int, requests.Session] = {}

    def close(self) -> None:
        """Gives this process's pooled connections back. The next use makes new ones."""
        session = self._sessions.pop(os.getpid(), None)
        if session is not None:
            session.close()

    @property
    def _session(self) -> requests.Session:
        """This process's. Another's is left alone: its connections would carry two processes' bytes."""
        process = os.getpid()
        return self._sessions.get(process) or self._sessions.setdefault(process, _new_session(self._settings))

    def submit(self, kind: EventKind, payload: Payload, *, reference: str) -> str:
        """Sends a job once; returns its id as text."""
        watch = self._watch()
        try:
            answer = self._answer(
                watch,
                "POST",
                f"/job_exposure_{kind.value}_agg",
                json=payload,
                headers={"Idempotency-Key": reference},
            )
        except requests.RequestException as error:
            if not watch.has_begun:
                raise unanswered(error, "to take a job", self._settings) from error
            raise unsent(error, self._settings) or SubmissionUnknownError(
                f"Fireant did not answer the submission ({plain(error, self._settings)}); "
                f"the job may exist under reference {reference}."
            ) from error
        return self._job_id(answer, reference)

    def _job_id(self, answer: Answer, reference: str) -> str:
        job_id = job_id_in(answer) if is_success(answer.status) else ""
        if job_id and self._settings.masked(job_id) == job_id:
            return job_id
        if may_have_worked(answer):
            raise submission_unknown(answer, reference, self._settings)
        self._expect_success(answer, "the submission")
        said = excerpt(answer, self._settings)
        raise FireantError(
            f"Fireant took the submission {reference} but named no job_id. Look in Fireant whether the job exists. {said}",
            code="no_job_id",
            excerpt=said,
        )

    def status(self, job_id: str) -> JobStatus:
        """Asks about one job."""
        try:
            answer = self._ask_about(job_id)
        except requests.RequestException as error:
            raise unanswered(error, f"about job {job_id}", self._settings) from error
        if answer.status == requests.codes.not_found:
            raise FireantError(
                f"Fireant does not know job {job_id} (any more). Retry the run: it is submitted anew.",
                code="job_unknown",
                excerpt=excerpt(answer, self._settings),
            )
        self._expect_success(answer, f"a question about job {job_id}")
        return self._job_status(answer, job_id)

    def _ask_about(self, job_id: str) -> Answer:
        return self._answer(
            self._watch(),
            "GET",
            f"/get_job_status/{quote(job_id, safe='')}",
            params={"is_get_results": "false", "is_newline": "true"},
        )

    def _job_status(self, answer: Answer, job_id: str) -> JobStatus:
        try:
            body = answer.json()
        except (ValueError, RecursionError) as error:
            raise TransientError(
                f"Fireant's answer about job {job_id} is not JSON. {excerpt(answer, self._settings)}",
                code="malformed_answer",
            ) from error
        data = body.get("data", body) if isinstance(body, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("status"), str):
            raise TransientError(
                f"Fireant's answer about job {job_id} has no status. {excerpt(answer, self._settings)}",
                code="malformed_answer",
            )
        return self._parsed(data)

    def _parsed(self, data: dict[str, Any]) -> JobStatus:
        progress = data.get("progress")
        reported = self._text(data["status"].strip())
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
        """The result's bytes, in pieces, asked for unpacked so that their number can be held against the header."""
        watch = self._watch()
        try:
            response = self._send(watch, "GET", f"/jobs/results/{quote(job_id, safe='')}")
            if response.status_code != requests.codes.ok:
                self._refuse_result(read_answer(response), job_id)
            self._refuse_unreadable(response, job_id)
        except requests.RequestException as error:
            raise unanswered(error, f"for the result of job {job_id}", self._settings) from error
        watch.download(whole=self._settings.result_deadline.total_seconds(), slowest=SLOWEST)
        with response:
            self._refuse_too_large(announced_length(response), job_id)
            yield whole(
                self._pieces(response, job_id),
                content_type=response.headers.get("Content-Type", ""),
                is_delimited=is_delimited(response),
                job_id=job_id,
            )

    def _refuse_result(self, answer: Answer, job_id: str) -> None:
        if answer.status == requests.codes.not_found:
            raise FireantError(
                f"Fireant has no result of job {job_id}, though it says that the job has finished. "
                "Look at the job in Fireant, then retry the run.",
                code="no_result",
                excerpt=excerpt(answer, self._settings),
            )
        self._expect_success(answer, f"a request for the result of job {job_id}")

    def _refuse_unreadable(self, response: requests.Response, job_id: str) -> None:
        if coding := unreadable_coding(response):
            response.close()
            raise FireantError(
                f"The result of job {job_id} came with Transfer-Encoding '{self._text(coding)}', so nobody can tell "
                "where it begins and ends. Have Fireant, or the gateway before it, send Content-Length or chunks; then "
                "retry the run.",
                code="result_end_unknown",
            )
        if is_page(response.headers.get("Content-Type", "")):
            said = excerpt(read_beginning(response), self._settings)
            raise FireantError(
                f"Instead of the result of job {job_id} came a web page. A gateway before Fireant may want a login, or "
                f"FIREANT_API_URL may lead to something else. Correct that, then retry the run. {said}",
                code="result_is_a_page",
                excerpt=said,
            )

    def _pieces(self, response: requests.Response, job_id: str) -> Iterator[bytes]:
        received = 0
        try:
            for piece in body_of(response):
                received += len(piece)
                self._refuse_too_large(received, job_id)
                yield piece
        except requests.RequestException as error:
            raise TransientError(
                f"The result of job {job_id} broke off after {received:,} bytes ({plain(error, self._settings)}).",
                code="result_cut_short",
            ) from error

    def _refuse_too_large(self, size: int, job_id: str) -> None:
        if size > self._settings.max_result_bytes:
            raise FireantError(
                f"The result of job {job_id} is larger than MAX_RESULT_BYTES ({self._settings.max_result_bytes:,}). "
                "Raise it if results of this size are meant.",
                code="result_too_large",
            )

    def probe(self) -> Probed:
        """Asks about a job that there is none of: any answer but a refusal of the key shows that the key is accepted.

        It must differ from the answer to a path that no Fireant has: a router that knows neither says no to both before anybody
        looks at a key.
        """
        try:
            answer = self._ask_about(NO_JOB)
            nowhere = self._answer(self._watch(), "GET", NOWHERE)
        except requests.RequestException as error:
            raise unanswered(error, "about no job in particular", self._settings) from error
        answered_at = datetime.now(UTC)
        if not is_definite(answer.status):
            raise refusal(answer, "a question about no job in particular", self._settings)
        clock = instant_in(answer.headers.get("Date", ""))
        return Probed(
            detail=f"answered {answer.status} to a question about no job",
            ahead=None if clock is None else clock - answered_at,
            doubt=_doubt(answer, nowhere),
        )

    def _answer(self, watch: Watch, method: str, path: str, **given: Any) -> Answer:
        return read_answer(self._send(watch, method, path, **given))

    def _watch(self) -> Watch:
        return Watch(silence=self._silence, whole=2 * self._silence)

    def _send(self, watch: Watch, method: str, path: str, **given: Any) -> requests.Response:
        with watched(watch):
            return self._session.request(
                method,
                f"{self._settings.fireant_api_url}{path}",
                timeout=self._silence,
                allow_redirects=False,
                stream=True,
                **given,
            )

    def _expect_success(self, answer: Answer, what: str) -> None:
        if answer.status != requests.codes.ok:
            raise refusal(answer, what, self._settings)


def _new_session(settings: Settings) -> requests.Session:
    key = settings.fireant_api_key.reveal()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigurationError(
            "FIREANT_API_KEY has characters that no bearer token has, such as a space or a letter with an accent. Correct it."
        )
    session = _Unredirected()
    session.auth = BearerAuth(settings.fireant_api_key)
    session.headers["User-Agent"] = f"report-orchestrator/{__version__}"
    session.headers["Accept-Encoding"] = "identity"
    adapter = WatchedAdapter(pool_maxsize=settings.poll_concurrency + 2)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _doubt(answer: Answer, nowhere: Answer) -> str:
    """What speaks against an answer to a question about no job, by the answer to a path that there is none of."""
    if not _is_json(answer):
        return "the answer is no JSON, so FIREANT_API_URL may lead to something else"
    if answer.status == nowhere.status and _apart_from_path(answer) == _apart_from_path(nowhere):
        return "a path that no Fireant has is answered alike, so FIREANT_API_URL may lead beside it, or to something else"
    return ""


def _apart_from_path(answer: Answer) -> str:
    """The body without what differs from question to question: what was asked for, instants and numbers."""
    said = answer.body.decode("utf-8", "replace")
    return re.sub(
        r"[\w-]*\d[\w.-]*",
        "",
        re.sub(rf"[^\s\"'<>]*(?:{re.escape(NOWHERE)}|/get_job_status/)[^\s\"'<>]*", "", said),
    )


def _is_json(answer: Answer) -> bool:
    try:
        answer.json()
    except (ValueError, RecursionError):
        return False
    return True
