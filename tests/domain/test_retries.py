"""Backoff."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from report_orchestrator.domain.retries import LONGEST_BACKOFF, backoff

BASE = timedelta(seconds=10)


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=0, max_value=0.999))
def test_a_wait_is_never_longer_than_the_longest_and_never_none(failures: int, jitter: float) -> None:
    wait = backoff(failures, base=BASE, jitter=jitter)
    assert BASE / 2 <= wait <= LONGEST_BACKOFF


@given(st.floats(min_value=0, max_value=0.999))
def test_a_wait_that_was_requested_is_a_floor(jitter: float) -> None:
    requested = timedelta(minutes=30)
    assert backoff(1, base=BASE, retry_after=requested, jitter=jitter) == requested
