"""Claim, step, outcome, commit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from report_orchestrator.domain.reports import EventKind
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.exceptions import LedgerError
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import JobState, JobStatus
from report_orchestrator.services.running.worker import advance, run_due
from report_orchestrator.signals import message_event, run_event
from report_orchestrator.testing import FakePorts
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory
from tests.support.worker import SETTINGS, go, poll, steps_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_job_table_that_refuses_the_end_does_not_cost_the_result(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise LedgerError("x.Job rejected the end of a job.")

    monkeypatch.setattr(type(fakes.jobs), "note_end", refuse)
    told: list[tuple[str, object]] = []

    def listen(*, event: str, fields: dict[str, object], **_kwargs: object) -> None:
        told.append((event, fields.get("error")))

    run_event.connect(listen)
    run = go(new_run(), fakes)
    run_event.disconnect(listen)
    assert run.status == Status.SUCCEEDED
    assert ("job_end_not_recorded", "x.Job rejected the end of a job.") in told


def test_one_message_takes_a_run_through_all_five_steps(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.bodies["101"] = b'{"results": [1]}'
    run = go(new_run(), fakes)
    assert run.status == Status.SUCCEEDED
    assert steps_of(run) == [(step.value, 1, "completed") for step in Step]
    assert fakes.store.files[run.result_path] == b'{"results": [1]}'
    assert list(fakes.store.files) == [run.result_path, run.manifest_path]
    assert (run.fireant_job_id, run.result_size, run.results_path) == ("101", 16, f"memory://{run.result_path}")
    assert fakes.jobs.rows[("1", "101")]["status"] == "Finished"
    [(kind, payload, reference)] = fakes.fireant.submitted
    assert (kind, reference) == (EventKind.GEO, f"{run.reference}-1")
    assert run.payload.body == payload


def test_a_waiting_run_is_a_row_without_a_worker(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.QUEUED)
    run = go(new_run(), fakes)
    assert (run.status, run.step, run.worker, run.polls) == (Status.DEFERRED, Step.JOB_COMPLETION_STATUS, "", 1)
    assert run.wake_at is not None
    assert run.wake_at > fakes.clock.now


def test_a_finished_job_keeps_no_progress_of_an_earlier_poll(new_run: NewRun, fakes: FakePorts) -> None:
    run = new_run()
    fakes.fireant.statuses["101"] += [
        JobStatus(state=JobState.RUNNING, reported="Running", progress=0.42, message="42 %"),
        JobStatus(state=JobState.FINISHED, reported="Finished", progress=1.0, message="Done"),
    ]
    run = go(run, fakes)
    assert run.steps.latest("pk").metadata == {"progress": 0.42, "message": "42 %"}
    fakes.clock.advance(minutes=2)
    poll(run, fakes)
    polled = run.steps.get(step=Step.JOB_COMPLETION_STATUS)
    assert polled.metadata == {"polls": 2, "progress": 1.0, "message": "Done"}


def test_a_doubled_message_does_nothing(new_run: NewRun, fakes: FakePorts) -> None:
    run = go(new_run(), fakes)
    assert not advance(run.pk, runtime=fakes.runtime(SETTINGS))
    assert len(fakes.fireant.submitted) == 1


def test_a_message_for_a_run_that_is_not_there_does_nothing(fakes: FakePorts) -> None:
    assert not advance(4711, runtime=fakes.runtime(SETTINGS))


def test_messages_that_find_nothing_to_take_are_counted(new_run: NewRun, fakes: FakePorts) -> None:
    told: list[tuple[str, object]] = []

    def listen(*, event: str, fields: dict[str, object], **_kwargs: object) -> None:
        told.append((event, fields["run_id"]))

    run = new_run()
    message_event.connect(listen)
    try:
        until = fakes.clock.now + timedelta(seconds=1)
        moved = [run_due(pk, runtime=fakes.runtime(SETTINGS), until=until) for pk in (run.pk, run.pk, 4711)]
    finally:
        message_event.disconnect(listen)
    assert moved == [1, 0, 0]
    assert told == [("message_found_nothing", run.pk), ("message_found_nothing", 4711)]


def test_polls_count_and_keep_one_row_of_the_timeline(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.QUEUED, JobState.RUNNING, JobState.RUNNING)
    run = go(new_run(), fakes)
    for polls in (2, 3):
        fakes.clock.advance(seconds=70)
        assert poll(run, fakes).polls == polls
        assert run.status == Status.DEFERRED
    fakes.clock.advance(seconds=70)
    assert poll(run, fakes).status == Status.QUEUED
    assert fakes.queue.notified[-1] == run.pk
    run = go(run, fakes)
    assert (run.status, run.polls) == (Status.SUCCEEDED, 4)
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


def test_work_goes_by_priority_then_by_age(new_run: NewRun, fakes: FakePorts) -> None:
    runs = [new_run() for _ in range(3)]
    ReportRun.objects.filter(pk=runs[2].pk).update(priority=20)
    moved = run_due(None, runtime=fakes.runtime(SETTINGS), until=fakes.clock.now + timedelta(seconds=1))
    assert moved == 3
    submitted = [reference for _kind, _payload, reference in fakes.fireant.submitted]
    assert submitted == [runs[2].client_reference, runs[0].client_reference, runs[1].client_reference]


def test_a_report_that_vanished_fails_its_run_alone(new_run: NewRun, fakes: FakePorts) -> None:
    run = new_run()
    fakes.reports.remove("1")
    run = go(run, fakes)
    assert (run.status, run.error_code) == (Status.FAILED, "report_not_found")


def test_a_run_never_reads_the_report_of_another_model_that_has_its_key(new_run: NewRun, fakes: FakePorts) -> None:
    run = new_run()
    fakes.reports.label = "other.Report"  # REPORT_MODEL was changed while the run was queued
    run = go(run, fakes)
    assert (run.status, run.error_code) == (Status.FAILED, "other_report_model")
    assert "REPORT_MODEL is now other.Report" in run.error
    assert fakes.fireant.submitted == []


def test_a_job_of_another_models_report_is_not_write_in_background_this_ones(new_run: NewRun, fakes: FakePorts) -> None:
    run = new_run()
    run.write(step=Step.LOCAL_JOB_RECORD.value, fireant_job_id="101")
    fakes.reports.label = "other.Report"
    assert go(run, fakes).error_code == "other_report_model"
    assert fakes.jobs.rows == {}


def test_a_run_that_moved_on_since_it_was_chosen_is_left_to_its_turn(new_run: NewRun, fakes: FakePorts) -> None:
    run = new_run()
    seen = run.version
    run.write(step=Step.EXTERNAL_JOB_SUBMISSION.value)
    assert not advance(run.pk, runtime=fakes.runtime(SETTINGS), version=seen)
    assert fakes.fireant.submitted == []
