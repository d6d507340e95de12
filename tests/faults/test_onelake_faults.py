"""Whatever goes wrong between a worker and the lake, a reader sees one whole file or none.

Every fault must have fired, and a reader looks after the work of every single request.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from report_orchestrator.adapters.onelake import OneLakeStore
from report_orchestrator.adapters.onelake_address import TEMPORARY
from report_orchestrator.adapters.onelake_client import PIECE
from report_orchestrator.conf import parse_settings
from report_orchestrator.exceptions import (
    ConfigurationError,
    OrchestratorError,
    StorageError,
    TransientError,
)
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake_faults import LakeEndpoint, LakeFaultKind

PATH = "7/2026-07-01/0b1c.json"
FOLDER = "Files/report_results"
CONTENT = b"a small result"
LARGE = b"x" * PIECE + b"y"
ANOTHER = b"what another attempt has stored"

SHORT = 0.4  # seconds that the store waits for an answer
FOR_EVER = 3600.0  # seconds; a stall ends with the sandbox

ONE_WRITE: tuple[LakeEndpoint, ...] = ("create_folder", "create", "append", "flush", "rename", "head")


class Reader:
    """Somebody who lists the results at the worst moments, from many threads."""

    def __init__(self, sandbox: OneLakeSandbox) -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self.seen: list[Mapping[str, int]] = []

    def look(self) -> None:
        listing = self._sandbox.listing(FOLDER)
        with self._lock:
            self.seen.append(listing)

    def assert_only_whole_files_were_seen(self, *contents: bytes) -> None:
        """I4: nothing else than no file, or one file with all of one of the contents; and never less than before."""
        whole = [{PATH: len(content)} for content in contents]
        assert all(listing == {} or listing in whole for listing in self.seen), self.seen
        there = [listing != {} for listing in self.seen]
        assert there == sorted(there)


@pytest.fixture(scope="module")
def running() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: OneLakeSandbox) -> Iterator[OneLakeSandbox]:
    running.clear()
    yield running
    running.observe = lambda: None
    running.faults.assert_all_fired()


@pytest.fixture
def reader(sandbox: OneLakeSandbox) -> Iterator[Reader]:
    """Looks at every request, and judges at the end of every test."""
    reader = Reader(sandbox)
    sandbox.observe = reader.look
    yield reader
    reader.assert_only_whole_files_were_seen(CONTENT, ANOTHER, LARGE)


def new_store(sandbox: OneLakeSandbox, **changes: object) -> OneLakeStore:
    given = {**sandbox.settings_overrides(), "TIMEOUT_SECONDS": 10, **changes}
    settings, problems = parse_settings(given, {})
    assert problems == []
    return OneLakeStore(settings)


@pytest.fixture
def store(sandbox: OneLakeSandbox, reader: Reader) -> Iterator[OneLakeStore]:
    store = new_store(sandbox)
    yield store
    store.close()


@pytest.fixture
def hasty(sandbox: OneLakeSandbox, reader: Reader) -> Iterator[OneLakeStore]:
    """A store that knows the way already, and that waits for an answer no longer than it must."""
    store = new_store(sandbox, TIMEOUT_SECONDS=SHORT)
    store.sweep(timedelta(0))
    yield store
    store.close()


def assert_stored(sandbox: OneLakeSandbox, store: OneLakeStore, content: bytes = CONTENT) -> None:
    """The next attempt, or this one's repetition, finds or makes the one file."""
    stored = store.write(PATH, [CONTENT])
    assert (stored.size, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert sandbox.listing(FOLDER) == {PATH: len(content)}
    assert sandbox.content(f"{FOLDER}/{PATH}") == content


def failed_write(sandbox: OneLakeSandbox, store: OneLakeStore) -> OrchestratorError:
    """What a write raises that leaves no result behind."""
    with pytest.raises(OrchestratorError) as raised:
        store.write(PATH, [CONTENT])
    assert sandbox.options.client_secret not in str(raised.value)
    assert sandbox.listing(FOLDER) == {}
    return raised.value


def test_a_reader_would_see_a_store_that_takes_no_care(sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
    careless = Reader(sandbox)
    sandbox.observe = careless.look

    store._connection.send(
        lambda lake: lake.get_file_client(store._address.final(PATH)).upload_data(CONTENT, overwrite=True)
    )

    with pytest.raises(AssertionError):
        careless.assert_only_whole_files_were_seen(CONTENT)


@pytest.mark.parametrize("seed", range(20))
def test_any_series_of_faults_ends_in_one_whole_file(
    sandbox: OneLakeSandbox, store: OneLakeStore, seed: int
) -> None:
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
    """The work was done, and nobody was told."""

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

        with pytest.raises(TransientError, match="no answer"):
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
    """The work was not done, and nobody was told."""

    @pytest.mark.parametrize("endpoint", ["create_folder", "append", "head"])
    def test_that_can_be_sent_twice_is(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint
    ) -> None:
        sandbox.faults.add(endpoint, "reset")

        assert_stored(sandbox, store)

    @pytest.mark.parametrize(
        ("endpoint", "times"), [("create", 1), ("flush", 1), ("rename", 1), ("append", 2)]
    )
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
        def chunks() -> Iterator[bytes]:
            yield b"x" * PIECE
            sandbox.faults.add("append", "reset", times=2)
            yield b"y"

        with pytest.raises(TransientError, match="no answer"):
            store.write(PATH, chunks())

        assert sandbox.requests["append"] == 3
        assert_stored(sandbox, store)

    def test_a_lake_that_stays_silent_is_not_waited_for_long(
        self, sandbox: OneLakeSandbox, hasty: OneLakeStore
    ) -> None:
        sandbox.faults.add("append", "stall", seconds=FOR_EVER, times=2)

        began_at = time.monotonic()
        error = failed_write(sandbox, hasty)

        assert time.monotonic() - began_at < 20 * SHORT
        assert isinstance(error, TransientError)
        assert sandbox.requests["append"] == 2
        assert_stored(sandbox, hasty)

    def test_an_outage_passes(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        sandbox.stop()
        try:
            error = failed_write(sandbox, store)
        finally:
            sandbox.start()

        assert isinstance(error, TransientError)
        assert_stored(sandbox, store)


class TestARefusalThatPasses:
    @pytest.mark.parametrize("endpoint", ONE_WRITE)
    @pytest.mark.parametrize(
        ("fault", "code", "seconds"),
        [
            ({"status": 429, "retry_after": "7"}, "onelake_429", 7),
            (
                {"status": 429, "error_code": "CapacityLimitExceeded", "retry_after": "30"},
                "onelake_at_capacity",
                30,
            ),
            ({"status": 430, "error_code": "CapacityLimitExceeded"}, "onelake_at_capacity", None),
            ({"status": 503, "error_code": "ServerBusy", "retry_after": "2"}, "onelake_503", 2),
            ({"status": 500}, "onelake_500", None),
            ({"status": 502, "text": "<html>Bad gateway</html>"}, "onelake_502", None),
            ({"status": 507}, "no_space", None),
        ],
    )
    def test_takes_another_attempt_at_the_time_that_was_asked_for(
        self,
        sandbox: OneLakeSandbox,
        store: OneLakeStore,
        endpoint: LakeEndpoint,
        fault: dict[str, Any],
        code: str,
        seconds: int | None,
    ) -> None:
        sandbox.faults.add(endpoint, "status_code", **fault)

        error = failed_write(sandbox, store)

        assert isinstance(error, TransientError)
        assert (error.code, error.retry_after) == (code, seconds and timedelta(seconds=seconds))
        assert_stored(sandbox, store)

    @pytest.mark.parametrize("endpoint", ["create", "append", "flush", "rename"])
    @pytest.mark.parametrize(
        ("status", "word"),
        [(404, "PathNotFound"), (409, "PathAlreadyExists"), (412, "ConditionNotMet")],
    )
    def test_that_belongs_to_another_attempt_takes_a_new_one(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint, status: int, word: str
    ) -> None:
        sandbox.faults.add(endpoint, "status_code", status=status, error_code=word)

        error = failed_write(sandbox, store)

        assert isinstance(error, TransientError)
        assert word in error.message
        assert_stored(sandbox, store)

    def test_at_capacity_the_lake_is_not_asked_for_more(
        self, sandbox: OneLakeSandbox, store: OneLakeStore
    ) -> None:
        sandbox.faults.add("rename", "status_code", status=503, error_code="CapacityLimitExceeded")

        failed_write(sandbox, store)

        assert sandbox.requests["head"] == 2  # before the write, and after the flush
        assert_stored(sandbox, store)

    def test_a_temporary_file_that_was_swept_away_takes_a_new_attempt(
        self, sandbox: OneLakeSandbox, store: OneLakeStore
    ) -> None:
        def swept() -> Iterator[bytes]:
            yield CONTENT
            store.sweep(timedelta(seconds=-5))

        with pytest.raises(TransientError, match="PathNotFound"):
            store.write(PATH, swept())

        assert_stored(sandbox, store)


class TestARefusalForAPerson:
    @pytest.mark.parametrize("endpoint", ONE_WRITE)
    @pytest.mark.parametrize(
        ("times", "status", "word", "setting"),
        [
            (2, 401, "InvalidAuthenticationInfo", "AZURE_CLIENT_SECRET"),
            (1, 403, "AuthorizationPermissionMismatch", "FABRIC_WORKSPACE_ID"),
            (1, 400, "InvalidHeaderValue", "FABRIC_ACCOUNT_URL"),
        ],
    )
    def test_names_the_setting_and_the_request(
        self,
        sandbox: OneLakeSandbox,
        store: OneLakeStore,
        endpoint: LakeEndpoint,
        times: int,
        status: int,
        word: str,
        setting: str,
    ) -> None:
        sandbox.faults.add(endpoint, "status_code", status=status, error_code=word, times=times)

        error = failed_write(sandbox, store)

        assert isinstance(error, ConfigurationError)
        assert setting in error.message
        assert f"{status} {word}, request " in error.message
        assert_stored(sandbox, store)

    def test_of_another_kind_is_not_tried_again(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        sandbox.faults.add("append", "status_code", status=400, error_code="InvalidInput")

        error = failed_write(sandbox, store)

        assert isinstance(error, StorageError)
        assert "400 InvalidInput" in error.message
        assert_stored(sandbox, store)


class TestALakeThatErrs:
    @pytest.mark.parametrize(
        ("endpoint", "kind", "code"),
        [("append", "damaged", "onelake_damaged"), ("flush", "short_flush", "onelake_size_differs")],
    )
    def test_in_its_bytes_is_found_out_before_a_reader_sees_them(
        self,
        sandbox: OneLakeSandbox,
        store: OneLakeStore,
        endpoint: LakeEndpoint,
        kind: LakeFaultKind,
        code: str,
    ) -> None:
        sandbox.faults.add(endpoint, kind)

        error = failed_write(sandbox, store)

        assert isinstance(error, TransientError)
        assert error.code == code
        assert_stored(sandbox, store)

    def test_after_a_success_in_what_it_shows_takes_another_attempt(
        self, sandbox: OneLakeSandbox, store: OneLakeStore
    ) -> None:
        def then_blind() -> Iterator[bytes]:
            yield CONTENT
            sandbox.observe = hide_once

        def hide_once() -> None:
            if sandbox.requests["rename"]:
                sandbox.observe = lambda: None
                sandbox.faults.add("head", "status_code", status=404, error_code="PathNotFound")

        with pytest.raises(TransientError, match="did not show it"):
            store.write(PATH, then_blind())

        assert_stored(sandbox, store)


class TestATokenThatTheLakeRefuses:
    @pytest.mark.parametrize("endpoint", ONE_WRITE)
    def test_is_replaced_by_a_new_one(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint
    ) -> None:
        sandbox.faults.add(endpoint, "expired_token")

        assert_stored(sandbox, store)
        assert sandbox.requests["token"] == 2

    def test_in_mid_file_is_replaced_by_a_new_one(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        look, appended = sandbox.observe, threading.Event()

        def observe() -> None:
            look()
            if sandbox.requests["append"]:
                appended.set()

        def chunks() -> Iterator[bytes]:
            yield b"x" * PIECE
            assert appended.wait(10)
            sandbox.expire_tokens()
            yield b"y"

        sandbox.observe = observe

        assert store.write(PATH, chunks()).size == len(LARGE)
        # Two of them are refused: the SDK asks again with the token that it has.
        assert sandbox.requests["append"] == 4
        assert_stored(sandbox, store, LARGE)

    @pytest.mark.parametrize("endpoint", ["discovery", "token"])
    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "status_code", "status": 503, "retry_after": "9"},
            {"kind": "status_code", "status": 503, "text": "<html>Not now</html>"},
            {"kind": "status_code", "status": 429},
            {"kind": "reset"},
            {"kind": "reset_after_work"},
        ],
    )
    def test_while_entra_is_away_takes_another_attempt(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint, fault: dict[str, Any]
    ) -> None:
        sandbox.faults.add(endpoint, **fault)

        error = failed_write(sandbox, store)

        assert isinstance(error, TransientError), error
        assert error.code.startswith("entra_")
        assert error.retry_after == (timedelta(seconds=9) if "retry_after" in fault else None)
        assert_stored(sandbox, store)


class TestAnotherAttempt:
    def test_that_was_faster_keeps_its_file(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        faster = new_store(sandbox)

        def overtaken() -> Iterator[bytes]:
            yield CONTENT
            faster.write(PATH, [ANOTHER])

        stored = store.write(PATH, overtaken())

        assert stored.sha256 == hashlib.sha256(ANOTHER).hexdigest()
        assert_stored(sandbox, store, ANOTHER)
        assert sandbox.listing(TEMPORARY) == {}
        faster.close()

    @pytest.mark.parametrize(
        "fault", [{"kind": "reset"}, {"kind": "status_code", "status": 503}], ids=lambda fault: fault["kind"]
    )
    def test_whose_file_cannot_be_read_back_is_read_by_the_next(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, fault: dict[str, Any]
    ) -> None:
        store.write(PATH, [CONTENT])
        sandbox.faults.add("read", **fault)

        with pytest.raises(TransientError):
            store.write(PATH, [ANOTHER])

        assert_stored(sandbox, store)

    @pytest.mark.parametrize("kind", ["reset_mid_body", "short_body"])
    def test_whose_file_breaks_off_when_it_is_read_back_is_read_again(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, kind: LakeFaultKind
    ) -> None:
        store.write(PATH, [CONTENT])
        sandbox.faults.add("read", kind)

        assert_stored(sandbox, store)

    def test_that_was_killed_leaves_what_only_a_sweep_finds(
        self, sandbox: OneLakeSandbox, store: OneLakeStore
    ) -> None:
        def killed() -> Iterator[bytes]:
            yield CONTENT
            raise SystemExit

        with pytest.raises(SystemExit):
            store.write(PATH, killed())

        assert list(sandbox.listing(TEMPORARY).values()) == [0]
        assert_stored(sandbox, store)
        assert store.sweep(timedelta(hours=1)) == 0
        assert store.sweep(timedelta(seconds=-5)) == 1
        assert_stored(sandbox, store)


@pytest.mark.parametrize(
    "fault",
    [{"kind": "reset", "times": 2}, {"kind": "status_code", "status": 503}],
    ids=lambda fault: fault["kind"],
)
@pytest.mark.parametrize("endpoint", ["list", "delete"])
def test_a_sweep_that_fails_can_be_repeated(
    sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint, fault: dict[str, Any]
) -> None:
    store._files.create(store._address.temporary(store._address.final(PATH)))
    if endpoint == "delete":
        fault = {**fault, "times": 1}
    sandbox.faults.add(endpoint, **fault)

    with pytest.raises(TransientError):
        store.sweep(timedelta(seconds=-5))

    assert store.sweep(timedelta(seconds=-5)) == 1
