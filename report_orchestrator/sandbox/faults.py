"""Faults on demand: what is to go wrong, at which endpoint, how many times; and whether it did."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

Endpoint = Literal["submit", "status", "results"]
FaultKind = Literal[
    "status_code",
    "not_found",
    "reset",
    "reset_after_work",
    "stall",
    "trickle",
    "reset_mid_body",
    "short_body",
    "malformed_json",
    "no_job_id",
    "unknown_status",
]

ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

# These stand in for the work; every other kind lets the work be done and spoils the answer.
INSTEAD_OF_WORK: frozenset[FaultKind] = frozenset({"status_code", "not_found", "reset"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRule:
    """What a kind of fault needs, what else it takes, and where it can happen."""

    needs: frozenset[str] = frozenset()
    takes: frozenset[str] = frozenset()
    endpoints: tuple[Endpoint, ...] = ENDPOINTS


RULES: dict[FaultKind, KindRule] = {
    "status_code": KindRule(needs=frozenset({"status"}), takes=frozenset({"retry_after", "text"})),
    "not_found": KindRule(),
    "reset": KindRule(),
    "reset_after_work": KindRule(),
    "stall": KindRule(needs=frozenset({"seconds"})),
    "trickle": KindRule(needs=frozenset({"seconds"})),
    "reset_mid_body": KindRule(takes=frozenset({"after_bytes"})),
    "short_body": KindRule(takes=frozenset({"after_bytes"})),
    "malformed_json": KindRule(takes=frozenset({"text"})),
    "no_job_id": KindRule(endpoints=("submit",)),
    "unknown_status": KindRule(takes=frozenset({"text"}), endpoints=("status",)),
}

PARAMETER_TYPES: dict[str, tuple[type, ...]] = {
    "endpoint": (str,),
    "kind": (str,),
    "times": (int,),
    "status": (int,),
    "retry_after": (str,),
    "seconds": (int, float),
    "text": (str,),
    "after_bytes": (int,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is to go wrong `times` times.

    `status` (400 to 599), `retry_after` (the header) and `text` (the raw body) belong to `status_code`.
    `seconds` is how long a `stall` says nothing, or the pause of a `trickle` before every byte of the body.
    `after_bytes` is how much of the body a `reset_mid_body` or `short_body` lets through; None: half of it.
    `text` is also the status of an `unknown_status`, and the raw body of a `malformed_json`.
    """

    endpoint: Endpoint
    kind: FaultKind
    times: int = 1
    status: int | None = None
    retry_after: str | None = None
    seconds: float | None = None
    text: str | None = None
    after_bytes: int | None = None

    def __post_init__(self) -> None:
        rule = RULES.get(self.kind)
        if rule is None:
            raise ValueError(f"no such kind of fault: {self.kind!r}; there are {', '.join(RULES)}")
        if self.endpoint not in rule.endpoints:
            raise ValueError(
                f"{self.kind} cannot happen at {self.endpoint!r}, only at: {', '.join(rule.endpoints)}"
            )
        self._check_parameters(rule)
        self._check_ranges()

    def _check_parameters(self, rule: KindRule) -> None:
        optional = [field.name for field in fields(self) if field.default is None]
        given = {name for name in optional if getattr(self, name) is not None}
        if missing := rule.needs - given:
            raise ValueError(f"{self.kind} needs {', '.join(sorted(missing))}")
        if surplus := given - rule.needs - rule.takes:
            raise ValueError(f"{self.kind} takes no {', '.join(sorted(surplus))}")

    def _check_ranges(self) -> None:
        if self.times < 1:
            raise ValueError("times must be at least 1")
        if self.status is not None and not 400 <= self.status <= 599:
            raise ValueError("status must lie between 400 and 599")
        if self.seconds is not None and not 0 <= self.seconds <= threading.TIMEOUT_MAX:
            raise ValueError("seconds cannot be negative, nor without end")
        if self.after_bytes is not None and self.after_bytes < 0:
            raise ValueError("after_bytes cannot be negative")
        if self.retry_after is not None and not self.retry_after.isprintable():
            raise ValueError("retry_after must be the text of one header")


def parse_fault(document: object) -> Fault:
    """A fault from JSON: an object with `endpoint`, `kind` and that kind's parameters.

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


class FaultScript:
    """The faults still to come, in order for each endpoint, and those that happened. Safe in many threads.

    A request without the right key uses up no fault. A fault that spoils an answer waits for one worth
    spoiling: a request that is refused on its own account does not use it up.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[Fault] = []
        self._fired: Counter[tuple[Endpoint, FaultKind]] = Counter()

    def add(
        self,
        endpoint: Endpoint,
        kind: FaultKind,
        *,
        times: int = 1,
        status: int | None = None,
        retry_after: str | None = None,
        seconds: float | None = None,
        text: str | None = None,
        after_bytes: int | None = None,
    ) -> Fault:
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
            seconds=seconds,
            text=text,
            after_bytes=after_bytes,
        )
        self.append(fault)
        return fault

    def append(self, fault: Fault) -> None:
        """Adds a fault that is made already."""
        with self._lock:
            self._pending.append(fault)

    def pending(self) -> tuple[Fault, ...]:
        """The faults that have not happened; `times` is how often each is still to."""
        with self._lock:
            return tuple(self._pending)

    @property
    def fired(self) -> Counter[tuple[Endpoint, FaultKind]]:
        """How often each fault happened: `fired["submit", "reset"]`."""
        with self._lock:
            return self._fired.copy()

    def assert_all_fired(self) -> None:
        """Raises AssertionError, naming what did not happen, unless everything did."""
        if unfired := self.pending():
            named = ", ".join(f"{fault.kind} at {fault.endpoint} ({fault.times} more)" for fault in unfired)
            raise AssertionError(f"faults that never fired: {named}")

    def take_instead_of_work(self, endpoint: Endpoint) -> Fault | None:
        """The endpoint's next fault, used up, if it is one that happens before any work is done."""
        return self._take(endpoint, instead_of_work=True)

    def take_after_work(self, endpoint: Endpoint) -> Fault | None:
        """The endpoint's next fault, used up, if it is one that spoils the answer."""
        return self._take(endpoint, instead_of_work=False)

    def clear(self) -> None:
        """Forgets what is to come and what has happened."""
        with self._lock:
            self._pending.clear()
            self._fired.clear()

    def _take(self, endpoint: Endpoint, *, instead_of_work: bool) -> Fault | None:
        with self._lock:
            for place, fault in enumerate(self._pending):
                if fault.endpoint == endpoint:
                    wanted = (fault.kind in INSTEAD_OF_WORK) == instead_of_work
                    return self._use_up(place) if wanted else None
        return None

    def _use_up(self, place: int) -> Fault:
        fault = self._pending[place]
        self._fired[fault.endpoint, fault.kind] += 1
        if fault.times > 1:
            self._pending[place] = replace(fault, times=fault.times - 1)
        else:
            del self._pending[place]
        return fault
