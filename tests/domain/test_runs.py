"""The transition table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from report_orchestrator.domain.runs import (
    Completed,
    Failed,
    Outcome,
    Policy,
    Position,
    Retryable,
    Status,
    Step,
    Transition,
    Waiting,
    transition,
)

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
POLICY = Policy(max_retries=3, max_polls=5, poll_interval=timedelta(seconds=60), retry_base=timedelta(seconds=10))


def reach(position: Position, outcome: Outcome, jitter: float = 0.5) -> Transition:
    return transition(position, outcome, now=NOW, policy=POLICY, jitter=jitter)


def test_the_steps_come_in_the_order_of_the_pipeline() -> None:
    walked = []
    step: Step | None = Step.REPORT_DATA
    while step is not None:
        walked.append(step.value)
        step = step.following
    assert walked == [
        "report_data",
        "external_job_submission",
        "local_job_record",
        "job_completion_status",
        "results_storage",
    ]


@pytest.mark.parametrize("step", list(Step)[:-1])
def test_a_completed_step_leads_to_the_next_without_a_wait(step: Step) -> None:
    reached = reach(Position(step=step, failures=2, polls=1), Completed())
    assert reached.status == Status.RUNNING
    assert reached.step == step.following
    assert reached.failures == 0
    assert reached.wake_at is None


def test_the_last_step_completed_is_success() -> None:
    assert reach(Position(step=Step.RESULTS_STORAGE), Completed()).status == Status.SUCCEEDED


def test_waiting_uses_up_a_poll_and_never_a_retry() -> None:
    reached = reach(Position(step=Step.JOB_COMPLETION_STATUS, failures=2, polls=1), Waiting())
    assert (reached.status, reached.polls, reached.failures) == (Status.DEFERRED, 2, 0)
    assert reached.wake_at == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 54), (0.999999, 66)])
def test_polls_are_spread_by_a_tenth_either_way(jitter: float, seconds: float) -> None:
    reached = reach(Position(step=Step.JOB_COMPLETION_STATUS), Waiting(), jitter)
    assert reached.wake_at is not None
    assert (reached.wake_at - NOW).total_seconds() == pytest.approx(seconds, abs=0.01)


def test_the_last_poll_attempt_times_the_run_out_and_says_what_to_do() -> None:
    reached = reach(Position(step=Step.JOB_COMPLETION_STATUS, polls=4), Waiting())
    assert (reached.status, reached.wake_at) == (Status.TIMED_OUT, None)
    assert "MAX_POLL_ATTEMPTS" in reached.error


def test_a_transient_failure_is_retried_later_and_later() -> None:
    waits = []
    position = Position(step=Step.EXTERNAL_JOB_SUBMISSION)
    for _ in range(3):
        reached = reach(position, Retryable(code="fireant_503", error="busy"), jitter=0.0)
        assert reached.status == Status.UP_FOR_RETRY
        assert reached.wake_at is not None
        waits.append((reached.wake_at - NOW).total_seconds())
        position = Position(step=reached.step, failures=reached.failures)
    assert waits == [5.0, 10.0, 20.0]


def test_the_retries_used_up_end_the_run_with_the_last_error() -> None:
    reached = reach(Position(step=Step.REPORT_DATA, failures=3), Retryable(code="fireant_503", error="busy"))
    assert (reached.status, reached.code, reached.error) == (Status.FAILED, "fireant_503", "busy (tried 4 times)")


def test_a_wait_that_the_service_requests_is_not_undercut() -> None:
    outcome = Retryable(code="fireant_429", error="slow down", retry_after=timedelta(minutes=5))
    assert reach(Position(step=Step.REPORT_DATA), outcome).wake_at == NOW + timedelta(minutes=5)


def test_an_absurd_wait_is_cut_to_six_hours() -> None:
    outcome = Retryable(code="fireant_429", error="slow down", retry_after=timedelta(days=400))
    assert reach(Position(step=Step.REPORT_DATA), outcome).wake_at == NOW + timedelta(hours=6)


def test_a_definite_failure_ends_the_run_at_its_step() -> None:
    reached = reach(Position(step=Step.LOCAL_JOB_RECORD, polls=2), Failed(code="job_record", error="no such field"))
    assert reached == Transition(
        status=Status.FAILED,
        step=Step.LOCAL_JOB_RECORD,
        failures=0,
        polls=2,
        wake_at=None,
        code="job_record",
        error="no such field",
    )
