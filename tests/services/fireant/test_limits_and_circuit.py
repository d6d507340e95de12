"""The limits over all clusters, and the circuit that spares a Fireant which is down."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Retryable, Status, Step
from report_orchestrator.exceptions import TransientError
from report_orchestrator.models import ReportRun, RunStep, SharedState, StateName
from report_orchestrator.ports import JobState
from report_orchestrator.services.fireant.circuit_breaker import Circuit, read_circuit, record_outcome
from report_orchestrator.services.fireant.limits import may_start
from report_orchestrator.services.running.poller import poll_due
from report_orchestrator.services.running.worker import advance, run_due
from report_orchestrator.services.upkeep.tick import notify_startable
from report_orchestrator.testing import FakePorts
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db


def go(fakes: FakePorts, settings: Settings) -> None:
    until = fakes.clock.now + timedelta(seconds=1)
    run_due(None, runtime=fakes.runtime(settings), until=until)
    poll_due(runtime=fakes.runtime(settings), until=until)


def wait_for_probe(fakes: FakePorts) -> None:
    probe_at = read_circuit().probe_at
    assert probe_at is not None
    fakes.clock.now = probe_at


def count(status: Status, step: Step | None = None) -> int:
    found = ReportRun.objects.filter(status=status)
    return found.count() if step is None else found.filter(step=step).count()


def down(times: int = 1) -> list[BaseException]:
    return [TransientError("connection refused", code="fireant_unreachable")] * times


def test_no_more_jobs_are_in_flight_than_the_limit(new_run: NewRun, fakes: FakePorts) -> None:
    limited = SettingsFactory.make(FIREANT_MAX_JOBS_IN_FLIGHT=2)
    for job_id in ("101", "102", "103", "104", "105"):
        fakes.fireant.answer(job_id, JobState.RUNNING)
    for _ in range(5):
        new_run()
    go(fakes, limited)
    assert len(fakes.fireant.submitted) == 2
    assert count(Status.QUEUED, Step.EXTERNAL_JOB_SUBMISSION) == 3
    fakes.clock.advance(seconds=70)
    go(fakes, limited)  # two end, and leave their places
    go(fakes, limited)
    assert len(fakes.fireant.submitted) == 4
    assert count(Status.SUCCEEDED) == 2


def test_a_free_place_goes_by_priority_then_by_age(new_run: NewRun, fakes: FakePorts) -> None:
    limited = SettingsFactory.make(FIREANT_MAX_JOBS_IN_FLIGHT=1)
    fakes.fireant.answer("101", JobState.RUNNING)
    runs = [new_run() for _ in range(4)]
    go(fakes, limited)
    ReportRun.objects.filter(pk=runs[3].pk).update(priority=20)
    fakes.clock.advance(seconds=70)
    go(fakes, limited)
    go(fakes, limited)
    order = [reference for _kind, _payload, reference in fakes.fireant.submitted]
    assert order == [runs[index].client_reference for index in (0, 3, 1, 2)]


@pytest.mark.parametrize("limit", ["FIREANT_MAX_JOBS_IN_FLIGHT", "FIREANT_MAX_SUBMITS_PER_MINUTE"])
def test_a_run_that_comes_by_when_a_place_is_free_overtakes_nobody_who_waits_for_it(
    new_run: NewRun, fakes: FakePorts, limit: str
) -> None:
    limited = SettingsFactory.make(**{limit: 1})
    waiting, passing = new_run(), new_run()
    waiting.write(step=Step.EXTERNAL_JOB_SUBMISSION.value)
    advance(passing.pk, runtime=fakes.runtime(limited), in_worker=True)
    assert fakes.fireant.submitted == []
    urgent = new_run()
    urgent.write(priority=20)
    advance(urgent.pk, runtime=fakes.runtime(limited), in_worker=True)
    [(_kind, _payload, reference)] = fakes.fireant.submitted
    assert reference == urgent.client_reference


def test_a_message_that_names_a_run_gives_it_no_place_before_one_that_has_not_begun(
    new_run: NewRun, fakes: FakePorts
) -> None:
    limited = SettingsFactory.make(FIREANT_MAX_JOBS_IN_FLIGHT=2)
    for job_id in ("101", "102"):
        fakes.fireant.answer(job_id, JobState.RUNNING)
    named, older, urgent = new_run(), new_run(), new_run()
    named.write(priority=-1)
    urgent.write(priority=20)
    run_due(named.pk, runtime=fakes.runtime(limited), until=fakes.clock.now + timedelta(seconds=1))
    order = [reference for _kind, _payload, reference in fakes.fireant.submitted]
    assert order == [urgent.client_reference, older.client_reference]


def test_a_foreground_run_takes_a_slot_ahead_of_queued_runs(new_run: NewRun, fakes: FakePorts) -> None:
    limited = SettingsFactory.make(FIREANT_MAX_JOBS_IN_FLIGHT=1)
    waiting, by_hand = new_run(), new_run()
    waiting.write(step=Step.EXTERNAL_JOB_SUBMISSION.value)
    advance(by_hand.pk, runtime=fakes.runtime(limited))
    by_hand.refresh_from_db()
    assert by_hand.status == Status.SUCCEEDED


def test_no_more_submissions_in_a_minute_than_the_limit(new_run: NewRun, fakes: FakePorts) -> None:
    limited = SettingsFactory.make(FIREANT_MAX_SUBMITS_PER_MINUTE=3)
    for _ in range(7):
        new_run()
    submitted = []
    for _ in range(3):
        go(fakes, limited)
        submitted.append(len(fakes.fireant.submitted))
        fakes.clock.advance(seconds=61)
    assert submitted == [3, 6, 7]


def test_runs_that_wait_for_a_slot_send_no_messages(new_run: NewRun, fakes: FakePorts) -> None:
    limited = SettingsFactory.make(FIREANT_MAX_JOBS_IN_FLIGHT=1)
    fakes.fireant.answer("101", JobState.RUNNING)
    new_run(), new_run()
    go(fakes, limited)
    fakes.clock.advance(seconds=30)
    assert notify_startable(runtime=fakes.runtime(limited)) == 0


def test_when_fireant_is_down_nothing_is_used_up_and_everything_resumes_by_itself(
    new_run: NewRun, fakes: FakePorts
) -> None:
    settings = SettingsFactory.make(MAX_RETRIES=1, FIREANT_CIRCUIT_FAILURES=1)
    fakes.fireant.fail("submit", *down(20))
    for _ in range(5):
        new_run()
    go(fakes, settings)
    assert read_circuit().is_open
    for _ in range(10):
        fakes.clock.advance(minutes=6)
        go(fakes, settings)
    assert len(fakes.fireant.failures["submit"]) == 20 - 11  # one probe at a time
    assert not ReportRun.objects.filter(failures__gt=0).exists()
    fakes.fireant.failures.clear()
    for _ in range(3):
        fakes.clock.advance(minutes=6)
        go(fakes, settings)
    assert not read_circuit().is_open
    assert count(Status.SUCCEEDED) == 5


def test_probes_come_from_different_runs(new_run: NewRun, fakes: FakePorts) -> None:
    settings = SettingsFactory.make(FIREANT_CIRCUIT_FAILURES=1)
    runs = [new_run() for _ in range(2)]
    fakes.fireant.fail("submit", *down(3))
    for seconds in (31, 61, 121):
        go(fakes, settings)
        fakes.clock.advance(seconds=seconds)
    attempts = [run.steps.filter(step=Step.EXTERNAL_JOB_SUBMISSION).count() for run in runs]
    assert min(attempts) >= 1


@pytest.mark.parametrize("failing", ["submit", "status", "results"])
def test_a_run_that_waits_alone_carries_every_probe_when_it_is_due(
    new_run: NewRun, fakes: FakePorts, failing: Literal["submit", "status", "results"]
) -> None:
    settings = SettingsFactory.make(FIREANT_CIRCUIT_FAILURES=1, FIREANT_PROBE_SECONDS=30, MAX_RETRIES=1)
    fakes.fireant.fail(failing, *down(4))
    run = new_run()
    go(fakes, settings)
    for left in (3, 2, 1, 0):
        assert len(fakes.fireant.failures[failing]) == left
        wait_for_probe(fakes)
        go(fakes, settings)
    assert not read_circuit().is_open
    run.refresh_from_db()
    assert run.failures == 0
    assert run.error_code == ""


def test_each_failed_probe_doubles_the_wait_for_the_next_up_to_five_minutes(new_run: NewRun, fakes: FakePorts) -> None:
    settings = SettingsFactory.make(FIREANT_CIRCUIT_FAILURES=1, FIREANT_PROBE_SECONDS=30)
    fakes.fireant.fail("submit", *down(7))
    new_run()
    waits = []
    for _ in range(6):
        go(fakes, settings)
        probe_at = read_circuit().probe_at
        assert probe_at is not None
        waits.append((probe_at - fakes.clock.now).total_seconds())
        fakes.clock.now = probe_at
    assert waits == [30, 60, 120, 240, 300, 300]


def test_only_the_probes_own_failure_lengthens_the_wait(new_run: NewRun, fakes: FakePorts) -> None:
    settings = SettingsFactory.make(FIREANT_CIRCUIT_FAILURES=1, FIREANT_PROBE_SECONDS=30)
    opener, prober, sent_before = new_run(), new_run(), new_run()
    for run in (opener, prober, sent_before):
        run.write(step=Step.EXTERNAL_JOB_SUBMISSION.value)
    refused = Retryable(code="fireant_unreachable", error="connection refused")

    def fail(run: ReportRun) -> Circuit:
        record_outcome(run, refused, now=fakes.clock.now, settings=settings)
        return read_circuit()

    wait_for = fail(opener).probe_at
    assert wait_for is not None
    fakes.clock.now = wait_for
    assert may_start(prober, Step.EXTERNAL_JOB_SUBMISSION, now=fakes.clock.now, settings=settings)
    probe_out = read_circuit()
    late = fail(sent_before)
    assert (late.probes, late.probe_at, late.failures) == (0, probe_out.probe_at, 2)
    failed_probe = fail(prober)
    assert (failed_probe.probes, failed_probe.probe_at) == (1, fakes.clock.now + timedelta(seconds=60))


def test_of_a_batch_of_polls_that_failed_one_carries_each_probe_when_it_is_due(
    new_run: NewRun, fakes: FakePorts
) -> None:
    settings = SettingsFactory.make(FIREANT_CIRCUIT_FAILURES=1)
    for job_id in ("101", "102", "103"):
        fakes.fireant.answer(job_id, JobState.RUNNING)
        new_run()
    go(fakes, settings)
    fakes.fireant.fail("status", *down(30))
    fakes.clock.advance(seconds=70)
    go(fakes, settings)
    fakes.fireant.asked.clear()
    for _ in range(3):
        wait_for_probe(fakes)
        go(fakes, settings)
    assert sorted(fakes.fireant.asked) == ["101", "102", "103"]


def test_a_run_that_failed_lets_another_that_waits_carry_the_next_probe(new_run: NewRun, fakes: FakePorts) -> None:
    settings = SettingsFactory.make(FIREANT_CIRCUIT_FAILURES=1)
    runs = [new_run() for _ in range(2)]
    fakes.fireant.fail("submit", *down(5))
    go(fakes, settings)
    for _ in range(4):
        wait_for_probe(fakes)
        go(fakes, settings)
    tried = RunStep.objects.filter(step=Step.EXTERNAL_JOB_SUBMISSION).order_by("pk")
    first, second = (run.pk for run in runs)
    assert list(tried.values_list("run_id", flat=True)) == [first, second, first, second, first]


def test_waiting_runs_are_not_polled_while_fireant_is_down_and_lose_no_polls(new_run: NewRun, fakes: FakePorts) -> None:
    settings = SettingsFactory.make(FIREANT_CIRCUIT_FAILURES=1, MAX_POLL_ATTEMPTS=3)
    for job_id in ("101", "102", "103"):
        fakes.fireant.answer(job_id, JobState.RUNNING)
        new_run()
    go(fakes, settings)
    fakes.fireant.fail("status", *down(30))
    fakes.clock.advance(seconds=70)
    go(fakes, settings)
    requested = len(fakes.fireant.asked)
    for _ in range(5):
        fakes.clock.advance(minutes=6)
        go(fakes, settings)
    assert len(fakes.fireant.asked) - requested == 5  # one probe at a time
    assert set(ReportRun.objects.values_list("status", "polls")) == {("deferred", 1)}
    fakes.fireant.failures.clear()
    for _ in range(3):
        fakes.clock.advance(minutes=12)
        go(fakes, settings)
    assert count(Status.SUCCEEDED) == 3


def test_failures_of_single_reports_do_not_open_the_circuit(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.fail("submit", *[TransientError("oops", code="fireant_429")] * 4)
    for _ in range(4):
        new_run()
    go(fakes, SettingsFactory.make(FIREANT_CIRCUIT_FAILURES=1))
    assert not read_circuit().is_open


def test_a_success_in_between_starts_the_count_anew(new_run: NewRun, fakes: FakePorts) -> None:
    settings = SettingsFactory.make(FIREANT_CIRCUIT_FAILURES=2)
    for _ in range(3):
        fakes.fireant.fail("submit", *down())
        new_run()
        go(fakes, settings)
        new_run()
        go(fakes, settings)
    assert not read_circuit().is_open


@pytest.mark.parametrize("lost", [False, True])
def test_a_runs_row_is_locked_before_those_that_all_runs_share(new_run: NewRun, fakes: FakePorts, lost: bool) -> None:
    """A worker that goes on and one that rescues its run meet in the same order, so neither waits for the other in a circle."""
    limited = SettingsFactory.make(FIREANT_MAX_JOBS_IN_FLIGHT=1)
    run = new_run()
    if lost:
        run.write(
            status=Status.RUNNING.value,
            step=Step.EXTERNAL_JOB_SUBMISSION.value,
            worker="dead",
            attempt=1,
            wake_at=fakes.clock.now - timedelta(seconds=1),
        )
        RunStep.objects.create(run=run, step=run.step, attempt=1, started_at=fakes.clock.now)
    with CaptureQueriesContext(connection) as captured:
        advance(run.pk, runtime=fakes.runtime(limited))
    touched = [_row_of(query["sql"]) for query in captured]
    shared = touched.index("mutex")
    begun = max(index for index, row in enumerate(touched[:shared]) if row == "begin")
    assert "run" in touched[begun:shared], captured.captured_queries


def _row_of(sql: str) -> str:
    if sql.startswith(("BEGIN", "SAVEPOINT")):
        return "begin"
    if "mutex: fireant gate" in sql:
        return "mutex"
    return "run" if "orchestrator_reportrun" in sql and "version" in sql and "WHERE" in sql else "other"


def test_a_result_that_is_stored_already_closes_no_circuit_and_a_download_does(
    new_run: NewRun, fakes: FakePorts
) -> None:
    runtime = fakes.runtime()
    run = new_run()
    advance(run.pk, runtime=runtime)

    def store_again() -> bool:
        again = {"status": Status.QUEUED, "step": Step.RESULTS_STORAGE, "wake_at": fakes.clock(), "ended_at": None}
        ReportRun.objects.filter(pk=run.pk).update(**again)
        SharedState.objects.record(StateName.CIRCUIT, now=fakes.clock(), detail={"failures": 3})
        SharedState.objects.filter(name=StateName.CIRCUIT).update(due_at=fakes.clock())
        advance(run.pk, runtime=runtime)
        assert ReportRun.objects.get().status == Status.SUCCEEDED
        return read_circuit().is_open

    assert store_again()
    fakes.store.files.clear()
    assert not store_again()
