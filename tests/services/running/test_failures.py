"""Failed steps, lost workers and submissions of unknown outcome."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.exceptions import (
    ConfigurationError,
    FireantError,
    LeaseLostError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.services.running.worker import advance
from report_orchestrator.testing import FakePorts
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory
from tests.support.worker import SETTINGS, go, steps_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_transient_failure_is_tried_again_at_its_step_and_not_before_it(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.fail("results", TransientError("it broke off", code="result_cut_short"))
    run = go(new_run(), fakes)
    assert (run.status, run.step, run.failures) == (Status.UP_FOR_RETRY, Step.RESULTS_STORAGE, 1)
    assert not advance(run.pk, runtime=fakes.runtime(SETTINGS))
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
    [(FireantError("refused", code="fireant_422"), "fireant_422"), (ConfigurationError("wrong key"), "configuration")],
)
def test_a_definite_failure_is_not_tried_again(new_run: NewRun, fakes: FakePorts, error: Exception, code: str) -> None:
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
    assert not advance(run.pk, runtime=fakes.runtime(SETTINGS))
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


def test_a_submission_without_an_answer_is_repeated_under_the_same_reference(new_run: NewRun, fakes: FakePorts) -> None:
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

    monkeypatch.setattr(type(fakes.fireant), "results", lambda _self, _job, _heartbeat: Body())
    run = go(run, fakes)
    assert (run.status, run.worker) == (Status.RUNNING, "another")
    assert fakes.store.files == {}
    assert RunStep.objects.get(run=run, step=Step.RESULTS_STORAGE).result == "started"


def test_a_long_download_keeps_its_lease(new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run()

    class Body:
        def __enter__(self) -> Iterator[bytes]:
            return _hour_of_pieces(fakes)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(type(fakes.fireant), "results", lambda _self, _job, _heartbeat: Body())
    assert go(run, fakes).status == Status.SUCCEEDED


def _hour_of_pieces(fakes: FakePorts) -> Iterator[bytes]:
    for _ in range(60):
        fakes.clock.advance(seconds=61)
        yield b" "


def test_a_worker_that_is_ended_hands_its_run_back_and_no_crash_is_counted(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.fail("results", *[SystemExit(0)] * 5)
    run = new_run()
    for _ in range(5):
        with pytest.raises(SystemExit):
            go(run, fakes)
        run.refresh_from_db()
        assert (run.status, run.step, run.crashes) == (Status.QUEUED, Step.RESULTS_STORAGE, 0)
    assert go(run, fakes).status == Status.SUCCEEDED
    assert len(fakes.fireant.submitted) == 1


def test_a_submission_that_was_left_in_the_middle_is_remembered_as_unknown(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.fail("submit", SystemExit(0))
    run = new_run()
    with pytest.raises(SystemExit):
        go(run, fakes)
    run = go(run, fakes)
    assert (run.status, run.possibly_submitted_twice) == (Status.SUCCEEDED, True)


@pytest.mark.parametrize("on_unknown", ["hold", "resubmit"])
def test_an_unexpected_error_in_a_submission_leaves_its_outcome_unknown(
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
    assert "submitted to Fireant twice" in run.error


def test_what_the_database_cannot_hold_ends_the_run_with_a_reason(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(fakes.fireant), "submit", lambda *_args, **_kwargs: "\ud800")
    run = go(new_run(), fakes)
    assert (run.status, run.error_code, run.step) == (Status.FAILED, "unstorable", Step.EXTERNAL_JOB_SUBMISSION)
