"""The sandbox without its sockets: a request goes in, an answer comes out, and the fault to send it with."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import unquote

from report_orchestrator.sandbox.answers import (
    Answer,
    RefusedError,
    bytes_answer,
    error_answer,
    event_result,
    json_answer,
    synthetic_result,
)
from report_orchestrator.sandbox.exchange import Exchange, RequestCounter, SandboxRequest
from report_orchestrator.sandbox.faults import ENDPOINTS, Endpoint, Fault, FaultKind, FaultScript, parse_fault
from report_orchestrator.sandbox.payloads import JobKind, PayloadRefusedError, parse_payload

if TYPE_CHECKING:
    from report_orchestrator.sandbox.jobs import JobProgress, JobTable, SandboxJob, SandboxOptions

RequestedEndpoint = Endpoint | Literal["sandbox", "unknown"]

UNKNOWN_STATUS = "Hibernating"
CUT_JSON = '{"data": {"status": "Fini'


Action = Callable[["FireantApi", SandboxRequest, str], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path. The path's one group, if it has one, is given to the action."""

    method: str
    path: re.Pattern[str]
    endpoint: RequestedEndpoint
    action: Action


class FireantApi(RequestCounter[RequestedEndpoint]):
    """Fireant's three endpoints, and the sandbox's own under `/sandbox`."""

    def __init__(
        self, options: SandboxOptions, jobs: JobTable, faults: FaultScript[Endpoint, FaultKind]
    ) -> None:
        self._options = options
        self._jobs = jobs
        self._faults = faults
        super().__init__()

    def exchange(self, request: SandboxRequest) -> Exchange:
        """Does what the request asks, unless it is refused or a fault stands in for the work."""
        route, argument = _find_route(request)
        self._count(route.endpoint)
        if not self._has_the_key(request):
            return Exchange(
                answer=error_answer(HTTPStatus.UNAUTHORIZED, "the bearer key is missing or wrong")
            )
        if route.endpoint not in ENDPOINTS:
            return Exchange(answer=self._act(route, request, argument))
        return self._exchange_with_faults(route, request, argument, route.endpoint)

    def _exchange_with_faults(
        self, route: Route, request: SandboxRequest, argument: str, endpoint: Endpoint
    ) -> Exchange:
        if fault := self._faults.take_instead_of_work(endpoint):
            return Exchange(answer=_answer_of(fault), fault=fault)
        answer = self._act(route, request, argument)
        if answer.status != HTTPStatus.OK:
            return Exchange(answer=answer)
        fault = self._faults.take_after_work(endpoint)
        return Exchange(answer=self._spoiled(answer, fault), fault=fault)

    def _act(self, route: Route, request: SandboxRequest, argument: str) -> Answer:
        try:
            return route.action(self, request, argument)
        except RefusedError as refusal:
            return refusal.answer

    def _has_the_key(self, request: SandboxRequest) -> bool:
        if not self._options.api_key:
            return True
        wanted, given = f"Bearer {self._options.api_key}", request.headers.get("Authorization", "")
        # Header bytes reach us as Latin-1, so a key in any other letters is compared by its bytes.
        return hmac.compare_digest(wanted.encode(), given.encode("latin-1", "replace"))

    def _spoiled(self, answer: Answer, fault: Fault[Endpoint, FaultKind] | None) -> Answer:
        match fault:
            case Fault(kind="malformed_json", text=text):
                return bytes_answer((CUT_JSON if text is None else text).encode())
            case Fault(kind="no_job_id"):
                return json_answer({"message": "accepted"}, note=answer.note)
            case Fault(kind="unknown_status", text=text):
                return json_answer(self._wrapped({"status": text or UNKNOWN_STATUS}))
            case _:
                return answer

    # Fireant's endpoints

    def submit(self, request: SandboxRequest, kind: str) -> Answer:
        """Accepts a job."""
        try:
            payload = parse_payload(request.body, cast("JobKind", kind))
        except PayloadRefusedError as refusal:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(refusal)) from refusal
        job = self._jobs.accept(kind=cast("JobKind", kind), payload=payload, headers=request.headers)
        job_id = int(job.id) if self._options.integer_ids else job.id
        return json_answer({"job_id": job_id}, note=f"job {job.id}")

    def status(self, request: SandboxRequest, job_id: str) -> Answer:
        """Says where a job stands."""
        progress = self._jobs.progress(self._job(job_id))
        results_url = f"http://{request.headers.get('Host', '')}/jobs/results/{job_id}"
        finished = progress.status == "Finished"
        document = asdict(progress) | {"results_url": results_url if finished else ""}
        return json_answer(self._wrapped(document), note=f"{progress.status} {progress.progress:.0%}")

    def results(self, request: SandboxRequest, job_id: str) -> Answer:
        """Streams a finished job's result."""
        job = self._job(job_id)
        status = self._jobs.progress(job).status
        if status != "Finished":
            raise RefusedError(HTTPStatus.NOT_FOUND, f"job {job_id} is {status} and has no result")
        if self._options.result_bytes is None:
            return event_result(job, self._options.seed)
        return synthetic_result(self._options.result_bytes)

    def _job(self, job_id: str) -> SandboxJob:
        job = self._jobs.find(unquote(job_id))
        if job is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"there is no job {job_id}")
        return job

    def _wrapped(self, document: Mapping[str, object]) -> Mapping[str, object]:
        return {"data": document} if self._options.wrap_data else document

    # The sandbox's own endpoints

    def health(self, request: SandboxRequest, argument: str) -> Answer:
        """Says that the sandbox is up."""
        return json_answer({"status": "ok"})

    def list_jobs(self, request: SandboxRequest, argument: str) -> Answer:
        """Lists the submissions, oldest first."""
        return json_answer(
            {"jobs": [_job_document(job, self._jobs.progress(job)) for job in self._jobs.submissions()]}
        )

    def clear_jobs(self, request: SandboxRequest, argument: str) -> Answer:
        """Forgets the jobs."""
        self._jobs.clear()
        return json_answer({"jobs": []})

    def list_requests(self, request: SandboxRequest, argument: str) -> Answer:
        """Says how many requests each of Fireant's endpoints had."""
        requests = self.requests
        return json_answer({"requests": {endpoint: requests[endpoint] for endpoint in ENDPOINTS}})

    def list_faults(self, request: SandboxRequest, argument: str) -> Answer:
        """Lists the faults that are still to come, and how often each happened."""
        return json_answer(self._faults.document())

    def add_fault(self, request: SandboxRequest, argument: str) -> Answer:
        """Adds a fault."""
        try:
            self._faults.append(parse_fault(json.loads(request.body)))
        except (ValueError, RecursionError) as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        return json_answer(self._faults.document(), status=HTTPStatus.CREATED)

    def refuse(self, request: SandboxRequest, argument: str) -> Answer:
        """Answers what no endpoint takes."""
        raise RefusedError(HTTPStatus.NOT_FOUND, f"there is no {request.method} {request.path} here")


ROUTES = (
    Route("POST", re.compile(r"/job_exposure_(geo|ring|box)_agg"), "submit", FireantApi.submit),
    Route("GET", re.compile(r"/get_job_status/([^/]+)"), "status", FireantApi.status),
    Route("GET", re.compile(r"/jobs/results/([^/]+)"), "results", FireantApi.results),
    Route("GET", re.compile(r"/sandbox/health"), "sandbox", FireantApi.health),
    Route("GET", re.compile(r"/sandbox/jobs"), "sandbox", FireantApi.list_jobs),
    Route("DELETE", re.compile(r"/sandbox/jobs"), "sandbox", FireantApi.clear_jobs),
    Route("GET", re.compile(r"/sandbox/requests"), "sandbox", FireantApi.list_requests),
    Route("GET", re.compile(r"/sandbox/faults"), "sandbox", FireantApi.list_faults),
    Route("POST", re.compile(r"/sandbox/faults"), "sandbox", FireantApi.add_fault),
)
NO_ROUTE = Route("", re.compile(""), "unknown", FireantApi.refuse)


def _find_route(request: SandboxRequest) -> tuple[Route, str]:
    for route in ROUTES:
        if route.method == request.method and (match := route.path.fullmatch(request.path)):
            return route, match[1] if match.lastindex else ""
    return NO_ROUTE, ""


def _answer_of(fault: Fault[Endpoint, FaultKind]) -> Answer:
    status = fault.status or HTTPStatus.NOT_FOUND
    answer = error_answer(status, "the sandbox was told to answer so")
    if fault.text is not None:
        answer = bytes_answer(fault.text.encode(), status=status)
    if fault.retry_after is None:
        return answer
    return replace(answer, headers={**answer.headers, "Retry-After": fault.retry_after})


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
