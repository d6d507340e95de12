"""Faults on demand: what is to go wrong, at which endpoint, how many times; and whether it did."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Generic, Literal, TypeVar, get_args

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
    """One thing that is to go wrong `times` times.

    `status` (400 to 599), `retry_after` (the header), `error_code` (OneLake's own word for it) and `text` (the
    raw body) belong to `status_code`.
    `seconds` is how long a `stall` says nothing, or the pause of a `trickle` before every byte of the body.
    `after_bytes` is how much of the body a `reset_mid_body` or `short_body` lets through; None: half of it.
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
        """The names of the parameters that are set."""
        optional = [field.name for field in fields(self) if field.default is None]
        return frozenset(name for name in optional if getattr(self, name) is not None)

    def _check_ranges(self) -> None:
        if self.status is not None and not 400 <= self.status <= 599:
            raise ValueError("status must lie between 400 and 599")
        if self.seconds is not None and not 0 <= self.seconds <= threading.TIMEOUT_MAX:
            raise ValueError("seconds cannot be negative, nor without end")
        if self.after_bytes is not None and self.after_bytes < 0:
            raise ValueError("after_bytes cannot be negative")

    def _check_headers(self) -> None:
        for name in ("retry_after", "error_code"):
            if not (getattr(self, name) or "").isprintable():
                raise ValueError(f"{name} must be the text of one header")


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRule:
    """What a kind of fault needs, what else it takes, and where it can happen: anywhere, unless `endpoints` are named.

    A kind that comes `instead_of_work` stands in for it; every other lets the work be done and spoils the answer.
    """

    needs: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset()
    endpoints: tuple[str, ...] = ()
    instead_of_work: bool = False


SocketKind = Literal["reset", "reset_after_work", "stall", "trickle", "reset_mid_body", "short_body"]

# Any, since a mapping's keys are invariant and each vocabulary has more kinds than these.
SOCKET_RULES: Mapping[Any, KindRule] = {
    "reset": KindRule(instead_of_work=True),
    "reset_after_work": KindRule(),
    "stall": KindRule(needs=frozenset({"seconds"})),
    "trickle": KindRule(needs=frozenset({"seconds"})),
    "reset_mid_body": KindRule(takes=frozenset({"after_bytes"})),
    "short_body": KindRule(takes=frozenset({"after_bytes"})),
}
"""The kinds that any server's sockets can commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary(Generic[EndpointT, KindT]):
    """What can go wrong in one sandbox, and where."""

    endpoints: tuple[EndpointT, ...]
    rules: Mapping[KindT, KindRule] = field(repr=False)

    def check(self, fault: Fault[EndpointT, KindT]) -> None:
        """Raises ValueError, saying why, unless the fault can happen here."""
        rule = self.rules.get(fault.kind)
        if rule is None:
            raise ValueError(f"no such kind of fault: {fault.kind!r}; there are {', '.join(self.rules)}")
        endpoints = rule.endpoints or self.endpoints
        if fault.endpoint not in endpoints:
            raise ValueError(
                f"{fault.kind} cannot happen at {fault.endpoint!r}, only at: {', '.join(endpoints)}"
            )
        if missing := rule.needs - fault.given:
            raise ValueError(f"{fault.kind} needs {', '.join(sorted(missing))}")
        if surplus := fault.given - rule.needs - rule.takes:
            raise ValueError(f"{fault.kind} takes no {', '.join(sorted(surplus))}")


def parse_fault(document: object) -> Fault[Any, Any]:
    """A fault from JSON: an object with `endpoint`, `kind` and that kind's parameters.

    Whether it can happen in a given sandbox, that sandbox's script tells when it is added.

    Raises:
        ValueError: the document is not a fault; the message says why.
    """
    if not isinstance(document, dict):
        raise ValueError("a fault must be a JSON object")  # noqa: TRY004 - one error for one bad document
    if unknown := document.keys() - PARAMETER_TYPES.keys():
        raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
    if missing := {"endpoint", "kind"} - document.keys():
        raise ValueError(f"a fault needs {', '.join(sorted(missing))}")
    for name, given in document.items():
        _check_type(name, given)
    return Fault(**document)


def _check_type(name: str, given: Any) -> None:
    # A bool is an int to Python, and never a number here.
    if isinstance(given, bool) or not isinstance(given, PARAMETER_TYPES[name]):
        wanted = " or ".join(kind.__name__ for kind in PARAMETER_TYPES[name])
        raise ValueError(f"{name} must be {wanted}")  # noqa: TRY004


class FaultScript(Generic[EndpointT, KindT]):
    """The faults still to come, in order for each endpoint, and those that happened. Safe in many threads.

    A request without the right key uses up no fault. A fault that spoils an answer waits for one worth
    spoiling: a request that is refused on its own account does not use it up.
    """

    def __init__(self, vocabulary: Vocabulary[EndpointT, KindT]) -> None:
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._pending: list[Fault[EndpointT, KindT]] = []
        self._fired: Counter[tuple[EndpointT, KindT]] = Counter()

    def add(
        self,
        endpoint: EndpointT,
        kind: KindT,
        *,
        times: int = 1,
        status: int | None = None,
        retry_after: str | None = None,
        error_code: str | None = None,
        seconds: float | None = None,
        text: str | None = None,
        after_bytes: int | None = None,
    ) -> Fault[EndpointT, KindT]:
        """Adds a fault behind those that the endpoint has already; see `Fault` for the parameters.

        Raises:
            ValueError: the kind cannot happen there, or its parameters are wrong.
        """
        fault = Fault(
            endpoint=endpoint,
            kind=kind,
            times=times,
            status=status,
            retry_after=retry_after,
            error_code=error_code,
            seconds=seconds,
            text=text,
            after_bytes=after_bytes,
        )
        self.append(fault)
        return fault

    def append(self, fault: Fault[EndpointT, KindT]) -> None:
        """Adds a fault that is made already.

        Raises:
            ValueError: it cannot happen here.
        """
        self._vocabulary.check(fault)
        with self._lock:
            self._pending.append(fault)

    def pending(self) -> tuple[Fault[EndpointT, KindT], ...]:
        """The faults that have not happened; `times` is how often each is still to."""
        with self._lock:
            return tuple(self._pending)

    @property
    def fired(self) -> Counter[tuple[EndpointT, KindT]]:
        """How often each fault happened: `fired["submit", "reset"]`."""
        with self._lock:
            return self._fired.copy()

    def assert_all_fired(self) -> None:
        """Raises AssertionError, naming what did not happen, unless everything did."""
        if unfired := self.pending():
            named = ", ".join(f"{fault.kind} at {fault.endpoint} ({fault.times} more)" for fault in unfired)
            raise AssertionError(f"faults that never fired: {named}")

    def take_instead_of_work(self, endpoint: EndpointT) -> Fault[EndpointT, KindT] | None:
        """The endpoint's next fault, used up, if it is one that happens before any work is done."""
        return self._take(endpoint, instead_of_work=True)

    def take_after_work(self, endpoint: EndpointT) -> Fault[EndpointT, KindT] | None:
        """The endpoint's next fault, used up, if it is one that spoils the answer."""
        return self._take(endpoint, instead_of_work=False)

    def document(self) -> Mapping[str, object]:
        """What is still to come and how often each happened, for an answer in JSON."""
        pending = [
            {name: value for name, value in asdict(fault).items() if value is not None}
            for fault in self.pending()
        ]
        fired = [
            {"endpoint": endpoint, "kind": kind, "times": times}
            for (endpoint, kind), times in self.fired.items()
        ]
        return {"pending": pending, "fired": fired}

    def clear(self) -> None:
        """Forgets what is to come and what has happened."""
        with self._lock:
            self._pending.clear()
            self._fired.clear()

    def _take(self, endpoint: EndpointT, *, instead_of_work: bool) -> Fault[EndpointT, KindT] | None:
        with self._lock:
            for place, fault in enumerate(self._pending):
                if fault.endpoint == endpoint:
                    wanted = self._vocabulary.rules[fault.kind].instead_of_work == instead_of_work
                    return self._use_up(place) if wanted else None
        return None

    def _use_up(self, place: int) -> Fault[EndpointT, KindT]:
        fault = self._pending[place]
        self._fired[fault.endpoint, fault.kind] += 1
        if fault.times > 1:
            self._pending[place] = replace(fault, times=fault.times - 1)
        else:
            del self._pending[place]
        return fault


Endpoint = Literal["submit", "status", "results"]
FaultKind = SocketKind | Literal["status_code", "not_found", "malformed_json", "no_job_id", "unknown_status"]

ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

FIREANT_FAULTS: Vocabulary[Endpoint, FaultKind] = Vocabulary(
    endpoints=ENDPOINTS,
    rules={
        "status_code": KindRule(
            needs=frozenset({"status"}), takes=frozenset({"retry_after", "text"}), instead_of_work=True
        ),
        "not_found": KindRule(instead_of_work=True),
        **SOCKET_RULES,
        "malformed_json": KindRule(takes=frozenset({"text"})),
        "no_job_id": KindRule(endpoints=("submit",)),
        "unknown_status": KindRule(takes=frozenset({"text"}), endpoints=("status",)),
    },
)
"""What can go wrong in the local Fireant."""
