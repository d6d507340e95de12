"""Download results in pieces, and refuse those that are too large, unreadable or cut short."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import requests

from report_orchestrator.adapters.fireant.errors import excerpt, plain, refusal, safe_text, unanswered
from report_orchestrator.adapters.fireant.responses import (
    Response,
    announced_length,
    body_of,
    is_delimited,
    read_beginning,
    read_response,
    unreadable_coding,
)
from report_orchestrator.adapters.fireant.result_completeness import begins_like_page, is_page, whole
from report_orchestrator.adapters.fireant.session import FireantSession
from report_orchestrator.adapters.http.bounded_http import Watch
from report_orchestrator.adapters.masked_errors import with_masked_causes
from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import FireantError, TransientError

SLOWEST = 1024
"""Bytes a second below which a download is abandoned."""


class ResultDownload:
    """The download of one job's result."""

    def __init__(self, session: FireantSession, settings: Settings, job_id: str) -> None:
        self._session = session
        self._settings = settings
        self._job_id = job_id

    @contextmanager
    def open(self, heartbeat: Callable[[], None]) -> Iterator[Iterator[bytes]]:
        """Yield the result's bytes, requested uncompressed so that their count can be compared with the header."""
        watch = self._session.watch(heartbeat=heartbeat, is_fresh=True)
        with with_masked_causes(self._settings), self._begin(watch) as response:
            self._refuse_too_large(announced_length(response))
            yield whole(
                self._pieces(response, watch),
                content_type=response.headers.get("Content-Type", ""),
                is_delimited=is_delimited(response),
                job_id=self._job_id,
            )

    def _begin(self, watch: Watch) -> requests.Response:
        try:
            response = self._session.send(watch, "GET", f"/jobs/results/{quote(self._job_id, safe='')}")
            if response.status_code != requests.codes.ok:
                raise self._refused(read_response(response))
            self._refuse_unreadable(response)
        except requests.RequestException as error:
            raise unanswered(error, f"the result request for job {self._job_id}", self._settings) from error
        watch.download(whole=self._settings.result_deadline.total_seconds(), slowest=SLOWEST)
        return response

    def _refused(self, answer: Response) -> Exception:
        if answer.status == requests.codes.not_found and answer.is_json:
            return FireantError(
                f"Fireant has no result for job {self._job_id}, although it reported the job as finished. Check the "
                "job in Fireant, then retry the run.",
                code=ErrorCode.NO_RESULT,
                excerpt=excerpt(answer.body, self._settings),
            )
        return refusal(answer, f"the result request for job {self._job_id}", self._settings)

    def _refuse_unreadable(self, response: requests.Response) -> None:
        if coding := unreadable_coding(response):
            response.close()
            raise FireantError(
                f"The result of job {self._job_id} has Transfer-Encoding '{safe_text(coding, self._settings)}', so its "
                "end cannot be determined. Configure Fireant, or the gateway in front of it, to send Content-Length or "
                "chunks; then retry the run.",
                code=ErrorCode.RESULT_END_UNKNOWN,
            )
        if is_page(response.headers.get("Content-Type", "")):
            raise self._page(read_beginning(response).body)

    def _page(self, beginning: bytes) -> FireantError:
        response_text = excerpt(beginning, self._settings)
        return FireantError(
            f"A web page was returned instead of the result of job {self._job_id}. Check FIREANT_API_URL and "
            f"whether a gateway in front of Fireant requires a login, then retry the run. {response_text}",
            code=ErrorCode.RESULT_IS_A_PAGE,
            excerpt=response_text,
        )

    def _pieces(self, response: requests.Response, watch: Watch) -> Iterator[bytes]:
        received = 0
        try:
            for piece in body_of(response):
                watch.progressed()
                received += len(piece)
                self._refuse_too_large(received)
                if received == len(piece) and begins_like_page(piece):
                    raise self._page(piece)
                yield piece
        except requests.RequestException as error:
            raise TransientError(
                f"The download of the result of job {self._job_id} was interrupted after {received:,} bytes "
                f"({plain(error, self._settings)}).",
                code=ErrorCode.RESULT_CUT_SHORT,
            ) from error

    def _refuse_too_large(self, size: int) -> None:
        if size > self._settings.max_result_bytes:
            raise FireantError(
                f"The result of job {self._job_id} is larger than MAX_RESULT_BYTES "
                f"({self._settings.max_result_bytes:,}). Make the report smaller or raise the setting, then "
                "retry the run.",
                code=ErrorCode.RESULT_TOO_LARGE,
            )
