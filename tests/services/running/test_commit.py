"""Commits survive a database that is away, and workers that are ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Completed, Status, Step
from report_orchestrator.exceptions import TransientError
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.ports import JobState
from report_orchestrator.services.fireant import circuit_breaker
from report_orchestrator.services.running import commit as commit_module
from report_orchestrator.services.running import poller
from report_orchestrator.services.running.claim import claim
from report_orchestrator.signals import run_event
from report_orchestrator.testing import FakePorts
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory
from tests.support.worker import SETTINGS, go, poll, steps_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_database_that_is_away_at_the_commit_does_not_lose_what_was_learned(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = ReportRun.guarded_update
    refusals = iter([True, True])

    def update_or_not(run: ReportRun, changes: Mapping[str, object]) -> None:
        if changes.get("fireant_job_id") and next(refusals, False):
            raise OperationalError("deadlock detected")
        update(run, changes)

    monkeypatch.setattr(ReportRun, "guarded_update", update_or_not)
    run = go(new_run(), fakes)
    assert (run.status, run.fireant_job_id) == (Status.SUCCEEDED, "101")
    assert len(fakes.fireant.submitted) == 1
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]


@pytest.mark.parametrize(("port", "method"), [("reports", "modifier_for"), ("jobs", "record"), ("jobs", "note_end")])
def test_a_deadlock_in_the_hosts_tables_costs_a_step_no_retry(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, port: str, method: str
) -> None:
    owner = type(getattr(fakes, port))
    write = getattr(owner, method)
    refusals = iter([True, True])

    def write_or_not(*given: Any, **named: Any) -> Any:
        if next(refusals, False):
            raise OperationalError("deadlock detected")
        return write(*given, **named)

    monkeypatch.setattr(owner, method, write_or_not)
    run = go(new_run(), fakes, replace(SETTINGS, max_retries=0))
    assert next(refusals, None) is None
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]


def test_a_database_that_is_away_for_seconds_is_waited_for_at_the_commit(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    open_attempt = commit_module._open_attempt

    def open_or_not(run: ReportRun, columns: Mapping[str, object], now: datetime) -> RunStep | None:
        """Fails when all is written but the commit, so that all of it is rolled back."""
        opened = open_attempt(run, columns, now)
        if columns.get("fireant_job_id") and len(pauses) < 5:
            raise OperationalError("server closed the connection unexpectedly")
        return opened

    monkeypatch.setattr(commit_module, "_open_attempt", open_or_not)
    run = go(new_run(), fakes)
    assert (run.status, len(fakes.fireant.submitted), len(pauses)) == (Status.SUCCEEDED, 1, 5)
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]
    assert pauses == sorted(pauses)
    assert sum(pauses) > 1


def test_a_commit_whose_answer_was_lost_is_not_taken_for_another_workers(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_once = commit_module._commit_once
    lost = iter([True, False, True])

    def commit_and_break(*given: Any, **named: Any) -> Any:
        write = commit_once(*given, **named)
        if next(lost, False):
            raise OperationalError("server closed the connection unexpectedly")
        return write

    monkeypatch.setattr(commit_module, "_commit_once", commit_and_break)
    run = go(new_run(), fakes)
    assert (run.status, run.crashes, run.possibly_submitted_twice) == (Status.SUCCEEDED, 0, False)
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]
    assert next(lost, None) is None


def test_a_commit_that_the_server_finished_after_the_check_is_recognized(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_once, was_committed = commit_module._commit_once, commit_module.was_committed
    looks: list[bool] = []

    def commit_and_break(*given: Any, **named: Any) -> Any:
        write = commit_once(*given, **named)
        if not looks:
            raise OperationalError("server closed the connection unexpectedly")
        return write

    def look_too_early(*given: Any) -> bool:
        looks.append(bool(looks) and was_committed(*given))
        return looks[-1]

    monkeypatch.setattr(commit_module, "_commit_once", commit_and_break)
    monkeypatch.setattr(commit_module, "was_committed", look_too_early)
    run = go(new_run(), fakes)
    assert looks == [False, True]
    assert (run.status, run.crashes) == (Status.SUCCEEDED, 0)
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]


def test_a_write_that_was_rolled_back_is_not_taken_for_the_next_one_with_its_attempts_key(
    new_run: NewRun, fakes: FakePorts
) -> None:
    """SQLite reuses the key of an attempt that was rolled back."""
    lease = claim(new_run().pk, runtime=fakes.runtime(SETTINGS), in_worker=False, version=None)
    assert lease is not None
    writes: list[commit_module.Write] = []
    with transaction.atomic():
        rolled_back = commit_module._write(lease, Completed(), writes, hand_over=False)
        transaction.set_rollback(True)
    fakes.clock.advance(seconds=1)
    committed = commit_module._write(lease, Completed(), writes, hand_over=False)
    assert rolled_back.next_attempt is not None
    assert committed.next_attempt is not None
    rolled_back.next_attempt.pk = committed.next_attempt.pk
    assert commit_module._first_committed(lease, writes) is committed


@pytest.mark.parametrize(
    ("errors", "job", "settings", "reached", "said"),
    [
        ([], JobState.FINISHED, SETTINGS, Status.SUCCEEDED, "run_succeeded"),
        ([], JobState.FAILED, SETTINGS, Status.FAILED, "run_failed"),
        ([], JobState.RUNNING, SETTINGS, Status.DEFERRED, "run_deferred"),
        ([], JobState.RUNNING, SettingsFactory.make(MAX_POLL_ATTEMPTS=1), Status.TIMED_OUT, "run_timed_out"),
        (
            [TransientError("busy", code="fireant_429")],
            JobState.FINISHED,
            SETTINGS,
            Status.UP_FOR_RETRY,
            "step_retried",
        ),
        ([], JobState.FINISHED, SETTINGS, Status.RUNNING, "step_completed"),
    ],
)
def test_what_was_committed_is_announced_once_though_the_databases_answer_was_lost(
    new_run: NewRun,
    fakes: FakePorts,
    monkeypatch: pytest.MonkeyPatch,
    errors: list[BaseException],
    job: JobState,
    settings: Settings,
    reached: Status,
    said: str,
) -> None:
    fakes.fireant.fail("submit", *errors)
    fakes.fireant.answer("101", job)
    events: list[str] = []
    broken: list[object] = []

    def listen(*, event: str, **_kwargs: object) -> None:
        events.append(event)

    database: Any = connections["default"]
    commit = database._commit

    open_attempt = commit_module._open_attempt

    def break_at_commit(run: ReportRun, columns: Mapping[str, object], now: datetime) -> RunStep | None:
        if columns["status"] == reached and not broken:
            broken.append(columns["status"])
            monkeypatch.setattr(database, "_commit", commit_and_lose_the_answer)
        return open_attempt(run, columns, now)

    def commit_and_lose_the_answer() -> None:
        monkeypatch.undo()
        commit()
        raise OperationalError("server closed the connection unexpectedly")

    run = new_run()
    monkeypatch.setattr(commit_module, "_open_attempt", break_at_commit)
    run_event.connect(listen)
    try:
        run = go(run, fakes, settings)
    finally:
        run_event.disconnect(listen)
    assert broken == [reached]
    ended = [event for event in events if event not in {"step_started", "step_completed"}]
    assert ended == ["run_succeeded" if said == "step_completed" else said]
    completed = sum(step.result == "completed" for step in run.steps.all())
    assert events.count("step_completed") == completed - (said == "run_succeeded" or said == "step_completed")


def test_after_a_commit_that_was_rolled_back_the_one_whose_answer_was_lost_is_known(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _pause: fakes.clock.advance(seconds=1))
    database: Any = connections["default"]
    commit, open_attempt = database._commit, commit_module._open_attempt
    reaches_server = iter([False, True])

    def break_at_commit(run: ReportRun, columns: Mapping[str, object], now: datetime) -> RunStep | None:
        opened = open_attempt(run, columns, now)
        if (is_committed := next(reaches_server, None)) is not None:
            monkeypatch.setattr(database, "_commit", partial(commit_and_break, is_committed))
        if is_committed is False and opened is not None:
            opened.pk += 1000  # PostgreSQL never gives a key again, SQLite does
        return opened

    def commit_and_break(is_committed: bool) -> None:
        monkeypatch.setattr(database, "_commit", commit)
        if is_committed:
            commit()
        raise OperationalError("server closed the connection unexpectedly")

    run = new_run()
    monkeypatch.setattr(commit_module, "_open_attempt", break_at_commit)
    run = go(run, fakes)
    assert (run.status, run.crashes) == (Status.SUCCEEDED, 0)
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]


def test_the_wait_for_an_unavailable_database_ends(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[-1])
    monkeypatch.setattr(time, "sleep", lambda pause: seconds.append(seconds[-1] + pause))

    def refuse(*_told: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(commit_module, "_open_attempt", refuse)
    run = new_run()
    with pytest.raises(OperationalError):
        go(run, fakes)
    assert 25 < seconds[-1] <= 30
    run.refresh_from_db()
    assert (run.status, run.step) == (Status.RUNNING, Step.REPORT_DATA)


def test_a_worker_that_is_ended_just_after_a_commit_leaves_what_it_committed(new_run: NewRun, fakes: FakePorts) -> None:
    run = new_run()

    def end_worker(*, event: str, **_kwargs: object) -> None:
        if event == "run_succeeded":
            raise SystemExit(0)

    run_event.connect(end_worker)
    try:
        with pytest.raises(SystemExit):
            go(run, fakes)
    finally:
        run_event.disconnect(end_worker)
    run.refresh_from_db()
    assert run.status == Status.SUCCEEDED


@pytest.mark.parametrize(
    ("status", "step"), [(Status.RUNNING, Step.REPORT_DATA), (Status.SUCCEEDED, Step.RESULTS_STORAGE)]
)
def test_a_worker_that_is_ended_in_the_midst_of_a_commit_hands_its_run_back(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, status: Status, step: Step
) -> None:
    run = new_run()

    open_attempt = commit_module._open_attempt

    def end_worker(run: ReportRun, columns: Mapping[str, object], now: datetime) -> RunStep | None:
        """All is written but the commit."""
        opened = open_attempt(run, columns, now)
        if columns["status"] == status:
            raise SystemExit(0)
        return opened

    with monkeypatch.context() as ended:
        ended.setattr(commit_module, "_open_attempt", end_worker)
        with pytest.raises(SystemExit):
            go(run, fakes)
    run.refresh_from_db()
    assert (run.status, run.step, run.crashes) == (Status.QUEUED, step, 0)
    assert go(run, fakes).status == Status.SUCCEEDED


def test_a_poller_that_is_ended_hands_its_runs_back(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.QUEUED)
    run = go(new_run(), fakes)
    fakes.clock.advance(seconds=70)
    fakes.fireant.fail("status", SystemExit(0))
    with pytest.raises(SystemExit):
        poll(run, fakes)
    run.refresh_from_db()
    assert (run.status, run.wake_at, run.polls, run.crashes) == (Status.DEFERRED, fakes.clock(), 1, 0)
    assert poll(run, fakes).status == Status.QUEUED


@pytest.mark.parametrize(("module", "away_at"), [(poller, "_defer"), (circuit_breaker, "record_success")])
def test_a_database_that_is_away_for_seconds_is_waited_for_after_a_poll(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, module: ModuleType, away_at: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _pause: None)
    fakes.fireant.answer("101", JobState.QUEUED, JobState.QUEUED)
    run = go(new_run(), fakes)
    write = getattr(module, away_at)
    refusals = iter([True, True])

    def write_or_not(*given: Any, **named: Any) -> None:
        if next(refusals, False):
            raise OperationalError("server closed the connection unexpectedly")
        write(*given, **named)

    monkeypatch.setattr(module, away_at, write_or_not)
    fakes.clock.advance(seconds=70)
    run = poll(run, fakes)
    assert (run.status, run.polls, len(fakes.fireant.asked)) == (Status.DEFERRED, 2, 2)
    assert next(refusals, None) is None
