"""One request and its answer, as the sandboxes' sockets and their APIs hand them to each other."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from report_orchestrator.sandbox.answers import Answer
from report_orchestrator.sandbox.faults import Fault

EndpointT = TypeVar("EndpointT", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRequest:
    """One request, read whole. `path` has no query; header names have the form `Idempotency-Key`."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What to answer, and what is to go wrong on the way."""

    answer: Answer
    fault: Fault[Any, Any] | None = None


class SandboxApi(Protocol):
    """A sandbox without its sockets."""

    def exchange(self, request: SandboxRequest) -> Exchange:
        """Does what the request asks. Called from many threads at once."""
        ...


class RequestCounter(Generic[EndpointT]):
    """Counts requests by their endpoint. Safe in many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[EndpointT] = Counter()

    @property
    def requests(self) -> Counter[EndpointT]:
        """How many requests each endpoint had, refused ones included."""
        with self._lock:
            return self._requests.copy()

    def forget_requests(self) -> None:
        """Starts counting again."""
        with self._lock:
            self._requests.clear()

    def _count(self, endpoint: EndpointT) -> None:
        with self._lock:
            self._requests[endpoint] += 1
