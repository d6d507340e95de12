"""Talk to Fireant over requests: typed values and typed errors.

Source: Fireant's API contract, described in `schematics/fireant.md`. Nothing is retried here: the run knows which
step is safe to repeat.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import requests

from report_orchestrator.adapters.fireant.errors import (
    excerpt,
    may_have_worked,
    plain,
    refusal,
    safe_text,
    submission_unknown,
    unanswered,
    unsent,
)
from report_orchestrator.adapters.fireant.probe import probe_fireant
from report_orchestrator.adapters.fireant.responses import Response, is_success, job_id_in
from report_orchestrator.adapters.fireant.results import ResultDownload
from report_orchestrator.adapters.fireant.session import FireantSession
from report_orchestrator.adapters.masked_errors import with_masked_causes
from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.payload import Payload
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.exceptions import FireantError, SubmissionUnknownError, TransientError
from report_orchestrator.masking import SHORTEST_ENCODED, masked
from report_orchestrator.ports import JobState, JobStatus, ProbeResult, no_heartbeat

_STATES = {state.value.lower(): state for state in JobState if state is not JobState.UNKNOWN}


class FireantClient:
    """A `Fireant` over HTTP. Thread-safe, and safe after a fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = FireantSession(settings)

    def close(self) -> None:
        """Close this process's pooled connections. The next use opens new ones."""
        self._session.close()

    def submit(self, kind: EventKind, payload: Payload, *, reference: str) -> str:
        """Submit a job once and return its id as text."""
        with with_masked_causes(self._settings):
            return self._submit(kind, payload, reference)

    def _submit(self, kind: EventKind, payload: Payload, reference: str) -> str:
        watch = self._session.watch(is_fresh=True)
        try:
            answer = self._session.answer(
                watch, "POST", f"/job_exposure_{kind.value}_agg", json=payload, headers={"Idempotency-Key": reference}
            )
        except requests.RequestException as error:
            if not watch.has_begun:
                raise unanswered(error, "the submission", self._settings) from error
            raise unsent(error, self._settings) or SubmissionUnknownError(
                f"Fireant did not respond to the submission ({plain(error, self._settings)}); the job may "
                f"exist under reference {reference}."
            ) from error
        return self._job_id(answer, reference)

    def _job_id(self, answer: Response, reference: str) -> str:
        job_id = job_id_in(answer) if is_success(answer.status) else ""
        if job_id and not self._shows_secret(job_id):
            return job_id
        if may_have_worked(answer):
            raise submission_unknown(answer, reference, self._settings)
        if answer.status != requests.codes.ok:
            raise refusal(answer, "the submission", self._settings)
        response_text = excerpt(answer.body, self._settings)
        raise FireantError(
            f"Fireant accepted the submission {reference} but returned no job_id. Check in Fireant "
            f"whether the job exists. {response_text}",
            code=ErrorCode.NO_JOB_ID,
            excerpt=response_text,
        )

    def _shows_secret(self, job_id: str) -> bool:
        """Return True if the id contains a secret. A short one may occur by chance, so it is ignored: the job would be lost."""
        distinct = tuple(secret for secret in self._settings.secrets if len(secret) >= SHORTEST_ENCODED)
        return masked(job_id, distinct) != job_id

    def status(self, job_id: str) -> JobStatus:
        """Return the status of a job."""
        with with_masked_causes(self._settings):
            return self._status(job_id)

    def _status(self, job_id: str) -> JobStatus:
        try:
            answer = self._session.ask_about(job_id)
        except requests.RequestException as error:
            raise unanswered(error, f"the status request for job {job_id}", self._settings) from error
        if answer.status == requests.codes.not_found and answer.is_json:
            raise FireantError(
                f"Fireant does not know job {job_id}. Retry the run to submit a new job.",
                code=ErrorCode.JOB_UNKNOWN,
                excerpt=excerpt(answer.body, self._settings),
            )
        if not is_success(answer.status):
            raise refusal(answer, f"the status request for job {job_id}", self._settings)
        return self._job_status(answer, job_id)

    def _job_status(self, answer: Response, job_id: str) -> JobStatus:
        body = answer.json() if answer.is_json else None
        data = body.get("data", body) if isinstance(body, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("status"), str):
            raise self._malformed(answer, job_id, "has no status" if answer.is_json else "is not JSON")
        named = data.get("job_id", job_id)
        if isinstance(named, int | str) and str(named).strip() != job_id:
            raise self._malformed(answer, job_id, "is about another job")
        return self._parsed(data)

    def _malformed(self, answer: Response, job_id: str, problem: str) -> TransientError:
        return TransientError(
            f"Fireant's status response ({answer.status}) for job {job_id} {problem}. {excerpt(answer.body, self._settings)}",
            code=ErrorCode.MALFORMED_ANSWER,
            retry_after=answer.retry_after,
        )

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
        return safe_text(value, self._settings)

    def results(
        self, job_id: str, heartbeat: Callable[[], None] = no_heartbeat
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Yield the result's bytes in pieces, and raise after the last one if it is incomplete."""
        return ResultDownload(self._session, self._settings, job_id).open(heartbeat)

    def probe(self) -> ProbeResult:
        """Check the connection, the key and the clock."""
        with with_masked_causes(self._settings):
            return probe_fireant(self._session, self._settings)
