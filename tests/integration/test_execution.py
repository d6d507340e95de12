"""Claim, step, outcome, commit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connections

from report_orchestrator.conf import Settings
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.exceptions import (
    ConfigurationError,
    FireantError,
    LeaseLostError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.ports import JobState
from report_orchestrator.services import execution, outcomes, polling
from report_orchestrator.services.announce import run_event as announce
from report_orchestrator.services.execution import advance, work
from report_orchestrator.services.polling import poll_due
from report_orchestrator.signals import message_event, run_event
from report_orchestrator.testing import FakePorts
from tests.conftest import SettingsFactory
from tests.integration.conftest import NewRun

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = SettingsFactory.make(FIREANT_API_KEY="s3cr3t")


def steps_of(run: ReportRun) -> list[tuple[str, int, str]]:
    return list(run.steps.order_by("pk").values_list("step", "attempt", "result"))


def go(run: ReportRun, fakes: FakePorts, settings: Settings = SETTINGS) -> ReportRun:
    advance(run.pk, ports=fakes.ports, settings=settings)
    run.refresh_from_db()
    return run


def poll(run: ReportRun, fakes: FakePorts, settings: Settings = SETTINGS) -> ReportRun:
    poll_due(ports=fakes.ports, settings=settings, until=fakes.clock.now + timedelta(seconds=1))
    run.refresh_from_db()
    return run


def test_one_message_takes_a_run_through_all_five_steps(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.bodies["101"] = b'{"results": [1]}'
    run = go(new_run(), fakes)
    assert run.status == Status.SUCCEEDED
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]
    assert fakes.store.files[run.result_path] == b'{"results": [1]}'
    assert list(fakes.store.files) == [run.result_path, run.manifest_path]
    assert (run.fireant_job_id, run.result_size, run.results_path) == (
        "101",
        16,
        f"memory://{run.result_path}",
    )
    assert fakes.jobs.rows[("1", "101")]["status"] == "Finished"
    [(kind, payload, reference)] = fakes.fireant.submitted
    assert (kind, reference) == (EventKind.GEO, f"{run.reference}-1")
    assert run.payload.body == payload


def test_a_waiting_run_is_a_row_without_a_worker(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.QUEUED)
    run = go(new_run(), fakes)
    assert (run.status, run.step, run.worker, run.polls) == (
        Status.DEFERRED,
        Step.JOB_COMPLETION_STATUS,
        "",
        1,
    )
    assert run.wake_at is not None
    assert run.wake_at > fakes.clock.now


def test_a_doubled_message_does_nothing(new_run: NewRun, fakes: FakePorts) -> None:
    run = go(new_run(), fakes)
    assert not advance(run.pk, ports=fakes.ports, settings=SETTINGS)
    assert len(fakes.fireant.submitted) == 1


def test_a_message_for_a_run_that_is_not_there_does_nothing(fakes: FakePorts) -> None:
    assert not advance(4711, ports=fakes.ports, settings=SETTINGS)


def test_messages_that_find_nothing_to_take_are_counted(new_run: NewRun, fakes: FakePorts) -> None:
    told: list[tuple[str, object]] = []

    def listen(*, event: str, fields: dict[str, object], **_kwargs: object) -> None:
        told.append((event, fields["run_id"]))

    run = new_run()
    message_event.connect(listen)
    try:
        until = fakes.clock.now + timedelta(seconds=1)
        moved = [work(pk, ports=fakes.ports, settings=SETTINGS, until=until) for pk in (run.pk, run.pk, 4711)]
    finally:
        message_event.disconnect(listen)
    assert moved == [1, 0, 0]
    assert told == [
        ("message_found_nothing", run.pk),
        ("message_found_nothing", 4711),
    ]


def test_polls_count_and_keep_one_row_of_the_timeline(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.QUEUED, JobState.RUNNING, JobState.RUNNING)
    run = go(new_run(), fakes)
    for polls in (2, 3):
        fakes.clock.advance(seconds=70)
        assert poll(run, fakes).polls == polls
        assert run.status == Status.DEFERRED
    fakes.clock.advance(seconds=70)
    assert poll(run, fakes).status == Status.QUEUED
    assert fakes.queue.rung[-1] == run.pk
    run = go(run, fakes)
    assert run.status == Status.SUCCEEDED
    assert (Step.JOB_COMPLETION_STATUS, 1, "completed") in steps_of(run)
    assert len(steps_of(run)) == len(Step)


def test_a_poll_before_its_time_is_not_made(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.QUEUED)
    run = go(new_run(), fakes)
    fakes.clock.advance(seconds=10)
    assert poll(run, fakes).polls == 1


def test_a_job_that_never_ends_times_out(new_run: NewRun, fakes: FakePorts) -> None:
    settings = SettingsFactory.make(MAX_POLL_ATTEMPTS=3)
    fakes.fireant.answer("101", *[JobState.RUNNING] * 9)
    run = go(new_run(), fakes, settings)
    for _ in range(2):
        fakes.clock.advance(seconds=70)
        run = poll(run, fakes, settings)
    assert (run.status, run.polls, run.error_code) == (Status.TIMED_OUT, 3, "poll_attempts_used_up")
    assert run.wake_at is None


def test_a_failed_job_ends_the_run_with_fireants_reason(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.FAILED)
    run = go(new_run(), fakes)
    assert (run.status, run.error_code) == (Status.FAILED, "fireant_job_failed")
    assert "Fireant job 101 of report 1 (Windstorm accumulation) failed" in run.error
    assert fakes.jobs.rows[("1", "101")]["status"] == "Failed"


def test_an_unknown_status_is_no_end(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.UNKNOWN)
    assert go(new_run(), fakes).status == Status.DEFERRED


def test_a_transient_failure_is_tried_again_at_its_step_and_not_before_it(
    new_run: NewRun, fakes: FakePorts
) -> None:
    fakes.fireant.fail("results", TransientError("it broke off", code="result_cut_short"))
    run = go(new_run(), fakes)
    assert (run.status, run.step, run.failures) == (Status.UP_FOR_RETRY, Step.RESULTS_STORAGE, 1)
    assert not advance(run.pk, ports=fakes.ports, settings=SETTINGS)
    fakes.clock.advance(seconds=11)
    run = go(run, fakes)
    assert run.status == Status.SUCCEEDED
    assert len(fakes.fireant.submitted) == 1
    assert steps_of(run)[-2:] == [("results_storage", 1, "retried"), ("results_storage", 2, "completed")]


def test_retries_run_out(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.fail("submit", *[TransientError("busy", code="fireant_429")] * 9)
    run = new_run()
    for _ in range(4):
        run = go(run, fakes)
        fakes.clock.advance(hours=2)
    assert (run.status, run.error, run.attempt) == (Status.FAILED, "busy (tried 4 times)", 4)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FireantError("refused", code="fireant_422"), "fireant_422"),
        (ConfigurationError("wrong key"), "configuration"),
    ],
)
def test_a_definite_failure_is_not_tried_again(
    new_run: NewRun, fakes: FakePorts, error: Exception, code: str
) -> None:
    fakes.fireant.fail("submit", error)
    run = go(new_run(), fakes)
    assert (run.status, run.error_code, run.step) == (Status.FAILED, code, Step.EXTERNAL_JOB_SUBMISSION)


def test_an_error_that_nobody_foresaw_is_recorded_with_its_traceback_and_retried(
    new_run: NewRun, fakes: FakePorts
) -> None:
    fakes.fireant.fail("results", ZeroDivisionError("with key s3cr3t"))
    run = go(new_run(), fakes)
    assert (run.status, run.error_code) == (Status.UP_FOR_RETRY, "unexpected")
    attempt = run.steps.get(step=Step.RESULTS_STORAGE)
    assert "ZeroDivisionError" in attempt.traceback
    assert "s3cr3t" not in attempt.traceback + attempt.error + run.error


def test_a_lost_worker_is_rescued_once_its_lease_ran_out(new_run: NewRun, fakes: FakePorts) -> None:
    class Killed(BaseException):
        pass

    fakes.fireant.fail("results", Killed())
    run = new_run()
    with pytest.raises(Killed):
        go(run, fakes)
    run.refresh_from_db()
    assert run.status == Status.RUNNING
    assert not advance(run.pk, ports=fakes.ports, settings=SETTINGS)
    fakes.clock.advance(seconds=121)
    run = go(run, fakes)
    assert run.status == Status.SUCCEEDED
    assert steps_of(run)[-2:] == [("results_storage", 1, "lost"), ("results_storage", 2, "completed")]
    assert len(fakes.fireant.submitted) == 1


def test_a_run_that_kills_its_workers_is_set_aside(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.fail("results", *[KeyboardInterrupt()] * 9)
    run = new_run()
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            go(run, fakes)
        fakes.clock.advance(seconds=121)
    run = go(run, fakes)
    assert (run.status, run.error_code) == (Status.FAILED, "set_aside")
    assert fakes.fireant.failures["results"]  # it was not started a fourth time


def test_a_submission_without_an_answer_is_repeated_under_the_same_reference(
    new_run: NewRun, fakes: FakePorts
) -> None:
    fakes.fireant.fail("submit", SubmissionUnknownError("no answer"))
    run = go(new_run(), fakes)
    assert run.status == Status.UP_FOR_RETRY
    fakes.clock.advance(seconds=11)
    run = go(run, fakes)
    assert run.status == Status.SUCCEEDED
    assert run.possibly_submitted_twice
    assert [reference for _kind, _payload, reference in fakes.fireant.submitted] == [run.client_reference]


def test_a_submission_without_an_answer_waits_for_a_person_where_the_settings_say_so(
    new_run: NewRun, fakes: FakePorts
) -> None:
    hold = SettingsFactory.make(FIREANT_ON_UNKNOWN="hold")
    fakes.fireant.fail("submit", SubmissionUnknownError("no answer"))
    run = go(new_run(), fakes, hold)
    assert (run.status, run.error_code) == (Status.FAILED, "submission_unknown")
    assert run.client_reference in run.error


def test_a_worker_killed_in_mid_submission_is_held_too(new_run: NewRun, fakes: FakePorts) -> None:
    hold = SettingsFactory.make(FIREANT_ON_UNKNOWN="hold")
    fakes.fireant.fail("submit", KeyboardInterrupt())
    run = new_run()
    with pytest.raises(KeyboardInterrupt):
        go(run, fakes, hold)
    fakes.clock.advance(seconds=121)
    run = go(run, fakes, hold)
    assert (run.status, run.error_code) == (Status.FAILED, "submission_unknown")
    assert fakes.fireant.submitted == []


def test_a_late_writer_changes_nothing(new_run: NewRun, fakes: FakePorts) -> None:
    run = new_run()
    late = ReportRun.objects.get(pk=run.pk)
    go(run, fakes)
    with pytest.raises(LeaseLostError):
        late.write(status=Status.FAILED.value)
    assert ReportRun.objects.get(pk=run.pk).status == Status.SUCCEEDED


def test_a_worker_that_lost_its_lease_drops_its_result(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()

    def stolen_body() -> Iterator[bytes]:
        fakes.clock.advance(seconds=61)  # half of the lease: it is renewed here
        ReportRun.objects.get(pk=run.pk).write(worker="another")
        yield b"{}"

    class Body:
        def __enter__(self) -> Iterator[bytes]:
            return stolen_body()

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(type(fakes.fireant), "results", lambda _self, _job: Body())
    run = go(run, fakes)
    assert (run.status, run.worker) == (Status.RUNNING, "another")
    assert fakes.store.files == {}
    assert RunStep.objects.get(run=run, step=Step.RESULTS_STORAGE).result == "started"


def test_a_long_download_keeps_its_lease(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()

    class Body:
        def __enter__(self) -> Iterator[bytes]:
            return _hour_of_pieces(fakes)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(type(fakes.fireant), "results", lambda _self, _job: Body())
    assert go(run, fakes).status == Status.SUCCEEDED


def _hour_of_pieces(fakes: FakePorts) -> Iterator[bytes]:
    for _ in range(60):
        fakes.clock.advance(seconds=61)
        yield b" "


def test_work_goes_by_priority_then_by_age(new_run: NewRun, fakes: FakePorts) -> None:
    runs = [new_run() for _ in range(3)]
    ReportRun.objects.filter(pk=runs[2].pk).update(priority=20)
    moved = execution.work(
        None, ports=fakes.ports, settings=SETTINGS, until=fakes.clock.now + timedelta(seconds=1)
    )
    assert moved == 3
    submitted = [reference for _kind, _payload, reference in fakes.fireant.submitted]
    assert submitted == [runs[2].client_reference, runs[0].client_reference, runs[1].client_reference]


def test_a_report_that_vanished_fails_its_run_alone(new_run: NewRun, fakes: FakePorts) -> None:
    run = new_run()
    fakes.reports.remove("1")
    run = go(run, fakes)
    assert (run.status, run.error_code) == (Status.FAILED, "report_not_found")


def test_a_run_never_reads_the_report_of_another_model_that_has_its_key(
    new_run: NewRun, fakes: FakePorts
) -> None:
    run = new_run()
    fakes.reports.label = "other.Report"  # REPORT_MODEL was changed while the run was queued
    run = go(run, fakes)
    assert (run.status, run.error_code) == (Status.FAILED, "other_report_model")
    assert "REPORT_MODEL is other.Report now" in run.error
    assert fakes.fireant.submitted == []


def test_a_job_of_another_models_report_is_not_written_beside_this_ones(
    new_run: NewRun, fakes: FakePorts
) -> None:
    run = new_run()
    run.write(step=Step.LOCAL_JOB_RECORD.value, fireant_job_id="101")
    fakes.reports.label = "other.Report"
    assert go(run, fakes).error_code == "other_report_model"
    assert fakes.jobs.rows == {}


def test_a_worker_that_is_ended_hands_its_run_back_and_no_crash_is_counted(
    new_run: NewRun, fakes: FakePorts
) -> None:
    fakes.fireant.fail("results", *[SystemExit(0)] * 5)
    run = new_run()
    for _ in range(5):
        with pytest.raises(SystemExit):
            go(run, fakes)
        run.refresh_from_db()
        assert (run.status, run.step, run.crashes) == (Status.QUEUED, Step.RESULTS_STORAGE, 0)
    assert go(run, fakes).status == Status.SUCCEEDED
    assert len(fakes.fireant.submitted) == 1


def test_a_submission_that_was_left_in_the_middle_is_remembered_as_unknown(
    new_run: NewRun, fakes: FakePorts
) -> None:
    fakes.fireant.fail("submit", SystemExit(0))
    run = new_run()
    with pytest.raises(SystemExit):
        go(run, fakes)
    run = go(run, fakes)
    assert (run.status, run.possibly_submitted_twice) == (Status.SUCCEEDED, True)


@pytest.mark.parametrize("on_unknown", ["hold", "resubmit"])
def test_an_error_that_nobody_foresaw_in_a_submission_leaves_its_fate_unknown(
    new_run: NewRun, fakes: FakePorts, on_unknown: str
) -> None:
    settings = SettingsFactory.make(FIREANT_ON_UNKNOWN=on_unknown)
    fakes.fireant.fail("submit", RecursionError())
    run = go(new_run(), fakes, settings)
    assert run.error_code == "submission_unknown"
    assert run.status == (Status.FAILED if on_unknown == "hold" else Status.UP_FOR_RETRY)


def test_a_submission_is_repeated_once_and_then_left_to_a_person(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.fail("submit", *[SubmissionUnknownError("no answer")] * 300)
    run = new_run()
    for _ in range(50):
        fakes.clock.advance(hours=1)
        run = go(run, fakes)
    assert (run.status, run.error_code) == (Status.FAILED, "submission_unknown")
    assert len(fakes.fireant.failures["submit"]) == 300 - 2
    assert "sent to Fireant twice" in run.error


def test_what_the_database_cannot_hold_ends_the_run_with_a_reason(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(fakes.fireant), "submit", lambda *_args, **_kwargs: "\ud800")
    run = go(new_run(), fakes)
    assert (run.status, run.error_code, run.step) == (
        Status.FAILED,
        "unstorable",
        Step.EXTERNAL_JOB_SUBMISSION,
    )


def test_a_database_that_is_away_at_the_commit_does_not_lose_what_was_learned(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ReportRun.write
    refusals = iter([True, True])

    def write_or_not(run: ReportRun, **changes: object) -> None:
        if changes.get("fireant_job_id") and next(refusals, False):
            raise OperationalError("deadlock detected")
        write(run, **changes)

    monkeypatch.setattr(ReportRun, "write", write_or_not)
    run = go(new_run(), fakes)
    assert (run.status, run.fireant_job_id) == (Status.SUCCEEDED, "101")
    assert len(fakes.fireant.submitted) == 1
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]


def test_a_database_that_is_away_for_seconds_is_waited_for_at_the_commit(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    announce = outcomes._announce

    def announce_or_not(run: ReportRun, *told: Any) -> None:
        """Fails when all is written but the commit, so that all of it is rolled back."""
        if run.fireant_job_id and len(pauses) < 5:
            raise OperationalError("server closed the connection unexpectedly")
        announce(run, *told)

    monkeypatch.setattr(outcomes, "_announce", announce_or_not)
    run = go(new_run(), fakes)
    assert (run.status, len(fakes.fireant.submitted), len(pauses)) == (Status.SUCCEEDED, 1, 5)
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]
    assert pauses == sorted(pauses)
    assert sum(pauses) > 1


def test_a_commit_whose_answer_was_lost_is_not_taken_for_another_workers(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_once = outcomes._commit_once
    lost = iter([True, False, True])

    def commit_and_break(*given: Any, **named: Any) -> None:
        commit_once(*given, **named)
        if next(lost, False):
            raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(outcomes, "_commit_once", commit_and_break)
    run = go(new_run(), fakes)
    assert (run.status, run.crashes, run.possibly_submitted_twice) == (Status.SUCCEEDED, 0, False)
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]
    assert next(lost, None) is None


def test_a_commit_that_the_server_ended_after_the_look_for_it_is_known_as_our_own(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_once, went_through = outcomes._commit_once, outcomes._went_through
    looks: list[bool] = []

    def commit_and_break(*given: Any, **named: Any) -> None:
        commit_once(*given, **named)
        if not looks:
            raise OperationalError("server closed the connection unexpectedly")

    def look_too_early(*given: Any) -> bool:
        looks.append(bool(looks) and went_through(*given))
        return looks[-1]

    monkeypatch.setattr(outcomes, "_commit_once", commit_and_break)
    monkeypatch.setattr(outcomes, "_went_through", look_too_early)
    run = go(new_run(), fakes)
    assert looks == [False, True]
    assert (run.status, run.crashes) == (Status.SUCCEEDED, 0)
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]


@pytest.mark.parametrize(
    ("errors", "job", "settings", "said"),
    [
        ([], JobState.FINISHED, SETTINGS, "run_succeeded"),
        ([], JobState.FAILED, SETTINGS, "run_failed"),
        ([], JobState.RUNNING, SETTINGS, "run_deferred"),
        ([], JobState.RUNNING, SettingsFactory.make(MAX_POLL_ATTEMPTS=1), "run_timed_out"),
        ([TransientError("busy", code="fireant_429")], JobState.FINISHED, SETTINGS, "step_retried"),
        ([], JobState.FINISHED, SETTINGS, "step_completed"),
    ],
)
def test_what_was_committed_is_announced_once_though_the_databases_answer_was_lost(
    new_run: NewRun,
    fakes: FakePorts,
    monkeypatch: pytest.MonkeyPatch,
    errors: list[BaseException],
    job: JobState,
    settings: Settings,
    said: str,
) -> None:
    fakes.fireant.fail("submit", *errors)
    fakes.fireant.answer("101", job)
    events: list[str] = []
    broken: list[str] = []

    def listen(*, event: str, **_kwargs: object) -> None:
        events.append(event)

    database: Any = connections["default"]
    commit = database._commit

    def break_at_commit(event: str, *given: Any, **named: Any) -> None:
        announce(event, *given, **named)
        if event == said and not broken:
            broken.append(event)
            monkeypatch.setattr(database, "_commit", commit_and_lose_the_answer)

    def commit_and_lose_the_answer() -> None:
        monkeypatch.undo()
        commit()
        raise OperationalError("server closed the connection unexpectedly")

    run = new_run()
    monkeypatch.setattr(outcomes, "run_event", break_at_commit)
    run_event.connect(listen)
    try:
        run = go(run, fakes, settings)
    finally:
        run_event.disconnect(listen)
    assert broken == [said]
    ended = [event for event in events if event not in {"step_started", "step_completed"}]
    assert ended == ["run_succeeded" if said == "step_completed" else said]
    completed = sum(step.result == "completed" for step in run.steps.all())
    assert events.count("step_completed") == completed - (said == "run_succeeded" or said == "step_completed")


def test_a_run_that_moved_on_since_it_was_chosen_is_left_to_its_turn(
    new_run: NewRun, fakes: FakePorts
) -> None:
    run = new_run()
    seen_at = run.version
    run.write(step=Step.EXTERNAL_JOB_SUBMISSION.value)
    assert not advance(run.pk, ports=fakes.ports, settings=SETTINGS, seen_at=seen_at)
    assert fakes.fireant.submitted == []


def test_a_database_that_stays_away_is_not_waited_for_for_ever(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[-1])
    monkeypatch.setattr(time, "sleep", lambda pause: seconds.append(seconds[-1] + pause))

    def refuse(*_told: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(outcomes, "_announce", refuse)
    run = new_run()
    with pytest.raises(OperationalError):
        go(run, fakes)
    assert 25 < seconds[-1] <= 30
    run.refresh_from_db()
    assert (run.status, run.step) == (Status.RUNNING, Step.REPORT_DATA)


def test_a_worker_that_is_ended_just_after_a_commit_leaves_what_it_committed(
    new_run: NewRun, fakes: FakePorts
) -> None:
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

    def end_worker(run: ReportRun, *_told: Any) -> None:
        """All is written but the commit."""
        if run.status == status:
            raise SystemExit(0)

    with monkeypatch.context() as ended:
        ended.setattr(outcomes, "_announce", end_worker)
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


@pytest.mark.parametrize("away_at", ["_wait_on", "note_success"])
def test_a_database_that_is_away_for_seconds_is_waited_for_after_a_poll(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, away_at: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _pause: None)
    fakes.fireant.answer("101", JobState.QUEUED, JobState.QUEUED)
    run = go(new_run(), fakes)
    write = getattr(polling, away_at)
    refusals = iter([True, True])

    def write_or_not(*given: Any, **named: Any) -> None:
        if next(refusals, False):
            raise OperationalError("server closed the connection unexpectedly")
        write(*given, **named)

    monkeypatch.setattr(polling, away_at, write_or_not)
    fakes.clock.advance(seconds=70)
    run = poll(run, fakes)
    assert (run.status, run.polls, len(fakes.fireant.asked)) == (Status.DEFERRED, 2, 2)
    assert next(refusals, None) is None
