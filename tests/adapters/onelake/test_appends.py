"""Pieces of a result are appended side by side, and none outlives its write."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from report_orchestrator.adapters.onelake.appends import APPENDS_AT_ONCE, append_all, pieces
from report_orchestrator.exceptions import LeaseLostError


class SourceFailedError(Exception):
    """Fireant's stream broke off."""


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (4,), (3, 1), (3, 2), (9,), (1, 0, 8, 2), (1,) * 11])
def test_pieces_are_the_same_bytes_in_equal_portions(sizes: tuple[int, ...]) -> None:
    letters = itertools.cycle(b"abcdefg")
    chunks = [bytes(itertools.islice(letters, size)) for size in sizes]

    made = list(pieces(chunks, 4))

    assert b"".join(made) == b"".join(chunks)
    assert all(len(piece) == 4 for piece in made[:-1])
    assert all(0 < len(piece) <= 4 for piece in made)


class TestAppends:
    def test_go_on_while_the_lake_answers_the_last_one(self) -> None:
        """The third piece is read when the first is done, and not before: memory holds no more than a few."""
        at_once, read = threading.Barrier(APPENDS_AT_ONCE, timeout=10), 0
        given: list[tuple[bytes, int]] = []

        def append(piece: bytes, offset: int) -> None:
            at_once.wait()  # passes only where two are under way
            given.append((piece, offset))

        def letters() -> Iterator[bytes]:
            nonlocal read
            for letter in (b"a", b"b", b"c", b"d"):
                assert read <= len(given) + APPENDS_AT_ONCE
                read += 1
                yield letter

        assert append_all(letters(), append, go_on) == 4
        assert sorted(given) == [(b"a", 0), (b"b", 1), (b"c", 2), (b"d", 3)]

    def test_that_fail_end_the_rest(self) -> None:
        begun: list[int] = []

        def append(piece: bytes, offset: int) -> None:
            begun.append(offset)
            raise SourceFailedError

        with pytest.raises(SourceFailedError):
            append_all([b"x"] * 100, append, go_on)

        assert len(begun) <= APPENDS_AT_ONCE

    def test_under_way_do_not_hold_up_a_worker_that_is_ended(self) -> None:
        release = threading.Event()

        def ended() -> Iterator[bytes]:
            yield b"x"
            raise SystemExit

        with pytest.raises(SystemExit):
            append_all(ended(), lambda _piece, _offset: assert_released(release), go_on)
        release.set()

    def test_keep_the_lease_while_one_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("report_orchestrator.adapters.background_thread.HEARTBEAT_SECONDS", 0.01)
        first, last = threading.Event(), threading.Event()
        caller, kept = threading.current_thread(), list[threading.Thread]()

        def append(_piece: bytes, offset: int) -> None:
            assert_released(last if offset == APPENDS_AT_ONCE else first)

        def heartbeat() -> None:
            kept.append(threading.current_thread())
            (first if len(kept) < 3 else last).set()

        assert append_all([b"x"] * (APPENDS_AT_ONCE + 1), append, heartbeat) == APPENDS_AT_ONCE + 1
        assert set(kept) == {caller}

    def test_under_way_are_done_before_a_lost_lease_is_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Otherwise one of them would meet the removal of its file."""
        monkeypatch.setattr("report_orchestrator.adapters.background_thread.HEARTBEAT_SECONDS", 0.01)
        release, done = threading.Event(), list[int]()

        def append(_piece: bytes, offset: int) -> None:
            assert_released(release)
            done.append(offset)

        def heartbeat() -> None:
            threading.Timer(0.1, release.set).start()
            raise LeaseLostError

        with pytest.raises(LeaseLostError):
            append_all([b"x"] * 9, append, heartbeat)
        assert sorted(done) == list(range(APPENDS_AT_ONCE))

    def test_that_a_lake_never_answers_do_not_keep_a_process_from_ending(self) -> None:
        program = """
import threading
from report_orchestrator.adapters.onelake.appends import append_all
begun = threading.Event()
def append(_piece, _offset):
    begun.set()
    threading.Event().wait()
def pieces():
    yield b"x"
    begun.wait()
    raise SystemExit(7)
append_all(pieces(), append, lambda: None)
"""
        ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
        assert ended.returncode == 7


def go_on() -> None:
    """No lease has to be kept."""


def assert_released(release: threading.Event) -> None:
    assert release.wait(10)
