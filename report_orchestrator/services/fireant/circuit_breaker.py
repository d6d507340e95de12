"""The circuit breaker that all clusters share: while Fireant is down, one run at a time probes it and the others wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import transaction

from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import Trait, traits_of
from report_orchestrator.domain.runs import Completed, Failed, Outcome, Postponed, Retryable, Status, Step
from report_orchestrator.models import ReportRun, SharedState, StateName
from report_orchestrator.services.events import database_alias, emit_schedule_event

T = TypeVar("T")

FIREANT_STEPS = frozenset({Step.EXTERNAL_JOB_SUBMISSION, Step.JOB_COMPLETION_STATUS, Step.RESULTS_STORAGE})
LONGEST_PROBE_WAIT = timedelta(minutes=5)
YIELD_PROBE_FOR = timedelta(seconds=5)
"""Delay of a run that failed at Fireant, so that another run carries the next probe: more than the longest pause of two ticks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """Fireant's state as all clusters know it. Open while `probe_at` is set: one probe goes out at a time.

    `probe_run` is the key of the run that carries the probe; 0 while none does.
    """

    failures: int = 0
    probes: int = 0
    probe_run: int = 0
    probe_at: datetime | None = None

    @classmethod
    def from_state(cls, state: SharedState | None) -> Circuit:
        return cls() if state is None else cls.from_columns(state.detail, state.due_at)

    @classmethod
    def from_columns(cls, counts: Mapping[str, int], probe_at: datetime | None) -> Circuit:
        return cls(
            failures=counts.get("failures", 0),
            probes=counts.get("probes", 0),
            probe_run=counts.get("probe_run", 0),
            probe_at=probe_at,
        )

    @property
    def counts(self) -> dict[str, int]:
        return {"failures": self.failures, "probes": self.probes, "probe_run": self.probe_run}

    @property
    def is_open(self) -> bool:
        return self.probe_at is not None


def read_circuit() -> Circuit:
    """Return the circuit. Reads two columns without a model instance, as each run calls this six times."""
    columns = SharedState.objects.filter(name=StateName.CIRCUIT).values_list("detail", "due_at")
    return next((Circuit.from_columns(*row) for row in columns), Circuit())


def claim_probe(circuit: Circuit, run_id: int, *, now: datetime, settings: Settings) -> bool:
    """Claim the next probe of an open circuit for a run. True for one caller at a time, and only once the probe is due."""
    if not SharedState.objects.claim_turn(StateName.CIRCUIT, now=now, until=now + settings.fireant_probe):
        return False
    SharedState.objects.filter(name=StateName.CIRCUIT).update(detail=replace(circuit, probe_run=run_id).counts)
    return True


def _record_failures(code: str, run_ids: Sequence[int], *, now: datetime, settings: Settings) -> Circuit:
    """Count these runs' failures at Fireant. Opens the circuit at the configured number; a failed probe postpones the next."""
    with transaction.atomic(using=database_alias()):
        SharedState.objects.lock(StateName.CIRCUIT, now=now)
        before = read_circuit()
        after = _after_failures(before, run_ids, now, settings)
        SharedState.objects.filter(name=StateName.CIRCUIT).update(due_at=after.probe_at, detail=after.counts)
        if after.is_open and not before.is_open:
            emit_schedule_event("circuit_opened", failures=after.failures, code=code, probe_at=after.probe_at)
    return after


def _after_failures(before: Circuit, run_ids: Sequence[int], now: datetime, settings: Settings) -> Circuit:
    failures = before.failures + len(run_ids)
    if failures < settings.fireant_circuit_failures:
        return Circuit(failures=failures)
    if before.is_open and before.probe_run not in run_ids:
        return replace(before, failures=failures)  # sent before the circuit opened: not a failed probe
    probes = before.probes + before.is_open
    wait = min(settings.fireant_probe * 2.0 ** min(probes, 10), LONGEST_PROBE_WAIT)
    return Circuit(failures=failures, probes=probes, probe_at=max(now + wait, before.probe_at or now))


def record_success(*, now: datetime) -> None:
    """Close the circuit and reset its counts. Writes nothing while they are at zero."""
    before = read_circuit()
    if before == Circuit():
        return
    SharedState.objects.filter(name=StateName.CIRCUIT).update(due_at=None, detail={}, marked_at=now)
    if before.is_open:
        emit_schedule_event("circuit_closed")


def record_outcome(run: ReportRun, outcome: Outcome, *, now: datetime, settings: Settings) -> Outcome:
    """Record a step's outcome in the circuit. While Fireant is down, a retry becomes a wait that uses up no retry."""
    if run.step not in FIREANT_STEPS:
        return outcome
    if run.step == Step.RESULTS_STORAGE and isinstance(outcome, Completed):
        return outcome  # recorded by the download, which a result that is already stored does not need
    return record_responses([run], [outcome], now=now, settings=settings)[0]


def record_responses(
    runs: Sequence[ReportRun], responses: Sequence[T | Outcome], *, now: datetime, settings: Settings
) -> Sequence[T | Outcome]:
    """Record a batch in the circuit as a whole: one response proves that Fireant is up, however many requests failed.

    `responses` are the runs' outcomes, or anything else that Fireant responded. While it is down, their retries become waits.
    """
    if any(_proves_up(response) for response in responses):
        record_success(now=now)
        return responses
    pairs = list(zip(runs, responses, strict=True))
    down = {
        run.pk: item.code
        for run, item in pairs
        if isinstance(item, Retryable) and Trait.FIREANT_DOWN in traits_of(item.code)
    }
    if not down:
        return responses
    circuit = _record_failures(next(iter(down.values())), list(down), now=now, settings=settings)
    return [
        _postpone(run.step, item, circuit, settings) if isinstance(item, Retryable) else item for run, item in pairs
    ]


def _proves_up(response: object) -> bool:
    match response:
        case Retryable() | Failed():
            return Trait.FIREANT_UP in traits_of(response.code)
        case _:
            return not isinstance(response, Postponed)


def _postpone(step: str, outcome: Retryable, circuit: Circuit, settings: Settings) -> Outcome:
    """Make a retry wait for the next probe; return it unchanged while the circuit is closed.

    The run wakes a little later than the probe if another run can carry it, so that a report which makes Fireant fail does not
    carry every probe. Polls need no delay: the one that has waited longest goes first.
    """
    # Repeating a submission of unknown outcome always uses up a retry, so that repetitions end.
    if circuit.probe_at is None or Trait.UNKNOWN_OUTCOME in traits_of(outcome.code):
        return outcome
    waiting = ReportRun.objects.unfinished().exclude(status=Status.RUNNING).filter(wake_at__lte=circuit.probe_at)
    yields = step != Step.JOB_COMPLETION_STATUS and waiting.out_of_line().exists()
    return Postponed(
        code=outcome.code,
        error=f"{outcome.error} Fireant is considered down: the run waits for it and uses up no retry.",
        until=circuit.probe_at + (min(YIELD_PROBE_FOR, settings.fireant_probe) if yields else timedelta(0)),
        traceback=outcome.traceback,
    )
