"""The actions of a person on a run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.exceptions import FireantError, NotPossibleError, StorageError, SubmissionUnknownError
from report_orchestrator.models import Intervention, ReportRun
from report_orchestrator.ports import JobState
from report_orchestrator.services.operator_actions import cancel_run, retry_run
from report_orchestrator.services.reports.run_history import recent_runs
from report_orchestrator.services.running.poller import poll_due
from report_orchestrator.services.running.worker import advance
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
SETTINGS = SettingsFactory.make()


def go(run: ReportRun, fakes: FakePorts, **given: object) -> ReportRun:
    advance(run.pk, runtime=fakes.runtime(SettingsFactory.make(**given)))
    run.refresh_from_db()
    return run


def retried(run: ReportRun, fakes: FakePorts) -> ReportRun:
    return go(retry_run(run.pk, actor="ann", runtime=fakes.runtime(), reason="why not"), fakes)


def test_a_failed_run_goes_on_from_the_step_that_failed(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.store.failures.append(StorageError("no such lakehouse"))
    run = go(new_run(), fakes)
    assert (run.status, run.step) == (Status.FAILED, Step.RESULTS_STORAGE)
    run = retried(run, fakes)
    assert run.status == Status.SUCCEEDED
    assert len(fakes.fireant.submitted) == 1
    steps = list(run.steps.values_list("step", "attempt", "result").order_by("pk"))[-2:]
    assert steps == [("results_storage", 1, "failed"), ("results_storage", 2, "completed")]
    made = Intervention.objects.get(kind="retried")
    assert (made.kind, made.actor, made.reason) == ("retried", "ann", "why not")


def test_only_the_time_since_the_last_retry_counts_as_work(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.store.failures += [StorageError("no such lakehouse")] * 2
    fakes.fireant.answer("101", JobState.RUNNING)
    run = go(new_run(), fakes)
    fakes.clock.advance(minutes=4)
    poll_due(runtime=fakes.runtime(), until=fakes.clock.now + timedelta(seconds=1))
    run = go(run, fakes)
    assert (run.status, run.duration(fakes.clock.now), run.idle) == (Status.FAILED, timedelta(minutes=4), None)
    fakes.clock.advance(hours=9)
    assert run.seconds == 240
    run = retried(run, fakes)
    assert (run.status, run.seconds) == (Status.FAILED, 0)
    fakes.clock.advance(hours=9)
    retry_run(run.pk, actor="ann", runtime=fakes.runtime())
    fakes.clock.advance(minutes=1)  # it waits for a worker
    run = go(run, fakes)
    assert (run.status, run.seconds, run.idle) == (Status.SUCCEEDED, 60, timedelta(hours=18, minutes=4))
    assert run.retried_at == fakes.clock.now - timedelta(minutes=1)
    [past] = recent_runs(run.schedule_id, 1)
    assert past.duration == run.duration(fakes.clock.now) == timedelta(minutes=1)


def test_a_failed_job_is_submitted_anew_from_the_report_as_it_is_now(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.FAILED)
    run = go(new_run(), fakes)
    assert (run.status, run.fireant_status, run.polls) == (Status.FAILED, "Failed", 1)
    fakes.reports.reports["1"] = geo_report("1", fields={"name": "Corrected"})
    run = retried(run, fakes)
    assert (run.status, run.fireant_job_id, run.fireant_status, run.polls) == (Status.SUCCEEDED, "102", "Finished", 1)
    references = [reference for _kind, _payload, reference in fakes.fireant.submitted]
    assert references == [f"{run.reference}-1", f"{run.reference}-2"]
    assert fakes.fireant.submitted[1][1]["name"] == "Corrected"
    attempts = list(run.steps.filter(step=Step.LOCAL_JOB_RECORD).values_list("attempt", flat=True))
    assert attempts == [1, 2]


def test_a_refused_submission_is_made_from_the_report_as_it_is_now(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.fail("submit", FireantError("bad ncores", code="fireant_422"))
    run = go(new_run(), fakes)
    fakes.reports.reports["1"] = geo_report("1", fields={"name": "Corrected"})
    run = retried(run, fakes)
    [(_kind, payload, reference)] = fakes.fireant.submitted
    assert (run.status, payload["name"], reference) == (Status.SUCCEEDED, "Corrected", f"{run.reference}-2")


def test_a_run_on_hold_is_released_under_its_own_reference(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.fail("submit", SubmissionUnknownError("no answer"))
    run = go(new_run(), fakes, FIREANT_ON_UNKNOWN="hold")
    assert run.error_code == "submission_unknown"
    retry_run(run.pk, actor="ann", runtime=fakes.runtime())
    run = go(run, fakes, FIREANT_ON_UNKNOWN="hold")
    assert (run.status, run.possibly_submitted_twice) == (Status.SUCCEEDED, True)
    assert [reference for _kind, _payload, reference in fakes.fireant.submitted] == [f"{run.reference}-1"]


def test_a_job_that_is_submitted_anew_leaves_nothing_noted_of_the_earlier_ones_result(
    new_run: NewRun, fakes: FakePorts
) -> None:
    fakes.store.failures.append(FireantError("no result any more", code="no_result"))
    run = go(new_run(), fakes)
    assert (run.status, run.step) == (Status.FAILED, Step.RESULTS_STORAGE)
    run.write(results_path="there", result_size=7, result_sha256="f" * 64, result_etag="0x1")
    retry_run(run.pk, actor="ann", runtime=fakes.runtime())
    run.refresh_from_db()
    assert (run.results_path, run.result_size, run.result_sha256, run.result_etag) == ("", None, "", "")


def test_a_retry_that_keeps_its_job_keeps_what_was_noted(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.store.failures.append(StorageError("no such lakehouse"))
    run = go(new_run(), fakes)
    run.write(result_size=7, result_sha256="f" * 64, result_etag="0x1")
    retry_run(run.pk, actor="ann", runtime=fakes.runtime())
    run.refresh_from_db()
    assert (run.result_size, run.result_sha256, run.result_etag) == (7, "f" * 64, "0x1")


def test_a_timed_out_run_gets_all_its_polls_anew(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.RUNNING, JobState.RUNNING)
    run = go(new_run(), fakes, MAX_POLL_ATTEMPTS=1)
    assert run.status == Status.TIMED_OUT
    run = retried(run, fakes)
    assert (run.status, run.polls, run.submission) == (Status.DEFERRED, 1, 1)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.DEFERRED, Status.CANCELED])
def test_only_what_failed_can_be_retried(new_run: NewRun, fakes: FakePorts, status: Status) -> None:
    run = new_run()
    if status == Status.DEFERRED:
        fakes.fireant.answer("101", JobState.RUNNING)
    if status == Status.CANCELED:
        cancel_run(run.pk, actor="ann", runtime=fakes.runtime())
    go(run, fakes)
    with pytest.raises(NotPossibleError, match="cannot be retried"):
        retry_run(run.pk, actor="ann", runtime=fakes.runtime())
    assert ReportRun.objects.get(pk=run.pk).status == status


def test_a_waiting_run_is_canceled_and_never_polled_again(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.answer("101", JobState.RUNNING)
    run = go(new_run(), fakes)
    cancel_run(run.pk, actor="ann", runtime=fakes.runtime(), reason="wrong group")
    run.refresh_from_db()
    assert (run.status, run.wake_at, run.error) == (Status.CANCELED, None, "Canceled by ann. Reason: wrong group")
    assert run.steps.order_by("pk").last().result == "canceled"  # type: ignore[union-attr]  # there are steps


def test_a_cancellation_wins_over_the_worker_that_is_busy_with_the_run(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()
    submit = type(fakes.fireant).submit

    def submit_while_canceled(*args: object, **kwargs: object) -> str:
        cancel_run(run.pk, actor="ann", runtime=fakes.runtime())
        return submit(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(type(fakes.fireant), "submit", submit_while_canceled)
    run = go(run, fakes)
    assert (run.status, run.fireant_job_id) == (Status.CANCELED, "")


def test_what_has_ended_cannot_be_canceled(new_run: NewRun, fakes: FakePorts) -> None:
    run = go(new_run(), fakes)
    with pytest.raises(NotPossibleError, match="has already ended: succeeded"):
        cancel_run(run.pk, actor="ann", runtime=fakes.runtime())


def test_a_run_that_is_not_there_is_named(fakes: FakePorts) -> None:
    with pytest.raises(NotPossibleError, match="Run 4711 does not exist"):
        retry_run(4711, actor="ann", runtime=fakes.runtime())
