"""Who may speak to Fireant now: the limits over all clusters, and the circuit that spares a Fireant which is down.

Runs that are not admitted wait as queued rows: they burn no attempt, and go by priority and age when the gate opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import (
    LIVE,
    Completed,
    Failed,
    Outcome,
    Postponed,
    Retryable,
    Status,
    Step,
    Waiting,
)
from report_orchestrator.models import Mark, ReportRun, RunStep
from report_orchestrator.services.announce import database, schedule_event

FIREANT_STEPS = frozenset({Step.EXTERNAL_JOB_SUBMISSION, Step.JOB_COMPLETION_STATUS, Step.RESULTS_STORAGE})
BEFORE_FIREANT = (Step.REPORT_DATA, Step.EXTERNAL_JOB_SUBMISSION)
CIRCUIT = "circuit: fireant"
MUTEX = "mutex: fireant gate"
MINUTE = timedelta(minutes=1)
LONGEST_PROBE_WAIT = timedelta(minutes=5)
STANDS_BACK = timedelta(seconds=5)
"""How much later than others a run wakes that has failed at Fireant: longer than the longest pause between two ticks."""

DOWN_CODES = frozenset(
    {
        "fireant_unreachable",
        "fireant_no_answer",
        "submission_unknown",
        "fireant_502",
        "fireant_503",
        "fireant_504",
    }
)
"""Failures that speak of Fireant itself rather than of one report."""


UNKNOWN_FATE = frozenset({"submission_unknown", "submission_failed"})
ANSWERS = frozenset(
    {"malformed_answer", "job_unknown", "no_result", "no_job_id", "fireant_job_failed", "result_too_large"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """What all clusters know of Fireant's state. Open while `probe_at` is set: then one probe goes out at a time."""

    failures: int = 0
    probes: int = 0
    probe_out: bool = False
    probe_at: datetime | None = None

    def counts(self, *, probe_out: bool) -> dict[str, int]:
        """What the mark keeps beside the time of the next probe."""
        return {"failures": self.failures, "probes": self.probes, "probe_out": int(probe_out)}

    @property
    def is_open(self) -> bool:
        """Whether Fireant is taken to be down."""
        return self.probe_at is not None


def read_circuit() -> Circuit:
    """The circuit as it stands."""
    mark = Mark.objects.filter(name=CIRCUIT).first()
    if mark is None:
        return Circuit()
    counts: Mapping[str, int] = mark.detail
    return Circuit(failures=counts.get("failures", 0), probes=counts.get("probes", 0), probe_at=mark.due_at)


def admits(run: ReportRun, step: Step, *, now: datetime, settings: Settings) -> bool:
    """Whether the run may take this step now. To be called in the transaction that then writes it.

    While the circuit is open, the one run that is admitted carries the probe. The run's row is locked before those that all
    runs share, by every caller: two transactions that lock in one order cannot deadlock.

    Raises:
        LeaseLostError: the row was to be locked, and somebody else wrote it in between.
    """
    if step not in FIREANT_STEPS:
        return True
    limited = step == Step.EXTERNAL_JOB_SUBMISSION and is_limited(settings)
    circuit = read_circuit()
    if limited or circuit.is_open:
        run.lock()
    if limited and not _has_place(now, settings):
        return False
    return not circuit.is_open or _wins_probe(circuit, now, settings)


def admits_a_poll(*, now: datetime, settings: Settings) -> bool:
    """The same for a poll, whose run is chosen afterwards, among those that nobody has locked."""
    circuit = read_circuit()
    return not circuit.is_open or _wins_probe(circuit, now, settings)


def _wins_probe(circuit: Circuit, now: datetime, settings: Settings) -> bool:
    if not Mark.objects.win(CIRCUIT, now=now, until=now + settings.fireant_probe):
        return False
    Mark.objects.filter(name=CIRCUIT).update(detail=circuit.counts(probe_out=True))
    return True


def _has_place(now: datetime, settings: Settings) -> bool:
    """Counts under a mutex, which the caller's transaction keeps until its run is counted too."""
    Mark.objects.hold(MUTEX, now=now)
    return places_left(now, settings) > 0


def places_left(now: datetime, settings: Settings) -> int:
    """How many jobs may be submitted now; a large number where nothing limits them."""
    left = 1_000_000
    if settings.fireant_max_jobs_in_flight:
        left = min(left, settings.fireant_max_jobs_in_flight - jobs_in_flight())
    if settings.fireant_max_submits_per_minute:
        left = min(left, settings.fireant_max_submits_per_minute - _submissions_since(now - MINUTE).count())
    return left


def was_submitted_since(start: datetime) -> bool:
    """Whether any submission was tried after `start`."""
    return _submissions_since(start).exists()


def _submissions_since(start: datetime) -> QuerySet[RunStep]:
    return RunStep.objects.filter(step=Step.EXTERNAL_JOB_SUBMISSION, started_at__gt=start)


def jobs_in_flight() -> int:
    """Jobs that Fireant has, or is about to get: submitted and not seen to have ended."""
    return ReportRun.objects.filter(
        Q(status__in=sorted(LIVE), step__in=[Step.LOCAL_JOB_RECORD, Step.JOB_COMPLETION_STATUS])
        | Q(status=Status.RUNNING, step=Step.EXTERNAL_JOB_SUBMISSION)
    ).count()


def is_limited(settings: Settings) -> bool:
    """Whether places at Fireant are limited at all."""
    return bool(settings.fireant_max_jobs_in_flight or settings.fireant_max_submits_per_minute)


def stands_behind(run: ReportRun, step: Step, *, settings: Settings) -> bool:
    """Whether places at Fireant are few, and others that may start come before the run: a free place is theirs."""
    if step not in BEFORE_FIREANT or not is_limited(settings):
        return False
    return ReportRun.objects.startable_before(run).filter(step__in=BEFORE_FIREANT).exists()


def closed_steps(now: datetime, settings: Settings) -> list[Step]:
    """The steps that nobody need try now, so that a worker does not pick up runs only to put them down."""
    circuit = read_circuit()
    if circuit.probe_at is not None and circuit.probe_at > now:
        return sorted(FIREANT_STEPS)
    return [] if places_left(now, settings) > 0 else [Step.EXTERNAL_JOB_SUBMISSION]


def note_failure(code: str, *, now: datetime, settings: Settings, count: int = 1) -> Circuit:
    """Counts failures that speak of Fireant itself; opens the circuit when there were enough, or keeps it open for longer."""
    with transaction.atomic(using=database()):
        Mark.objects.hold(CIRCUIT, now=now)
        before = read_circuit()
        after = _after_failures(before, count, now, settings)
        Mark.objects.filter(name=CIRCUIT).update(due_at=after.probe_at, detail=after.counts(probe_out=False))
        if after.is_open and not before.is_open:
            schedule_event("circuit_opened", failures=after.failures, code=code, probe_at=after.probe_at)
    return after


def _after_failures(before: Circuit, count: int, now: datetime, settings: Settings) -> Circuit:
    failures = before.failures + count
    if failures < settings.fireant_circuit_failures:
        return Circuit(failures=failures)
    if before.is_open and not before.probe_out:
        return replace(before, failures=failures)  # a request from before the circuit opened: no news
    probes = before.probes + before.probe_out
    wait = min(settings.fireant_probe * 2.0 ** min(probes, 10), LONGEST_PROBE_WAIT)
    return Circuit(failures=failures, probes=probes, probe_at=max(now + wait, before.probe_at or now))


def note_success(*, now: datetime) -> None:
    """Fireant answered: the circuit closes and its count begins anew. Writes only where there was something to forget."""
    before = read_circuit()
    if before == Circuit():
        return
    Mark.objects.filter(name=CIRCUIT).update(due_at=None, detail={}, marked_at=now)
    if before.is_open:
        schedule_event("circuit_closed")


def weigh(step: Step, outcome: Outcome, *, now: datetime, settings: Settings) -> Outcome:
    """Lets the circuit learn from an outcome; where Fireant is down, a retry becomes a wait that costs the run nothing."""
    if step not in FIREANT_STEPS:
        return outcome
    match outcome:
        case Completed() | Waiting():
            note_success(now=now)
        case Retryable() if outcome.code in DOWN_CODES:
            circuit = note_failure(outcome.code, now=now, settings=settings)
            # A submission of unknown fate must not be repeated for ever, so its repetition is never free.
            return outcome if outcome.code in UNKNOWN_FATE else postponed(step, outcome, circuit, settings)
        case Retryable() | Failed() if is_answer(outcome.code):
            note_success(now=now)
        case _:
            pass
    return outcome


def is_answer(code: str) -> bool:
    """Whether a failure is a definite answer of Fireant, and so a proof that it is up."""
    return code in ANSWERS or code.startswith("fireant_4")


def postponed(step: Step, outcome: Retryable, circuit: Circuit, settings: Settings) -> Outcome:
    """The wait for the next probe; the retry itself while the circuit is closed.

    A run that failed stands back a moment where another can carry that probe, so that one report which upsets Fireant does
    not carry them all. Polls need not: of those, the one that has waited longest goes first.
    """
    if circuit.probe_at is None:
        return outcome
    stands_back = step != Step.JOB_COMPLETION_STATUS and _others_wake_by(circuit.probe_at)
    return Postponed(
        code=outcome.code,
        error=f"{outcome.error} Fireant is taken to be down: the run waits for it, and nothing is used up.",
        until=circuit.probe_at + (min(STANDS_BACK, settings.fireant_probe) if stands_back else timedelta(0)),
        traceback=outcome.traceback,
    )


def _others_wake_by(probe_at: datetime) -> bool:
    """Whether a run that nobody holds may be taken by then."""
    waiting = ReportRun.objects.live().exclude(status=Status.RUNNING).filter(wake_at__lte=probe_at)
    return waiting.out_of_line().exists()
