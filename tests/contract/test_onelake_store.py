"""OneLake's store beyond the contract of every store: its addresses, settings, connections and pieces."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential, WorkloadIdentityCredential

from report_orchestrator.adapters.onelake import OneLakeStore
from report_orchestrator.adapters.onelake_address import TEMPORARY, lake_address
from report_orchestrator.adapters.onelake_appends import AT_ONCE, append_all, pieces
from report_orchestrator.adapters.onelake_client import PIECE, Credential
from report_orchestrator.conf import Settings, parse_settings
from report_orchestrator.exceptions import (
    ConfigurationError,
    LeaseLostError,
    OrchestratorError,
    StorageError,
    TransientError,
)
from report_orchestrator.ports import Follower
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.raw_server import answer, raw_server, says

PATH = "7/2026-07-01/0b1c.json"
SCOPE = "https://storage.azure.com/.default"
RESULTS = "Files/report_results"


class SourceFailedError(Exception):
    """Fireant's stream broke off."""


@pytest.fixture(scope="module")
def running() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: OneLakeSandbox) -> OneLakeSandbox:
    running.clear()
    return running


def settings_for(sandbox: OneLakeSandbox, *, by_guid: bool = False, **changes: Any) -> Settings:
    given = {**sandbox.settings_overrides(by_guid=by_guid), "TIMEOUT_SECONDS": 10, **changes}
    settings, problems = parse_settings(given, {})
    assert problems == []
    return settings


@pytest.fixture
def lake(sandbox: OneLakeSandbox) -> Iterator[OneLakeStore]:
    store = OneLakeStore(settings_for(sandbox))
    yield store
    store.close()


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (4,), (3, 1), (3, 2), (9,), (1, 0, 8, 2), (1,) * 11])
def test_pieces_are_the_same_bytes_in_equal_portions(sizes: tuple[int, ...]) -> None:
    letters = itertools.cycle(b"abcdefg")
    chunks = [bytes(itertools.islice(letters, size)) for size in sizes]

    made = list(pieces(chunks, 4))

    assert b"".join(made) == b"".join(chunks)
    assert all(len(piece) == 4 for piece in made[:-1])
    assert all(0 < len(piece) <= 4 for piece in made)


def test_the_lease_is_kept_at_each_piece_that_is_read_back(lake: OneLakeStore) -> None:
    lake.write(PATH, [b"x" * (2 * PIECE + 1)])
    kept: list[None] = []

    lake.write(PATH, [], Follower(keep=lambda: kept.append(None)))

    assert len(kept) == 3


def test_a_folder_that_has_the_name_is_not_taken_for_an_empty_result(
    sandbox: OneLakeSandbox, lake: OneLakeStore
) -> None:
    lake.write(f"{PATH}/in-it", [b"x"])

    with pytest.raises(StorageError, match="A folder stands in OneLake"):
        lake.write(PATH, [b"y"])

    assert sandbox.listing(RESULTS) == {f"{PATH}/in-it": 1}


class TestLocation:
    def test_a_result_is_found_under_its_location(self, sandbox: OneLakeSandbox, lake: OneLakeStore) -> None:
        stored = lake.write("a%2Fb/x y.json", [b"here"])

        assert stored.location == (
            f"{sandbox.url}/Sandbox/Results.Lakehouse/Files/report_results/a%252Fb/x%20y.json"
        )
        settings = settings_for(sandbox)
        token = Credential(settings).get_token("https://storage.azure.com/.default").token
        found = requests.get(
            stored.location,
            headers={"Authorization": f"Bearer {token}"},
            verify=settings.fabric_ca_file,
            timeout=10,
        )
        assert found.content == b"here"

    def test_guids_are_as_good_as_names(self, sandbox: OneLakeSandbox) -> None:
        options = sandbox.options

        stored = OneLakeStore(settings_for(sandbox, by_guid=True)).write(PATH, [b"x"])

        folder = f"{sandbox.url}/{options.workspace_id}/{options.lakehouse_id}/{RESULTS}"
        assert stored.location == f"{folder}/{PATH}"
        assert sandbox.listing(RESULTS) == {PATH: 1}

    def test_a_lakehouse_needs_no_suffix(self, sandbox: OneLakeSandbox) -> None:
        OneLakeStore(settings_for(sandbox, FABRIC_LAKEHOUSE_ID="Results")).write(PATH, [b"x"])

        assert sandbox.listing(RESULTS) == {PATH: 1}

    def test_results_can_lie_deeper(self, sandbox: OneLakeSandbox) -> None:
        OneLakeStore(settings_for(sandbox, FABRIC_RESULTS_PATH="/teams/risk/")).write(PATH, [b"x"])

        assert sandbox.listing("Files/teams/risk") == {PATH: 1}

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"FABRIC_WORKSPACE_ID": ""}, "FABRIC_WORKSPACE_ID is ''"),
            ({"FABRIC_LAKEHOUSE_ID": ""}, "FABRIC_LAKEHOUSE_ID is ''"),
            ({"FABRIC_WORKSPACE_ID": "a/b"}, "FABRIC_WORKSPACE_ID is 'a/b'"),
            ({"FABRIC_WORKSPACE_ID": "0b1c8bd8-3b0e-4c5a-9a55-0d6bd9b7e9a0"}, "mix a name and a GUID"),
            ({"FABRIC_LAKEHOUSE_ID": "0b1c8bd8-3b0e-4c5a-9a55-0d6bd9b7e9a0"}, "mix a name and a GUID"),
            ({"FABRIC_RESULTS_PATH": "../x"}, "FABRIC_RESULTS_PATH is '../x'"),
            ({"FABRIC_RESULTS_PATH": "_report_orchestrator/tmp"}, "FABRIC_RESULTS_PATH is"),
        ],
    )
    def test_an_address_that_cannot_be_is_refused(
        self, sandbox: OneLakeSandbox, changes: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=said):
            lake_address(settings_for(sandbox, **changes))

    def test_the_default_address_is_onelakes(self) -> None:
        settings, _problems = parse_settings(
            {"FABRIC_WORKSPACE_ID": "Sales", "FABRIC_LAKEHOUSE_ID": "Risk"}, {}
        )

        address = lake_address(settings)

        assert address.url(address.final("1.json")) == (
            "https://onelake.dfs.fabric.microsoft.com/Sales/Risk.Lakehouse/Files/report_results/1.json"
        )


class TestConfiguration:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"AZURE_CLIENT_SECRET": "wrong-secret"}, "AADSTS7000215.*AZURE_CLIENT_SECRET"),
            ({"AZURE_CLIENT_ID": "wrong"}, "AADSTS700016.*AZURE_CLIENT_ID"),
            ({"AZURE_TENANT_ID": "wrong"}, "AZURE_TENANT_ID"),
            ({"AZURE_TENANT_ID": "not a tenant"}, "AZURE_TENANT_ID"),
            ({"AZURE_CLIENT_SECRET": "", "AZURE_CLIENT_ID": ""}, "AZURE_CLIENT_ID, AZURE_CLIENT_SECRET must"),
            ({"AZURE_AUTHORITY_HOST": "http://127.0.0.1"}, "AZURE_AUTHORITY_HOST"),
            ({"FABRIC_WORKSPACE_ID": "Other"}, "FilesystemNotFound.*FABRIC_WORKSPACE_ID"),
            ({"FABRIC_LAKEHOUSE_ID": "Other"}, "PathNotFound.*FABRIC_LAKEHOUSE_ID"),
            ({"FABRIC_CA_FILE": ""}, "FABRIC_CA_FILE"),
            ({"FABRIC_CA_FILE": "/no/such/file"}, "FABRIC_CA_FILE"),
            ({"FABRIC_ACCOUNT_URL": "http://127.0.0.1"}, "FABRIC_ACCOUNT_URL.*https"),
        ],
    )
    def test_a_wrong_setting_is_named(
        self, sandbox: OneLakeSandbox, changes: dict[str, Any], said: str
    ) -> None:
        store = OneLakeStore(settings_for(sandbox, **changes))

        with pytest.raises(ConfigurationError, match=said) as refused:
            store.write(PATH, [b"x"])

        assert "wrong-secret" not in str(refused.value)
        assert sandbox.listing() == {}

    def test_nothing_is_asked_before_the_first_write(self, sandbox: OneLakeSandbox) -> None:
        OneLakeStore(settings_for(sandbox, FABRIC_WORKSPACE_ID="", AZURE_CLIENT_SECRET=""))

        assert sandbox.requests.total() == 0

    def test_the_machines_own_authorities_do_too(
        self, sandbox: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sandbox.ca_file))

        OneLakeStore(settings_for(sandbox, FABRIC_CA_FILE="")).write(PATH, [b"x"])

        assert sandbox.listing(RESULTS) == {PATH: 1}

    def test_one_token_and_one_connection_serve_many_writes(
        self, sandbox: OneLakeSandbox, lake: OneLakeStore
    ) -> None:
        for number in range(3):
            lake.write(f"{number}.json", [b"x"])

        assert sandbox.requests["token"] == 1
        assert sandbox.requests["discovery"] == 1

    def test_a_request_is_logged_only_where_that_is_asked_for(
        self, sandbox: OneLakeSandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        store = OneLakeStore(settings_for(sandbox))
        store.write("1.json", [b"x"])
        assert "Request URL" not in caplog.text

        caplog.set_level(logging.INFO, "report_orchestrator.onelake.requests")
        store.write("2.json", [b"x"])

        assert "2.json" in caplog.text
        assert "Bearer" not in caplog.text

    def test_a_store_works_after_it_was_closed(self, sandbox: OneLakeSandbox, lake: OneLakeStore) -> None:
        lake.write("1.json", [b"x"])
        lake.close()

        lake.write("2.json", [b"x"])

        assert sandbox.listing(RESULTS) == {"1.json": 1, "2.json": 1}

    @pytest.mark.parametrize(
        ("credential", "kind"),
        [
            ("workload_identity", WorkloadIdentityCredential),
            ("managed_identity", ManagedIdentityCredential),
            ("default", DefaultAzureCredential),
        ],
    )
    def test_a_credential_can_be_chosen(
        self,
        sandbox: OneLakeSandbox,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        credential: str,
        kind: type[object],
    ) -> None:
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))

        made = Credential(settings_for(sandbox, AZURE_CREDENTIAL=credential, AZURE_CLIENT_SECRET=""))

        assert isinstance(made._credential, kind)

    @pytest.mark.parametrize("status", [429, 500, 503, 504])
    @pytest.mark.parametrize("credential", ["client_secret", "workload_identity", "default"])
    def test_an_entra_that_is_busy_or_away_passes(
        self,
        sandbox: OneLakeSandbox,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        credential: str,
        status: int,
    ) -> None:
        settings = settings_for(sandbox, AZURE_CREDENTIAL=credential)
        if credential == "default":
            monkeypatch.setenv("AZURE_TENANT_ID", settings.azure_tenant_id)
            monkeypatch.setenv("AZURE_CLIENT_ID", settings.azure_client_id)
            monkeypatch.setenv("AZURE_CLIENT_SECRET", settings.azure_client_secret.reveal())
        else:
            (tmp_path / "token").write_text("a token of the cluster")
            monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
        sandbox.faults.add("token", "status_code", status=status)

        with pytest.raises(TransientError) as caught:
            Credential(settings).get_token(SCOPE)

        assert caught.value.code == f"entra_{status}"
        sandbox.faults.assert_all_fired()

    @pytest.mark.parametrize("status", [404, 410, 429, 500, 503])
    @pytest.mark.parametrize("credential", ["managed_identity", "default"])
    def test_an_identity_endpoint_that_is_busy_or_away_passes(
        self, sandbox: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch, credential: str, status: int
    ) -> None:
        with raw_server(says(answer(f"{status} Away", b"{}", {"Retry-After": "7"}))) as endpoint:
            monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", endpoint.url)
            made = Credential(settings_for(sandbox, AZURE_CREDENTIAL=credential))
            with pytest.raises(OrchestratorError) as caught:
                made.get_token(SCOPE)

        if credential == "default" and status == 404:  # it may be the endpoint of another cloud's machine
            assert isinstance(caught.value, ConfigurationError)
            return
        assert isinstance(caught.value, TransientError)
        assert (caught.value.code, caught.value.retry_after) == (f"identity_{status}", timedelta(seconds=7))
        assert len(endpoint.heads) == 1

    def test_a_machine_without_an_identity_must_be_corrected(
        self, sandbox: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refusal = b'{"error": "invalid_request", "error_description": "Identity not found"}'
        with raw_server(says(answer("400 Bad Request", refusal))) as endpoint:
            monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", endpoint.url)
            made = Credential(settings_for(sandbox, AZURE_CREDENTIAL="managed_identity"))
            with pytest.raises(ConfigurationError, match="AZURE_CREDENTIAL"):
                made.get_token(SCOPE)

    def test_a_credential_that_is_not_there_is_named(
        self, sandbox: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE", raising=False)

        with pytest.raises(ConfigurationError, match="AZURE_CREDENTIAL"):
            OneLakeStore(settings_for(sandbox, AZURE_CREDENTIAL="workload_identity")).write(PATH, [b"x"])


class TestSweep:
    def test_a_file_that_was_changed_meanwhile_stays(
        self, sandbox: OneLakeSandbox, lake: OneLakeStore
    ) -> None:
        abandon(lake, "1.json")
        (listed,) = (each for each in lake._files.below(lake._address.temporary_root) if not each.is_folder)
        lake._files.append(listed.path, b"x", 0)
        lake._files.flush(listed.path, 1, listed.etag)

        assert not lake._files.remove(listed)
        assert len(sandbox.listing(TEMPORARY)) == 1

    def test_an_abandoned_file_is_removed_and_a_result_is_not(
        self, sandbox: OneLakeSandbox, lake: OneLakeStore
    ) -> None:
        lake.write("1.json", [b"x"])
        abandon(lake, "2.json")
        assert len(sandbox.listing(TEMPORARY)) == 1

        removed = lake.sweep(timedelta(seconds=-5))

        assert removed == 1
        assert sandbox.listing() == {"report_results/1.json": 1}
        assert lake.sweep(timedelta(seconds=-5)) == 0

    def test_the_folders_of_finished_runs_go_too(self, sandbox: OneLakeSandbox, lake: OneLakeStore) -> None:
        lake.write("1.json", [b"x"])

        lake.sweep(timedelta(seconds=-5))

        assert [name for name, _entry in sandbox._files.below(TEMPORARY, recursive=True)] == []

    def test_a_young_file_stays(self, sandbox: OneLakeSandbox, lake: OneLakeStore) -> None:
        abandon(lake, "1.json")

        assert lake.sweep(timedelta(hours=1)) == 0
        assert len(sandbox.listing(TEMPORARY)) == 1

    def test_a_folder_in_which_somebody_has_begun_stays(
        self, sandbox: OneLakeSandbox, lake: OneLakeStore
    ) -> None:
        lake.write("1.json", [b"x"])
        begun: list[None] = []

        def begin_between() -> None:
            if sandbox.requests["list"] and not begun:
                begun.append(None)
                abandon(lake, "1.json")

        sandbox.observe = begin_between
        try:
            lake.sweep(timedelta(seconds=-5))
        finally:
            sandbox.observe = lambda: None

        assert len(sandbox.listing(TEMPORARY)) == 1


def abandon(lake: OneLakeStore, path: str) -> None:
    """Leaves a temporary file behind, as a killed worker does."""
    address = lake._address
    lake._files.create(address.temporary(address.final(path)))


class TestAppends:
    def test_go_on_while_the_lake_answers_the_last_one(self) -> None:
        """The third piece is read when the first is done, and not before: memory holds no more than a few."""
        at_once, read = threading.Barrier(AT_ONCE, timeout=10), 0
        given: list[tuple[bytes, int]] = []

        def append(piece: bytes, offset: int) -> None:
            at_once.wait()  # passes only where two are under way
            given.append((piece, offset))

        def letters() -> Iterator[bytes]:
            nonlocal read
            for letter in (b"a", b"b", b"c", b"d"):
                assert read <= len(given) + AT_ONCE
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

        assert len(begun) <= AT_ONCE

    def test_under_way_do_not_hold_up_a_worker_that_is_ended(self) -> None:
        release = threading.Event()

        def ended() -> Iterator[bytes]:
            yield b"x"
            raise SystemExit

        with pytest.raises(SystemExit):
            append_all(ended(), lambda _piece, _offset: assert_released(release), go_on)
        release.set()

    def test_keep_the_lease_while_one_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("report_orchestrator.adapters.beside.BEAT", 0.01)
        first, last = threading.Event(), threading.Event()
        caller, kept = threading.current_thread(), list[threading.Thread]()

        def append(_piece: bytes, offset: int) -> None:
            assert_released(last if offset == AT_ONCE else first)

        def keep() -> None:
            kept.append(threading.current_thread())
            (first if len(kept) < 3 else last).set()

        assert append_all([b"x"] * (AT_ONCE + 1), append, keep) == AT_ONCE + 1
        assert set(kept) == {caller}

    def test_under_way_are_done_before_a_lost_lease_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Otherwise one of them would meet the removal of its file."""
        monkeypatch.setattr("report_orchestrator.adapters.beside.BEAT", 0.01)
        release, done = threading.Event(), list[int]()

        def append(_piece: bytes, offset: int) -> None:
            assert_released(release)
            done.append(offset)

        def keep() -> None:
            threading.Timer(0.1, release.set).start()
            raise LeaseLostError

        with pytest.raises(LeaseLostError):
            append_all([b"x"] * 9, append, keep)
        assert sorted(done) == list(range(AT_ONCE))

    def test_that_a_lake_never_answers_do_not_keep_an_ended_process_alive(self) -> None:
        program = """
import threading
from report_orchestrator.adapters.onelake_appends import append_all
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


class TestTheLease:
    def test_is_kept_before_a_result_is_shown_and_before_it_gets_its_name(
        self, sandbox: OneLakeSandbox, lake: OneLakeStore
    ) -> None:
        done: list[tuple[int, int, int]] = []

        def keep() -> None:
            done.append((sandbox.requests["append"], sandbox.requests["flush"], sandbox.requests["rename"]))

        lake.write(PATH, [b"x"], Follower(keep=keep))

        assert done == [(1, 0, 0), (1, 1, 0)]

    def test_that_is_lost_at_the_last_moment_publishes_nothing(
        self, sandbox: OneLakeSandbox, lake: OneLakeStore
    ) -> None:
        def keep() -> None:
            if sandbox.requests["flush"]:
                raise LeaseLostError

        with pytest.raises(LeaseLostError):
            lake.write(PATH, [b"x"], Follower(keep=keep))

        assert sandbox.listing() == {}


def go_on() -> None:
    """No lease has to be kept."""


def assert_released(release: threading.Event) -> None:
    assert release.wait(10)
