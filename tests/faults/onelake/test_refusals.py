"""Refusals and errors of OneLake are tried again or named, and leave one whole file or none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from report_orchestrator.adapters.onelake.connection import PIECE
from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.exceptions import ConfigurationError, StorageError, TransientError
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake.faults import LakeEndpoint, LakeFaultKind
from tests.support.onelake_faults import CONTENT, LARGE, ONE_WRITE, PATH, assert_stored, failed_write

pytestmark = pytest.mark.slow


class TestARefusalThatPasses:
    @pytest.mark.parametrize("endpoint", ONE_WRITE)
    @pytest.mark.parametrize(
        ("fault", "code", "seconds"),
        [
            ({"status": 429, "retry_after": "7"}, "onelake_429", 7),
            ({"status": 429, "error_code": "CapacityLimitExceeded", "retry_after": "30"}, "onelake_at_capacity", 30),
            ({"status": 430, "error_code": "CapacityLimitExceeded"}, "onelake_at_capacity", None),
            ({"status": 503, "error_code": "ServerBusy", "retry_after": "2"}, "onelake_503", 2),
            ({"status": 500}, "onelake_500", None),
            ({"status": 502, "text": "<html>Bad gateway</html>"}, "onelake_502", None),
            ({"status": 507}, "no_space", None),
        ],
    )
    def test_takes_another_attempt_at_the_time_that_was_requested(
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
        ("status", "word"), [(404, "PathNotFound"), (409, "PathAlreadyExists"), (412, "ConditionNotMet")]
    )
    def test_that_belongs_to_another_attempt_takes_a_new_one(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint, status: int, word: str
    ) -> None:
        sandbox.faults.add(endpoint, "status_code", status=status, error_code=word)

        error = failed_write(sandbox, store)

        assert isinstance(error, TransientError)
        assert word in error.message
        assert_stored(sandbox, store)

    def test_at_capacity_the_lake_gets_no_further_requests(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
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

    @pytest.mark.parametrize("endpoint", ["create", "append", "flush"])
    @pytest.mark.parametrize(
        "fault",
        [
            {"status": 400, "error_code": "InvalidFlushPosition"},
            {"status": 400, "text": '{"error": {"code": "InvalidFlushPosition"}}'},
            {"status": 416, "error_code": "InvalidRange"},
            {"status": 416, "text": "<html>Range</html>"},
            {"status": 411, "text": "<html>Length required</html>"},
            {"status": 411, "error_code": "MissingContentLengthHeader"},
        ],
    )
    def test_that_speaks_of_this_upload_takes_a_new_one(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint, fault: dict[str, Any]
    ) -> None:
        sandbox.faults.add(endpoint, "status_code", **fault)

        error = failed_write(sandbox, store)

        assert isinstance(error, TransientError), error
        assert error.code == "onelake_damaged"
        assert_stored(sandbox, store)

    @pytest.mark.parametrize("endpoint", ONE_WRITE)
    @pytest.mark.parametrize("word", ["CapacityNotActive", "CapacityPaused"])
    def test_of_a_paused_capacity_is_waited_for(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint, word: str
    ) -> None:
        sandbox.faults.add(endpoint, "status_code", status=403, error_code=word)

        error = failed_write(sandbox, store)

        assert isinstance(error, TransientError)
        assert error.code == "onelake_paused"
        assert f"403 {word}" in error.message
        assert_stored(sandbox, store)


class TestACodeInTheBody:
    @pytest.mark.parametrize(
        ("status", "text", "named"),
        [
            (403, '{"error": {"code": "CapacityNotActive"}}', "403 CapacityNotActive"),
            (403, '{"error": {"code": "Forbidden", "message": "No"}}', "403 Forbidden"),
            (404, '{"error": {"code": "LostPath", "message": "No"}}', "404 LostPath"),
            (409, '{"error": {"code": "Busy"}}', "409 Busy"),
            (400, "<?xml version='1.0'?><Error><Code>OddInput</Code></Error>", "400 OddInput"),
            (403, '{"error": "forbidden"}', "403 no error code"),
            (403, '{"error": ["forbidden"]}', "403 no error code"),
            (403, '{"error": {"code": {"x": 1}, "message": null}}', "403 no error code"),
        ],
    )
    def test_is_shown_whatever_the_sdk_makes_of_it(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, status: int, text: str, named: str
    ) -> None:
        sandbox.faults.add("append", "status_code", status=status, text=text)

        error = failed_write(sandbox, store)

        assert f"{named}, request " in error.message
        assert_stored(sandbox, store)

    def test_is_not_looked_for_in_endless_brackets(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        sandbox.faults.add("append", "status_code", status=403, text="[" * 50_000, times=2)

        error = failed_write(sandbox, store)

        assert isinstance(error, TransientError)
        assert "nested too deeply" in error.message
        assert_stored(sandbox, store)

    def test_of_a_denial_is_followed_by_all_its_causes(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        sandbox.faults.add("create", "status_code", status=403, text="{}")

        error = failed_write(sandbox, store)

        assert isinstance(error, ConfigurationError)
        assert "Contributor" in error.message
        assert "capacity is paused" in error.message


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
        self, sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint, kind: LakeFaultKind, code: str
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

        with pytest.raises(TransientError, match="did not return it"):
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
            {"kind": "status_code", "status": 400, "text": '{"error": "temporarily_unavailable"}'},
            {
                "kind": "status_code",
                "status": 400,
                "text": '{"error": "invalid_request", "error_codes": [90033], "error_description": "AADSTS90033: Transient."}',
            },
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
