"""The one poller: waiting runs are rows, claimed in batches, asked about concurrently, written back in bulk."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import F

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import (
    Failed,
    Outcome,
    Retryable,
    Status,
    Step,
    Waiting,
    spread_poll_interval,
)
from report_orchestrator.exceptions import LeaseLostError
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.ports import JobStatus, Ports
from report_orchestrator.services.announce import database, run_event
from report_orchestrator.services.execution import lease_token
from report_orchestrator.services.gate import (
    DOWN_CODES,
    admits_a_poll,
    is_answer,
    note_failure,
    note_success,
    postponed,
    read_circuit,
)
from report_orchestrator.services.outcomes import Lease, commit, outcome_of
from report_orchestrator.services.patience import patiently
from report_orchestrator.services.pipeline import judge

ROUNDS = 2
"""Polls that one thread makes in a batch: even where each of them times out, the batch ends within its runs' leases."""

NEIGHBOURS = 64
"""How many runs go back to sleep for the same time."""


def poll_due(
    *, ports: Ports, settings: Settings, until: datetime, before_batch: Callable[[], None] | None = None
) -> int:
    """Asks Fireant about every run whose time has come, many at a time, and writes back in bulk.

    Returns how many runs it asked about. `before_batch` is called before each batch.
    """
    asked = 0
    while ports.clock() < until:
        if before_batch is not None:
            before_batch()
        runs = _claim_polls(ports=ports, settings=settings)
        if not runs:
            break
        asked += len(runs)
        try:
            _record_polls(runs, _ask(runs, ports, settings), ports=ports, settings=settings)
        except SystemExit:  # the worker is being ended
            _hand_back(runs, ports)
            raise
    return asked


def _claim_polls(*, ports: Ports, settings: Settings) -> list[ReportRun]:
    now, token = ports.clock(), lease_token()
    with transaction.atomic(using=database()):
        most = _admitted(now, settings)
        due = ReportRun.objects.pollable(now).select_for_update(skip_locked=True)
        keys = list(due.values_list("pk", flat=True)[:most])
        ReportRun.objects.filter(pk__in=keys, status=Status.DEFERRED).update(
            status=Status.RUNNING,
            worker=token,
            wake_at=now + settings.lease,
            version=F("version") + 1,
        )
    return list(ReportRun.objects.filter(pk__in=keys, worker=token)) if keys else []


def _admitted(now: datetime, settings: Settings) -> int:
    """How many runs may be asked about: a batch, or one as a probe while Fireant is taken to be down."""
    if not read_circuit().is_open:
        return settings.poll_concurrency * ROUNDS
    return int(admits_a_poll(now=now, settings=settings))


def _ask(runs: Sequence[ReportRun], ports: Ports, settings: Settings) -> list[JobStatus | Outcome]:
    """One question for each run, concurrently. Only HTTP happens in the threads; what they raise becomes an outcome here."""

    def ask(run: ReportRun) -> JobStatus | Outcome:
        answers: list[JobStatus] = []

        def step() -> Outcome:
            answers.append(ports.fireant.status(run.fireant_job_id))
            return Waiting()

        outcome = outcome_of(step, run=run, settings=settings)
        return answers[0] if answers else outcome

    pool = ThreadPoolExecutor(max_workers=min(settings.poll_concurrency, len(runs)))
    try:
        answers = list(pool.map(ask, runs))
    except SystemExit:
        pool.shutdown(wait=False, cancel_futures=True)  # there is no time for answers
        raise
    pool.shutdown()
    return answers


def _record_polls(
    runs: Sequence[ReportRun],
    answers: Sequence[JobStatus | Outcome],
    *,
    ports: Ports,
    settings: Settings,
) -> None:
    weighed = patiently(partial(_weighed, answers, ports, settings), lease=settings.lease)
    judgements = [
        (run, judged(run, answer, ports=ports, settings=settings))
        for run, answer in zip(runs, weighed, strict=True)
    ]
    # Those that only wait first: nothing that happens to another run's commit may keep them from their sleep.
    waiting = [run for run, outcome in judgements if _changes_nothing(run, outcome, settings)]
    patiently(partial(_wait_on, waiting, ports, settings), lease=settings.lease)
    for run, outcome in judgements:
        if not _changes_nothing(run, outcome, settings) and _record_poll(
            run, outcome, ports=ports, settings=settings
        ):
            ports.queue.ring([run.pk])


def _weighed(
    answers: Sequence[JobStatus | Outcome], ports: Ports, settings: Settings
) -> Sequence[JobStatus | Outcome]:
    """Lets the circuit learn from a batch as a whole: one answer proves Fireant alive, however many failed beside it."""
    now = ports.clock()
    down = [answer for answer in answers if isinstance(answer, Retryable) and answer.code in DOWN_CODES]
    if any(_proves_fireant_up(answer) for answer in answers):
        note_success(now=now)
        return answers
    if not down:
        return answers
    circuit = note_failure(down[0].code, now=now, settings=settings, count=len(down))
    return [
        postponed(Step.JOB_COMPLETION_STATUS, answer, circuit, settings)
        if isinstance(answer, Retryable)
        else answer
        for answer in answers
    ]


def _proves_fireant_up(answer: JobStatus | Outcome) -> bool:
    return isinstance(answer, JobStatus) or (
        isinstance(answer, Retryable | Failed) and is_answer(answer.code)
    )


def _changes_nothing(run: ReportRun, outcome: Outcome, settings: Settings) -> bool:
    return (
        isinstance(outcome, Waiting)
        and outcome.learned.get("fireant_status") == run.fireant_status
        and run.polls + 1 < settings.max_poll_attempts
    )


def judged(run: ReportRun, answer: JobStatus | Outcome, *, ports: Ports, settings: Settings) -> Outcome:
    """The outcome of an answer, or the outcome that the asking already had."""
    if isinstance(answer, JobStatus):
        return outcome_of(lambda: judge(run, answer, ports), run=run, settings=settings)
    return answer


def _record_poll(run: ReportRun, outcome: Outcome, *, ports: Ports, settings: Settings) -> bool:
    """Commits a poll that changed something; True where the run may go on at once."""
    attempt = RunStep.objects.filter(run=run, step=run.step).order_by("pk").last()
    if attempt is None:
        attempt = RunStep(run=run, step=run.step, attempt=max(run.attempt, 1), started_at=ports.clock())
        attempt.save()
    lease = Lease(run=run, attempt=attempt, settings=settings, clock=ports.clock)
    try:
        commit(lease, outcome, hand_over=True)
    except LeaseLostError:
        run_event("lease_lost", run, worker=run.worker)
        return False
    return run.status == Status.QUEUED


def _hand_back(runs: Sequence[ReportRun], ports: Ports) -> None:
    """Lets others ask about the runs whose answers this worker cannot wait for: nobody's failure, and no crash."""
    ReportRun.objects.filter(
        pk__in=[run.pk for run in runs], worker=runs[0].worker, status=Status.RUNNING
    ).update(status=Status.DEFERRED, worker="", wake_at=ports.clock(), version=F("version") + 1)


def _wait_on(runs: Sequence[ReportRun], ports: Ports, settings: Settings) -> None:
    """Puts the runs that still wait back to sleep, a few neighbours at a time so that they drift apart."""
    now = ports.clock()
    for start in range(0, len(runs), NEIGHBOURS):
        bunch = runs[start : start + NEIGHBOURS]
        ReportRun.objects.filter(
            pk__in=[run.pk for run in bunch], worker=bunch[0].worker, status=Status.RUNNING
        ).update(
            status=Status.DEFERRED,
            worker="",
            polls=F("polls") + 1,
            failures=0,
            crashes=0,
            wake_at=now + spread_poll_interval(settings.poll_interval, random.random()),
            version=F("version") + 1,
        )
