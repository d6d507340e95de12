"""Requests to a sandbox, and the base of its endpoints."""

import json
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Generic, TypeVar

from report_orchestrator.sandbox.http.faults import Fault, FaultScript, KindT, Vocabulary, parse_fault
from report_orchestrator.sandbox.http.responses import RefusedError, Response, error_response, json_response

EndpointT = TypeVar("EndpointT", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRequest:
    """One request, read whole. `path` has no query; header names have the form `Idempotency-Key`."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class SandboxApi(ABC, Generic[EndpointT, KindT]):
    """A sandbox without its sockets: its endpoints, and the sandbox's own under `/sandbox`. Thread-safe."""

    def __init__(self, vocabulary: Vocabulary[EndpointT, KindT]) -> None:
        self.faults = FaultScript(vocabulary)
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()

    @abstractmethod
    def respond(self, request: SandboxRequest) -> Response:
        """Handle a request."""

    @abstractmethod
    def _act(self, endpoint: EndpointT, request: SandboxRequest) -> Response:
        """Do the work of an endpoint; raise RefusedError to refuse it."""

    @abstractmethod
    def _replace_work(self, fault: Fault[EndpointT, KindT], request: SandboxRequest) -> Response:
        """Return the response of a fault that replaces the work."""

    def _change_response(self, response: Response, fault: Fault[EndpointT, KindT]) -> Response:
        """Return the response changed by a fault; faults of the connection change nothing here."""
        return response

    @property
    def requests(self) -> Counter[str]:
        with self._lock:
            return self._requests.copy()

    def clear(self) -> None:
        self.faults.clear()
        with self._lock:
            self._requests.clear()

    def _count(self, endpoint: str) -> None:
        with self._lock:
            self._requests[endpoint] += 1

    def _respond_with_faults(self, endpoint: EndpointT, request: SandboxRequest) -> Response:
        if fault := self.faults.take(endpoint, instead_of_work=True):
            return replace(self._replace_work(fault, request), fault=fault)
        response = self._attempt(endpoint, request)
        if response.status < HTTPStatus.MULTIPLE_CHOICES and (
            fault := self.faults.take(endpoint, instead_of_work=False)
        ):
            return replace(self._change_response(response, fault), fault=fault)
        return response

    def _attempt(self, endpoint: EndpointT, request: SandboxRequest) -> Response:
        try:
            return self._act(endpoint, request)
        except RefusedError as refusal:
            return refusal.response

    def _control(self, request: SandboxRequest) -> Response:
        match request.method, request.path:
            case "GET", "/sandbox/health":
                return json_response({"status": "ok"})
            case "GET", "/sandbox/requests":
                return json_response({"requests": self.requests})
            case "GET", "/sandbox/faults":
                return json_response(self.faults.document())
            case "POST", "/sandbox/faults":
                return self._add_fault(request)
            case "DELETE", "/sandbox/faults":
                self.faults.clear()
                return json_response(self.faults.document())
            case method, path:
                return error_response(HTTPStatus.NOT_FOUND, f"there is no {method} {path} here")

    def _add_fault(self, request: SandboxRequest) -> Response:
        try:
            self.faults.append(parse_fault(json.loads(request.body)))
        except (ValueError, RecursionError) as error:
            return error_response(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        return json_response(self.faults.document(), status=HTTPStatus.CREATED)
