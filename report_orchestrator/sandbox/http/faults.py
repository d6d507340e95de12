"""Faults to inject: kind, endpoint and count; and those that have fired."""

import threading
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Generic, Literal, TypeVar

EndpointT = TypeVar("EndpointT", bound=str)
KindT = TypeVar("KindT", bound=str)

PARAMETER_TYPES: dict[str, tuple[type, ...]] = {
    "endpoint": (str,),
    "kind": (str,),
    "times": (int,),
    "status": (int,),
    "retry_after": (str,),
    "error_code": (str,),
    "seconds": (int, float),
    "text": (str,),
    "after_bytes": (int,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Generic[EndpointT, KindT]):
    """A fault that fires `times` times.

    `status` (400 to 599), `retry_after` (the header), `error_code` (OneLake's error code) and `text` (the
    raw body) belong to `status_code`.
    `seconds` is the silence of a `stall`, or the pause of a `trickle` before every byte of the body.
    `after_bytes` is the part of the body that a `reset_mid_body` or `short_body` sends; None: half of it.
    `text` is also the status of an `unknown_status`, and the raw body of a `malformed_json`.
    """

    endpoint: EndpointT
    kind: KindT
    times: int = 1
    status: int | None = None
    retry_after: str | None = None
    error_code: str | None = None
    seconds: float | None = None
    text: str | None = None
    after_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ValueError("times must be at least 1")
        self._check_ranges()
        self._check_headers()

    @property
    def given(self) -> frozenset[str]:
        optional = [field.name for field in fields(self) if field.default is None]
        return frozenset(name for name in optional if getattr(self, name) is not None)

    def _check_ranges(self) -> None:
        if self.status is not None and not 400 <= self.status <= 599:
            raise ValueError("status must be between 400 and 599")
        if self.seconds is not None and not 0 <= self.seconds <= threading.TIMEOUT_MAX:
            raise ValueError("seconds must be 0 or more, and finite")
        if self.after_bytes is not None and self.after_bytes < 0:
            raise ValueError("after_bytes must be 0 or more")

    def _check_headers(self) -> None:
        for name in ("retry_after", "error_code"):
            if not (getattr(self, name) or "").isprintable():
                raise ValueError(f"{name} must be one header value")


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRule:
    """The parameters and endpoints of a kind of fault; without `endpoints` it may fire at any.

    `instead_of_work` replaces the work; other kinds do the work and change the response.
    """

    needs: Set[str] = frozenset()
    takes: Set[str] = frozenset()
    endpoints: tuple[str, ...] = ()
    instead_of_work: bool = False


SocketKind = Literal["reset", "reset_after_work", "stall", "trickle", "reset_mid_body", "short_body"]

# Any, since a mapping's keys are invariant and each vocabulary has more kinds than these.
SOCKET_RULES: Mapping[Any, KindRule] = {
    "reset": KindRule(instead_of_work=True),
    "reset_after_work": KindRule(),
    "stall": KindRule(needs={"seconds"}),
    "trickle": KindRule(needs={"seconds"}),
    "reset_mid_body": KindRule(takes={"after_bytes"}),
    "short_body": KindRule(takes={"after_bytes"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary(Generic[EndpointT, KindT]):
    endpoints: tuple[EndpointT, ...]
    rules: Mapping[KindT, KindRule] = field(repr=False)

    def check(self, fault: Fault[EndpointT, KindT]) -> None:
        """Raise ValueError if the sandbox does not support the fault."""
        rule = self.rules.get(fault.kind)
        if rule is None:
            raise ValueError(f"unknown kind of fault: {fault.kind!r}; use one of {', '.join(self.rules)}")
        endpoints = rule.endpoints or self.endpoints
        if fault.endpoint not in endpoints:
            raise ValueError(f"{fault.kind} is not possible at {fault.endpoint!r}, only at: {', '.join(endpoints)}")
        if missing := rule.needs - fault.given:
            raise ValueError(f"{fault.kind} needs {', '.join(sorted(missing))}")
        if surplus := fault.given - rule.needs - rule.takes:
            raise ValueError(f"{fault.kind} does not accept {', '.join(sorted(surplus))}")


def parse_fault(document: object) -> Fault[Any, Any]:
    """Parse a fault from a JSON object with `endpoint`, `kind` and that kind's parameters.

    Raises:
        ValueError: the document is not a fault.
    """
    if not isinstance(document, dict):
        raise ValueError("a fault must be a JSON object")  # noqa: TRY004 - one error for one bad document
    if unknown := document.keys() - PARAMETER_TYPES.keys():
        raise ValueError(f"unknown keys of a fault: {', '.join(sorted(unknown))}")
    if missing := {"endpoint", "kind"} - document.keys():
        raise ValueError(f"a fault needs {', '.join(sorted(missing))}")
    for name, value in document.items():
        types = PARAMETER_TYPES[name]
        # A bool is an int to Python, but no number here.
        if isinstance(value, bool) or not isinstance(value, types):
            raise ValueError(f"{name} must be {' or '.join(kind.__name__ for kind in types)}")  # noqa: TRY004
    return Fault(**document)


class FaultScript(Generic[EndpointT, KindT]):
    """Pending faults, in order for each endpoint, and those that fired. Thread-safe.

    A request without the right key uses up no fault. A fault that changes a response waits for a request that
    succeeds.
    """

    def __init__(self, vocabulary: Vocabulary[EndpointT, KindT]) -> None:
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._pending: list[Fault[EndpointT, KindT]] = []
        self._fired: Counter[tuple[EndpointT, KindT]] = Counter()

    def add(self, endpoint: EndpointT, kind: KindT, **parameters: Any) -> Fault[EndpointT, KindT]:
        """Add a fault after the endpoint's others; `parameters` are those of `Fault`. Raises ValueError."""
        fault = Fault(endpoint=endpoint, kind=kind, **parameters)
        self.append(fault)
        return fault

    def append(self, fault: Fault[EndpointT, KindT]) -> None:
        self._vocabulary.check(fault)
        with self._lock:
            self._pending.append(fault)

    def pending(self) -> tuple[Fault[EndpointT, KindT], ...]:
        """The faults that have not fired; `times` is the number of times left."""
        with self._lock:
            return tuple(self._pending)

    @property
    def fired(self) -> Counter[tuple[EndpointT, KindT]]:
        """Number of times that each fault fired: `fired["submit", "reset"]`."""
        with self._lock:
            return self._fired.copy()

    def assert_all_fired(self) -> None:
        """Raise AssertionError, with the list of pending faults, unless all have fired."""
        if unfired := self.pending():
            named = ", ".join(f"{fault.kind} at {fault.endpoint} ({fault.times} more)" for fault in unfired)
            raise AssertionError(f"faults that never fired: {named}")

    def document(self) -> Mapping[str, object]:
        """Return the pending and the fired faults as a JSON document."""
        pending = [
            {name: value for name, value in asdict(fault).items() if value is not None} for fault in self.pending()
        ]
        fired = [{"endpoint": endpoint, "kind": kind, "times": times} for (endpoint, kind), times in self.fired.items()]
        return {"pending": pending, "fired": fired}

    def clear(self) -> None:
        with self._lock:
            self._pending.clear()
            self._fired.clear()

    def take(self, endpoint: EndpointT, *, instead_of_work: bool) -> Fault[EndpointT, KindT] | None:
        """Take the endpoint's next fault if it replaces the work (`instead_of_work`), or if it changes the response."""
        with self._lock:
            fault = next((fault for fault in self._pending if fault.endpoint == endpoint), None)
            if fault is None or self._vocabulary.rules[fault.kind].instead_of_work != instead_of_work:
                return None
            self._fired[fault.endpoint, fault.kind] += 1
            index = self._pending.index(fault)
            self._pending[index : index + 1] = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
            return fault
