"""Requests and answers that are lost leave one whole file or none."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator

import pytest

from report_orchestrator.adapters.onelake.connection import PIECE
from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.exceptions import OrchestratorError, TransientError
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake.faults import LakeEndpoint, LakeFaultKind
from tests.support.onelake_faults import (
    CONTENT,
    FOR_EVER,
    LARGE,
    LONG,
    ONE_WRITE,
    PATH,
    Reader,
    assert_stored,
    failed_write,
)

pytestmark = pytest.mark.slow


def test_a_reader_would_see_a_store_that_takes_no_care(sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
    careless = Reader(sandbox)
    sandbox.observe = careless.look

    store._connection.send(
        lambda lake: lake.get_file_client(store._address.final(PATH)).upload_data(CONTENT, overwrite=True)
    )

    with pytest.raises(AssertionError):
        careless.assert_only_whole_files_were_seen(CONTENT)


@pytest.mark.parametrize("seed", range(20))
def test_any_series_of_faults_ends_in_one_whole_file(sandbox: OneLakeSandbox, store: OneLakeStore, seed: int) -> None:
    chance = random.Random(seed)
    kinds: tuple[LakeFaultKind, ...] = ("reset", "reset_after_work", "expired_token", "status_code")
    for endpoint in chance.choices(ONE_WRITE, k=6):
        kind = chance.choice(kinds)
        status = chance.choice((404, 409, 412, 429, 500, 503)) if kind == "status_code" else None
        sandbox.faults.add(endpoint, kind, times=chance.randint(1, 2), status=status)

    # Each attempt that fails has used up a fault at least.
    for _ in range(13):
        try:
            store.write(PATH, [CONTENT])
        except OrchestratorError:  # transient, or mended by a person
            continue
        break

    sandbox.faults.clear()  # those behind the write that succeeded
    assert_stored(sandbox, store)


class TestALostAnswer:
    """The request was processed, but its response was lost."""

    @pytest.mark.parametrize("endpoint", ONE_WRITE)
    def test_of_any_request_does_not_matter(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint
    ) -> None:
        sandbox.faults.add(endpoint, "reset_after_work")

        assert_stored(sandbox, store)

    @pytest.mark.parametrize("endpoint", ONE_WRITE)
    def test_that_comes_too_late_does_not_matter(
        self, sandbox: OneLakeSandbox, hasty: OneLakeStore, endpoint: LakeEndpoint
    ) -> None:
        sandbox.faults.add(endpoint, "stall", seconds=FOR_EVER)

        assert_stored(sandbox, hasty)

    @pytest.mark.parametrize("endpoint", ["flush", "rename"])
    def test_followed_by_silence_is_settled_by_the_next_attempt(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint
    ) -> None:
        def then_silence() -> Iterator[bytes]:
            yield CONTENT
            sandbox.faults.add(endpoint, "reset_after_work")
            sandbox.faults.add("head", "reset", times=2)

        with pytest.raises(TransientError, match="did not respond"):
            store.write(PATH, then_silence())

        assert_stored(sandbox, store)
        assert sandbox.requests["rename"] == 1

    @pytest.mark.parametrize("endpoint", ["create", "flush", "rename"])
    @pytest.mark.parametrize("status", [500, 502, 503, 504, 404, 409, 412])
    def test_that_a_gateway_replaces_by_an_error_does_not_matter(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint, status: int
    ) -> None:
        sandbox.faults.add(endpoint, "status_after_work", status=status)

        assert_stored(sandbox, store)


class TestALostRequest:
    """The request was lost before it was processed."""

    @pytest.mark.parametrize("endpoint", ["create_folder", "append", "head"])
    def test_that_can_be_sent_twice_is(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint
    ) -> None:
        sandbox.faults.add(endpoint, "reset")

        assert_stored(sandbox, store)

    @pytest.mark.parametrize(("endpoint", "times"), [("create", 1), ("flush", 1), ("rename", 1), ("append", 2)])
    def test_otherwise_takes_another_attempt(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint, times: int
    ) -> None:
        sandbox.faults.add(endpoint, "reset", times=times)

        error = failed_write(sandbox, store)

        assert isinstance(error, TransientError)
        assert error.code == "onelake_no_answer"
        assert_stored(sandbox, store)

    def test_of_a_large_result_is_sent_twice_too(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        sandbox.faults.add("append", "reset")

        stored = store.write(PATH, [LARGE])

        assert stored.sha256 == hashlib.sha256(LARGE).hexdigest()
        assert_stored(sandbox, store, LARGE)

    def test_in_mid_file_takes_another_attempt(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        def lose_the_second_append() -> None:
            if sandbox.requests["append"] == 1 and not sandbox.faults.fired:
                sandbox.observe = lambda: None
                sandbox.faults.add("append", "reset", times=2)

        sandbox.observe = lose_the_second_append

        with pytest.raises(TransientError, match="did not respond"):
            store.write(PATH, [b"x" * PIECE, b"y"])

        assert sandbox.requests["append"] == 3
        assert_stored(sandbox, store)

    def test_a_lake_that_stays_silent_is_not_waited_for_long(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, hasty: OneLakeStore
    ) -> None:
        sandbox.faults.add("append", "stall", seconds=FOR_EVER, times=2)

        began_at = time.monotonic()
        error = failed_write(sandbox, hasty)

        assert time.monotonic() - began_at < LONG
        assert isinstance(error, TransientError)
        assert sandbox.requests["append"] == 2
        assert_stored(sandbox, store)

    def test_an_outage_passes(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        sandbox.stop()
        try:
            error = failed_write(sandbox, store)
        finally:
            sandbox.start()

        assert isinstance(error, TransientError)
        assert_stored(sandbox, store)
