"""Work in a thread keeps the lease of the thread that waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from report_orchestrator.adapters import background_thread
from report_orchestrator.adapters.background_thread import with_heartbeat
from report_orchestrator.exceptions import LeaseLostError


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_thread, "HEARTBEAT_SECONDS", 0.01)


def test_a_slow_store_keeps_the_lease_while_a_piece_is_awaited() -> None:
    enough = threading.Event()
    beats: list[int] = []

    def slow() -> Iterator[bytes]:
        yield b"1"
        assert enough.wait(10)
        yield b"2"

    def heartbeat() -> None:
        beats.append(1)
        if len(beats) > 5:
            enough.set()

    assert list(with_heartbeat(slow(), heartbeat)) == [b"1", b"2"]
    assert len(beats) > 5


def test_a_lost_lease_ends_the_wait_for_a_silent_store() -> None:
    over = threading.Event()

    def silent() -> Iterator[bytes]:
        over.wait(10)
        yield b""

    def lost() -> None:
        raise LeaseLostError

    with pytest.raises(LeaseLostError):
        next(with_heartbeat(silent(), lost))
    over.set()


def test_an_error_of_the_store_is_raised_where_it_is_read() -> None:
    def broken() -> Iterator[bytes]:
        yield b"1"
        raise OSError("gone")

    pieces = with_heartbeat(broken(), lambda: None)
    assert next(pieces) == b"1"
    with pytest.raises(OSError, match="gone"):
        next(pieces)
