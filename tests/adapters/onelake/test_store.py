"""OneLake's store beyond the contract of every store: addresses, leases and the sweep of abandoned files."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import requests

from report_orchestrator.adapters import background_thread
from report_orchestrator.adapters.onelake.address import TEMPORARY, lake_address
from report_orchestrator.adapters.onelake.connection import PIECE, Credential
from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.conf import parse_settings
from report_orchestrator.exceptions import ConfigurationError, LeaseLostError, StorageError
from report_orchestrator.ports import WriteObserver
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.support.onelake_settings import PATH, RESULTS, settings_for


def test_the_lease_is_kept_at_each_piece_that_is_read_back(lake: OneLakeStore) -> None:
    lake.write(PATH, [b"x" * (2 * PIECE + 1)])
    kept: list[None] = []

    lake.write(PATH, [], WriteObserver(heartbeat=lambda: kept.append(None)))

    assert len(kept) == 3


@pytest.mark.parametrize("slow", range(4))
def test_the_lease_is_kept_while_a_response_is_awaited(
    sandbox: OneLakeSandbox, lake: OneLakeStore, monkeypatch: pytest.MonkeyPatch, slow: int
) -> None:
    """Each request before the first byte, and the one that shows all bytes, is answered after five heartbeats."""
    monkeypatch.setattr(background_thread, "HEARTBEAT_SECONDS", 0.01)
    lake.write("another.json", [b"x"])  # with a token and a connection
    requests, beats, enough = iter(range(100)), iter(range(5)), threading.Event()
    slow_one = [0, 1, 2, 4][slow]  # head, create folder, create; append; flush

    def observe() -> None:
        if next(requests) == slow_one:
            assert enough.wait(10)

    def heartbeat() -> None:
        if next(beats, None) is None:
            enough.set()

    monkeypatch.setattr(sandbox, "observe", observe)
    lake.write(PATH, [b"x"], WriteObserver(heartbeat=heartbeat))

    assert enough.is_set()


def test_a_run_that_is_lost_while_its_file_is_created_leaves_none(
    sandbox: OneLakeSandbox, lake: OneLakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_thread, "HEARTBEAT_SECONDS", 0.01)
    lake.write("another.json", [b"x"])
    requests, lost = iter(range(100)), threading.Event()

    def observe() -> None:
        if next(requests) == 2:
            assert lost.wait(10)

    def heartbeat() -> None:
        lost.set()
        raise LeaseLostError

    monkeypatch.setattr(sandbox, "observe", observe)
    with pytest.raises(LeaseLostError):
        lake.write(PATH, [b"x"], WriteObserver(heartbeat=heartbeat))

    assert sandbox.listing(RESULTS) == {"another.json": 1}
    assert sandbox.listing(TEMPORARY) == {}


def test_a_folder_that_has_the_name_is_not_taken_for_an_empty_result(
    sandbox: OneLakeSandbox, lake: OneLakeStore
) -> None:
    lake.write(f"{PATH}/in-it", [b"x"])

    with pytest.raises(StorageError, match="OneLake has a folder"):
        lake.write(PATH, [b"y"])

    assert sandbox.listing(RESULTS) == {f"{PATH}/in-it": 1}


class TestLocation:
    def test_a_result_is_found_under_its_location(self, sandbox: OneLakeSandbox, lake: OneLakeStore) -> None:
        stored = lake.write("a%2Fb/x y.json", [b"here"])

        assert stored.location == (f"{sandbox.url}/Sandbox/Results.Lakehouse/Files/report_results/a%252Fb/x%20y.json")
        settings = settings_for(sandbox)
        token = Credential(settings).get_token("https://storage.azure.com/.default").token
        found = requests.get(
            stored.location, headers={"Authorization": f"Bearer {token}"}, verify=settings.fabric_ca_file, timeout=10
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
        settings, _problems = parse_settings({"FABRIC_WORKSPACE_ID": "Sales", "FABRIC_LAKEHOUSE_ID": "Risk"}, {})

        address = lake_address(settings)

        assert address.url(address.final("1.json")) == (
            "https://onelake.dfs.fabric.microsoft.com/Sales/Risk.Lakehouse/Files/report_results/1.json"
        )


class TestSweep:
    def test_a_file_that_was_changed_meanwhile_stays(self, sandbox: OneLakeSandbox, lake: OneLakeStore) -> None:
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

    def test_a_folder_with_a_begun_file_stays(self, sandbox: OneLakeSandbox, lake: OneLakeStore) -> None:
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


class TestTheLease:
    def test_is_kept_before_a_result_is_shown_and_before_it_gets_its_name(
        self, sandbox: OneLakeSandbox, lake: OneLakeStore
    ) -> None:
        done: list[tuple[int, int, int]] = []

        def heartbeat() -> None:
            done.append((sandbox.requests["append"], sandbox.requests["flush"], sandbox.requests["rename"]))

        lake.write(PATH, [b"x"], WriteObserver(heartbeat=heartbeat))

        assert done == [(1, 0, 0), (1, 1, 0)]

    def test_that_is_lost_at_the_last_moment_publishes_nothing(
        self, sandbox: OneLakeSandbox, lake: OneLakeStore
    ) -> None:
        def heartbeat() -> None:
            if sandbox.requests["flush"]:
                raise LeaseLostError

        with pytest.raises(LeaseLostError):
            lake.write(PATH, [b"x"], WriteObserver(heartbeat=heartbeat))

        assert sandbox.listing() == {}
