"""Jobs of the local Fireant. Their states follow from the clock, so ten thousand running jobs need no thread."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

from report_orchestrator.sandbox.fireant.payloads import JobKind, Payload

JobStatus = Literal["Queued", "Running", "Finished", "Failed"]

# Only a finished job is complete: a client that trusts `progress` before `status` must be caught.
MOST_PROGRESS_BEFORE_THE_END = 0.99

SMALLEST_SYNTHETIC_RESULT = 256  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """Options of the sandbox. By default it requires no key and finishes every job at once.

    `api_key` is the bearer key that every request must carry; None or empty asks for none.
    `seconds_queued` and `seconds_running` are how long every job spends in each state.
    `failure_rate` (0 to 1) is the share of jobs that end Failed, drawn at submission from a generator that
    `seed` makes repeatable.
    `integer_ids` sends ids as integers, as production does; otherwise as text.
    `wrap_data` sends a status inside `{"data": …}`; otherwise bare.
    `result_bytes` is the exact size of every result, 0 or at least 256; None makes small ones of the events.
    `fail_names` and `never_finish_names` are the names of reports whose jobs end Failed, or never finish.
    `honours_idempotency_key` returns, for a repeated `Idempotency-Key`, the first job; the real service
    promises no such thing.
    """

    api_key: str | None = field(default=None, repr=False)
    seconds_queued: float = 0.0
    seconds_running: float = 0.0
    failure_rate: float = 0.0
    seed: int = 0
    integer_ids: bool = True
    wrap_data: bool = True
    result_bytes: int | None = None
    fail_names: tuple[str, ...] = ()
    never_finish_names: tuple[str, ...] = ()
    honours_idempotency_key: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.failure_rate <= 1:
            raise ValueError("failure_rate must be between 0 and 1")
        if not (self.seconds_queued >= 0 and self.seconds_running >= 0):
            raise ValueError("seconds_queued and seconds_running must be 0 or more")
        if self.result_bytes and self.result_bytes < SMALLEST_SYNTHETIC_RESULT:
            raise ValueError(f"result_bytes must be 0 or at least {SMALLEST_SYNTHETIC_RESULT}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxJob:
    """One accepted submission, as it was sent.

    `id` is text, whatever the response's type was. `headers` has its names in the form `Idempotency-Key`, and
    never holds the bearer key. The job's state is derived from `accepted_clock`, a reading of the sandbox's
    clock in seconds.
    """

    id: str
    kind: JobKind
    payload: Payload = field(repr=False)
    headers: Mapping[str, str]
    submitted_at: datetime
    accepted_clock: float
    will_fail: bool
    will_finish: bool

    @property
    def report_name(self) -> str:
        return str(self.payload.get("name", ""))

    @property
    def idempotency_key(self) -> str | None:
        return self.headers.get("Idempotency-Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """The state of a job. `progress` runs from 0 to 1; `error` is empty unless the job failed."""

    status: JobStatus
    progress: float
    message: str
    error: str = ""


class JobTable:
    """Jobs since the start or the last `clear`. Thread-safe."""

    def __init__(self, options: SandboxOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: dict[str, SandboxJob] = {}
        self._by_idempotency_key: dict[str, SandboxJob] = {}
        self._chance = random.Random(options.seed)
        self._last_number = 0

    def accept(self, *, kind: JobKind, payload: Payload, headers: Mapping[str, str]) -> SandboxJob:
        with self._lock:
            if self._options.honours_idempotency_key and (
                repeated := self._by_idempotency_key.get(headers.get("Idempotency-Key", ""))
            ):
                return repeated
            return self._record(kind, payload, headers)

    def find(self, job_id: str) -> SandboxJob | None:
        with self._lock:
            return self._jobs.get(job_id)

    def submissions(self) -> tuple[SandboxJob, ...]:
        with self._lock:
            return tuple(self._jobs.values())

    def clear(self) -> None:
        """Remove every job. Ids continue, so that an old id never names a new job."""
        with self._lock:
            self._jobs.clear()
            self._by_idempotency_key.clear()

    def progress(self, job: SandboxJob) -> JobProgress:
        seconds_run = self._clock() - job.accepted_clock - self._options.seconds_queued
        if seconds_run < 0:
            return JobProgress(status="Queued", progress=0.0, message="Waiting for cores")
        if not job.will_finish or seconds_run < self._options.seconds_running:
            return self._running(seconds_run)
        return _ended(job)

    def _record(self, kind: JobKind, payload: Payload, headers: Mapping[str, str]) -> SandboxJob:
        name = payload.get("name")
        drawn_to_fail = self._chance.random() < self._options.failure_rate
        job = SandboxJob(
            id=self._next_id(),
            kind=kind,
            payload=payload,
            headers=MappingProxyType({name: value for name, value in headers.items() if name != "Authorization"}),
            submitted_at=datetime.now(UTC),
            accepted_clock=self._clock(),
            will_fail=drawn_to_fail or name in self._options.fail_names,
            will_finish=name not in self._options.never_finish_names,
        )
        self._jobs[job.id] = job
        if job.idempotency_key:
            self._by_idempotency_key.setdefault(job.idempotency_key, job)
        return job

    def _next_id(self) -> str:
        self._last_number += 1
        return str(self._last_number) if self._options.integer_ids else f"job-{self._last_number:06d}"

    def _running(self, seconds_run: float) -> JobProgress:
        seconds_running = self._options.seconds_running
        share = seconds_run / seconds_running if seconds_running else 1.0
        progress = round(min(share, MOST_PROGRESS_BEFORE_THE_END), 4)
        return JobProgress(status="Running", progress=progress, message=f"{progress:.0%} of the locations")


def _ended(job: SandboxJob) -> JobProgress:
    if not job.will_fail:
        return JobProgress(status="Finished", progress=1.0, message="Done")
    return JobProgress(
        status="Failed",
        progress=MOST_PROGRESS_BEFORE_THE_END,
        message="Stopped",
        error=f"The sandbox is set to fail this job of the report {job.report_name!r}.",
    )
