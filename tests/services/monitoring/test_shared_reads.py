"""Many threads with one question share one read, also if it is slow or fails."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from report_orchestrator.services.monitoring.live_reads import SharedReads

LONG = 20  # seconds, until a test gives up


def test_a_slow_read_delays_no_other_question() -> None:
    reads, begun, go_on = SharedReads(seconds=0), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        go_on.wait(LONG)
        return "slow"

    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(reads.get, "slow", slow)
        assert begun.wait(LONG)
        try:
            other = pool.submit(reads.get, "other", lambda: "other")
            assert other.result(timeout=5) == "other"
        finally:
            go_on.set()
        assert waiting.result(LONG) == "slow"


def test_a_read_that_fails_leaves_the_next_one_to_try_again() -> None:
    reads = SharedReads(seconds=600)

    def fail() -> str:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        reads.get("question", fail)
    assert reads.get("question", lambda: "answer") == "answer"
