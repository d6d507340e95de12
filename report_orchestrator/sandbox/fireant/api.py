"""The local Fireant's endpoints, without sockets."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, cast, get_args
from urllib.parse import unquote

from report_orchestrator.sandbox.fireant.payloads import JobKind, PayloadRefusedError, parse_payload
from report_orchestrator.sandbox.fireant.results import event_result, synthetic_result
from report_orchestrator.sandbox.http.api import SandboxApi, SandboxRequest
from report_orchestrator.sandbox.http.faults import SOCKET_RULES, Fault, KindRule, SocketKind, Vocabulary
from report_orchestrator.sandbox.http.responses import (
    RefusedError,
    Response,
    bytes_response,
    error_response,
    json_response,
    scripted_response,
)

if TYPE_CHECKING:
    from report_orchestrator.sandbox.fireant.jobs import JobProgress, JobTable, SandboxJob, SandboxOptions

Endpoint = Literal["submit", "status", "results"]
FaultKind = SocketKind | Literal["status_code", "not_found", "malformed_json", "no_job_id", "unknown_status"]

RequestedEndpoint = Endpoint | Literal["sandbox", "unknown"]

ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
FIREANT_FAULTS: Vocabulary[Endpoint, FaultKind] = Vocabulary(
    endpoints=ENDPOINTS,
    rules={
        "status_code": KindRule(needs={"status"}, takes={"retry_after", "text"}, instead_of_work=True),
        "not_found": KindRule(instead_of_work=True),
        **SOCKET_RULES,
        "malformed_json": KindRule(takes={"text"}),
        "no_job_id": KindRule(endpoints=("submit",)),
        "unknown_status": KindRule(takes={"text"}, endpoints=("status",)),
    },
)

UNKNOWN_STATUS = "Hibernating"
CUT_JSON = '{"data": {"status": "Fini'


ROUTES: tuple[tuple[Endpoint, str, re.Pattern[str]], ...] = (
    ("submit", "POST", re.compile(r"/job_exposure_(geo|ring|box)_agg")),
    ("status", "GET", re.compile(r"/get_job_status/([^/]+)")),
    ("results", "GET", re.compile(r"/jobs/results/([^/]+)")),
)


class FireantApi(SandboxApi[Endpoint, FaultKind]):
    """Fireant's three endpoints, and the sandbox's own."""

    def __init__(self, options: SandboxOptions, jobs: JobTable) -> None:
        super().__init__(FIREANT_FAULTS)
        self._options = options
        self._jobs = jobs

    def respond(self, request: SandboxRequest) -> Response:
        endpoint, _argument = _find_endpoint(request)
        self._count(endpoint)
        if not self._has_the_key(request):
            return error_response(HTTPStatus.UNAUTHORIZED, "the bearer key is missing or wrong")
        if endpoint == "sandbox" or endpoint == "unknown":
            return self._control(request)
        return self._respond_with_faults(endpoint, request)

    def clear(self) -> None:
        super().clear()
        self._jobs.clear()

    def _act(self, endpoint: Endpoint, request: SandboxRequest) -> Response:
        _endpoint, argument = _find_endpoint(request)
        match endpoint:
            case "submit":
                return self._submit(request, cast("JobKind", argument))
            case "status":
                return self._status(request, argument)
            case "results":
                return self._results(argument)

    def _replace_work(self, fault: Fault[Endpoint, FaultKind], request: SandboxRequest) -> Response:
        return scripted_response(fault, error_response(fault.status or HTTPStatus.NOT_FOUND, "scripted fault"))

    def _change_response(self, response: Response, fault: Fault[Endpoint, FaultKind]) -> Response:
        match fault.kind:
            case "malformed_json":
                return bytes_response((CUT_JSON if fault.text is None else fault.text).encode())
            case "no_job_id":
                return json_response({"message": "accepted"}, note=response.note)
            case "unknown_status":
                return json_response(self._wrapped({"status": fault.text or UNKNOWN_STATUS}))
            case _:
                return response

    def _control(self, request: SandboxRequest) -> Response:
        match request.method, request.path:
            case "GET", "/sandbox/jobs":
                jobs = self._jobs.submissions()
                return json_response({"jobs": [_job_document(job, self._jobs.progress(job)) for job in jobs]})
            case "DELETE", "/sandbox/jobs":
                self._jobs.clear()
                return json_response({"jobs": []})
            case "GET", "/sandbox/requests":
                requests = self.requests
                return json_response({"requests": {endpoint: requests[endpoint] for endpoint in ENDPOINTS}})
            case _:
                return super()._control(request)

    def _has_the_key(self, request: SandboxRequest) -> bool:
        if not self._options.api_key:
            return True
        wanted, given = f"Bearer {self._options.api_key}", request.headers.get("Authorization", "")
        # Header bytes reach us as Latin-1, so a key in any other letters is compared by its bytes.
        return hmac.compare_digest(wanted.encode(), given.encode("latin-1", "replace"))

    def _submit(self, request: SandboxRequest, kind: JobKind) -> Response:
        try:
            payload = parse_payload(request.body, kind)
        except PayloadRefusedError as refusal:
            raise RefusedError(error_response(HTTPStatus.UNPROCESSABLE_ENTITY, str(refusal))) from refusal
        job = self._jobs.accept(kind=kind, payload=payload, headers=request.headers)
        job_id = int(job.id) if self._options.integer_ids else job.id
        return json_response({"job_id": job_id}, note=f"job {job.id}")

    def _status(self, request: SandboxRequest, job_id: str) -> Response:
        progress = self._jobs.progress(self._job(job_id))
        results_url = f"http://{request.headers.get('Host', '')}/jobs/results/{job_id}"
        finished = progress.status == "Finished"
        document = asdict(progress) | {"results_url": results_url if finished else ""}
        return json_response(self._wrapped(document), note=f"{progress.status} {progress.progress:.0%}")

    def _results(self, job_id: str) -> Response:
        job = self._job(job_id)
        status = self._jobs.progress(job).status
        if status != "Finished":
            raise RefusedError(error_response(HTTPStatus.NOT_FOUND, f"job {job_id} is {status} and has no result"))
        if self._options.result_bytes is None:
            return event_result(job, self._options.seed)
        return synthetic_result(self._options.result_bytes)

    def _job(self, job_id: str) -> SandboxJob:
        job = self._jobs.find(unquote(job_id))
        if job is None:
            raise RefusedError(error_response(HTTPStatus.NOT_FOUND, f"job {job_id} does not exist"))
        return job

    def _wrapped(self, document: Mapping[str, object]) -> Mapping[str, object]:
        return {"data": document} if self._options.wrap_data else document


def _find_endpoint(request: SandboxRequest) -> tuple[RequestedEndpoint, str]:
    for endpoint, method, path in ROUTES:
        if request.method == method and (match := path.fullmatch(request.path)):
            return endpoint, match[1]
    return ("sandbox" if request.path.startswith("/sandbox/") else "unknown"), ""


def _job_document(job: SandboxJob, progress: JobProgress) -> Mapping[str, object]:
    return {
        "id": job.id,
        "kind": job.kind,
        "status": progress.status,
        "submitted_at": job.submitted_at.isoformat(),
        "idempotency_key": job.idempotency_key,
        "headers": dict(job.headers),
        "payload": job.payload,
    }
