"""Every store of results keeps the same promises, and OneLake's keeps those that its settings make."""

from __future__ import annotations

import hashlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential, WorkloadIdentityCredential

from report_orchestrator.adapters.local_files import LocalFiles
from report_orchestrator.adapters.onelake import OneLakeStore
from report_orchestrator.adapters.onelake_address import TEMPORARY, lake_address
from report_orchestrator.adapters.onelake_appends import AT_ONCE, append_all, pieces
from report_orchestrator.adapters.onelake_client import PIECE, Credential
from report_orchestrator.conf import Settings, parse_settings
from report_orchestrator.exceptions import ConfigurationError, LeaseLostError, StorageError, TransientError
from report_orchestrator.ports import Follower, ResultStore, Upload
from report_orchestrator.sandbox.onelake import OneLakeSandbox

PATH = "7/2026-07-01/0b1c.json"
RESULTS = "Files/report_results"


class SourceFailedError(Exception):
    """Fireant's stream broke off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A store, and what a reader sees of it."""

    store: ResultStore
    listing: Callable[[], Mapping[str, int]]
    everything: Callable[[], Mapping[str, int]]
    content: Callable[[str], bytes]


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


def local_listing(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder).as_posix()): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(params=["local", "onelake"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "local":
        results = tmp_path / "report_results"
        return Shelf(
            store=LocalFiles(tmp_path, "report_results"),
            listing=lambda: local_listing(results),
            everything=lambda: local_listing(tmp_path),
            content=lambda path: (results / path).read_bytes(),
        )
    sandbox: OneLakeSandbox = request.getfixturevalue("sandbox")
    return Shelf(
        store=request.getfixturevalue("lake"),
        listing=lambda: sandbox.listing(RESULTS),
        everything=sandbox.listing,
        content=lambda path: sandbox.content(f"{RESULTS}/{path}"),
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class TestEveryStore:
    @pytest.mark.parametrize(
        "chunks",
        [
            pytest.param([], id="nothing"),
            pytest.param([b""], id="an empty chunk"),
            pytest.param([b"1"], id="one byte"),
            pytest.param([b"12", b"", b"3"], id="an empty chunk between others"),
            pytest.param([bytes(range(256)) * 400] * 3, id="several chunks"),
            pytest.param([b"x" * (PIECE - 1)], id="a byte less than a piece"),
            pytest.param([b"x" * PIECE], id="a piece"),
            pytest.param([b"x" * (PIECE - 1), b"yz"], id="a chunk across two pieces"),
            pytest.param([b"x" * (2 * PIECE + 1)], id="one chunk of several pieces"),
        ],
    )
    def test_a_result_is_stored_as_it_came(self, shelf: Shelf, chunks: list[bytes]) -> None:
        content = b"".join(chunks)

        stored = shelf.store.write(PATH, iter(chunks))

        assert (stored.size, stored.sha256) == (len(content), sha256(content))
        assert shelf.listing() == {PATH: len(content)}
        assert shelf.content(PATH) == content
        assert list(shelf.everything()) == [f"report_results/{PATH}"]

    @pytest.mark.parametrize("content", [b"", b"short", b"x" * 5000])
    def test_the_beginning_of_a_result_can_be_read(self, shelf: Shelf, content: bytes) -> None:
        shelf.store.write(PATH, [content])

        assert shelf.store.read_head(PATH, 1000) == content[:1000]

    def test_a_result_that_is_gone_has_no_beginning(self, shelf: Shelf) -> None:
        with pytest.raises(StorageError, match=r"There is no result at .* any more"):
            shelf.store.read_head(PATH, 1000)

    @pytest.mark.parametrize("first", [b"the first", b""])
    def test_a_path_keeps_its_first_content(self, shelf: Shelf, first: bytes) -> None:
        before = shelf.store.write(PATH, [first])

        after = shelf.store.write(PATH, [b"another"])

        assert before == after
        assert shelf.content(PATH) == first
        assert shelf.listing() == {PATH: len(first)}

    def test_a_path_that_stands_is_not_asked_of_its_source_again(self, shelf: Shelf) -> None:
        shelf.store.write(PATH, [b"the first"])

        shelf.store.write(PATH, source_that_fails_at_once())

    @pytest.mark.parametrize("path", ["../x.json", "a/../../x.json", "/x.json"])
    def test_a_path_out_of_the_results_is_refused(self, shelf: Shelf, path: str) -> None:
        with pytest.raises(StorageError, match="Nothing was written"):
            shelf.store.write(path, [b"x"])
        assert shelf.everything() == {}

    def test_a_source_that_breaks_off_leaves_nothing(self, shelf: Shelf) -> None:
        with pytest.raises(SourceFailedError):
            shelf.store.write(PATH, source_that_breaks_off())
        assert shelf.everything() == {}

    def test_a_result_can_be_stored_after_a_source_broke_off(self, shelf: Shelf) -> None:
        with pytest.raises(SourceFailedError):
            shelf.store.write(PATH, source_that_breaks_off())

        shelf.store.write(PATH, [b"whole"])

        assert shelf.content(PATH) == b"whole"

    def test_a_result_that_is_still_coming_cannot_be_seen(self, shelf: Shelf) -> None:
        seen: list[Mapping[str, int]] = []

        def chunks() -> Iterator[bytes]:
            for _ in range(3):
                yield b"x" * (PIECE // 2 + 1)
                seen.append(shelf.listing())

        shelf.store.write(PATH, chunks())

        assert seen == [{}, {}, {}]

    def test_two_writers_of_one_path_leave_one_file(self, shelf: Shelf) -> None:
        both_have_begun = threading.Barrier(2, timeout=10)
        told: list[object] = []

        def write(content: bytes) -> None:
            def chunks() -> Iterator[bytes]:
                yield content
                both_have_begun.wait()

            told.append(shelf.store.write(PATH, chunks()))

        writers = [threading.Thread(target=write, args=(content,)) for content in (b"one", b"other")]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

        first, second = told
        assert first == second
        assert shelf.content(PATH) in {b"one", b"other"}
        assert set(shelf.everything().values()) <= {3, 5}
        assert len(shelf.everything()) == 1

    @pytest.mark.parametrize("key", ["a%2Fb", "%2E%2E", "50%25 ? #é"])
    def test_a_name_is_kept_letter_by_letter(self, shelf: Shelf, key: str) -> None:
        shelf.store.write(f"{key}/x.json", [b"x"])

        assert shelf.listing() == {f"{key}/x.json": 1}


class TestAFollower:
    def test_is_told_of_an_upload_before_it_has_its_name(self, shelf: Shelf) -> None:
        told: list[tuple[Upload, Mapping[str, int]]] = []

        shelf.store.write(
            PATH, [b"one", b"two"], Follower(note=lambda up: told.append((up, shelf.listing())))
        )

        ((upload, seen),) = told
        assert (upload.size, upload.sha256, seen) == (6, sha256(b"onetwo"), {})

    def test_that_knows_the_upload_spares_reading_it_again(self, shelf: Shelf) -> None:
        told: list[Upload] = []
        shelf.store.write(PATH, [b"x"], Follower(note=told.append))
        known = Follower(uploaded=replace(told[0], sha256="as it was noted"))

        assert shelf.store.write(PATH, source_that_fails_at_once(), known).sha256 == "as it was noted"

    @pytest.mark.parametrize("change", [{"etag": "another"}, {"size": 2}])
    def test_that_knows_another_upload_has_it_read(self, shelf: Shelf, change: dict[str, Any]) -> None:
        told: list[Upload] = []
        shelf.store.write(PATH, [b"x"], Follower(note=told.append))
        known = Follower(uploaded=replace(told[0], sha256="of another", **change))

        assert shelf.store.write(PATH, source_that_fails_at_once(), known).sha256 == sha256(b"x")

    def test_that_lost_its_lease_has_nothing_published(self, shelf: Shelf) -> None:
        def lose(_upload: Upload) -> None:
            raise LeaseLostError

        with pytest.raises(LeaseLostError):
            shelf.store.write(PATH, [b"x"], Follower(note=lose))

        assert shelf.everything() == {}

    def test_keeps_its_lease_while_a_file_is_read_back(self, shelf: Shelf) -> None:
        content = b"x" * (2 * PIECE + 1)
        shelf.store.write(PATH, [content])
        kept: list[None] = []

        shelf.store.write(PATH, [], Follower(keep=lambda: kept.append(None)))

        assert len(kept) >= 3


class TestReading:
    @pytest.mark.parametrize("size", [0, 1, PIECE + 1])
    def test_a_result_is_read_as_it_was_stored(self, shelf: Shelf, size: int) -> None:
        shelf.store.write(PATH, [b"x" * size])

        assert b"".join(shelf.store.read(PATH)) == b"x" * size

    def test_a_result_that_is_not_there_is_named(self, shelf: Shelf) -> None:
        with pytest.raises(StorageError, match=PATH):
            list(shelf.store.read(PATH))


class TestEverySweep:
    FOR_EVERYTHING = timedelta(seconds=-5)

    def test_leaves_what_is_being_written_however_old(self, shelf: Shelf) -> None:
        removed: list[int] = []

        def chunks() -> Iterator[bytes]:
            yield b"x" * (PIECE + 1)
            removed.append(shelf.store.sweep(self.FOR_EVERYTHING, [PATH]))
            yield b"y"

        shelf.store.write(PATH, chunks())

        assert removed == [0]
        assert shelf.listing() == {PATH: PIECE + 2}

    def test_of_what_is_still_being_written_has_nothing_published(self, shelf: Shelf) -> None:
        """Which takes a worker that went on for a day without its lease."""
        removed: list[int] = []

        def chunks() -> Iterator[bytes]:
            yield b"x" * (PIECE + 1)
            removed.append(shelf.store.sweep(self.FOR_EVERYTHING, ["another.json"]))
            yield b"y"

        with pytest.raises(TransientError):
            shelf.store.write(PATH, chunks())

        assert removed == [1]
        assert shelf.everything() == {}

    def test_finds_what_a_killed_writer_left_once_it_is_old(self, shelf: Shelf) -> None:
        """Nothing of a process that is killed runs on: neither a handler nor a `finally`."""
        holding = threading.Event()
        release = threading.Event()

        def chunks() -> Iterator[bytes]:
            yield b"x" * (PIECE + 1)
            holding.set()
            release.wait(10)
            raise SourceFailedError

        def write() -> None:
            with pytest.raises(SourceFailedError):
                shelf.store.write(PATH, chunks())

        writer = threading.Thread(target=write)
        writer.start()
        holding.wait(10)
        try:
            assert shelf.store.sweep(timedelta(hours=1)) == 0
            assert len(shelf.everything()) == 1
            assert shelf.store.sweep(self.FOR_EVERYTHING) == 1
            assert shelf.everything() == {}
        finally:
            release.set()
            writer.join()


def source_that_fails_at_once() -> Iterator[bytes]:
    yield from map(fail, [b""])


def fail(chunk: bytes) -> bytes:
    raise SourceFailedError


def source_that_breaks_off() -> Iterator[bytes]:
    yield b"x" * (PIECE + 1)
    raise SourceFailedError


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (4,), (3, 1), (3, 2), (9,), (1, 0, 8, 2), (1,) * 11])
def test_pieces_are_the_same_bytes_in_equal_portions(sizes: tuple[int, ...]) -> None:
    letters = itertools.cycle(b"abcdefg")
    chunks = [bytes(itertools.islice(letters, size)) for size in sizes]

    made = list(pieces(chunks, 4))

    assert b"".join(made) == b"".join(chunks)
    assert all(len(piece) == 4 for piece in made[:-1])
    assert all(0 < len(piece) <= 4 for piece in made)


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
        "path", ["", ".", "a//b", "a/./b", "a/../b", "a/ /b", "a\\b", "a/\x00", "a/\n", "/a", "a/"]
    )
    def test_a_path_that_has_more_than_one_reading_is_refused(self, lake: OneLakeStore, path: str) -> None:
        with pytest.raises(StorageError, match="Nothing was written"):
            lake.write(path, [b"x"])

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

    def test_there_need_be_nothing_to_sweep(self, lake: OneLakeStore) -> None:
        assert lake.sweep(timedelta(0)) == 0

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

        assert append_all(letters(), append) == 4
        assert sorted(given) == [(b"a", 0), (b"b", 1), (b"c", 2), (b"d", 3)]

    def test_that_fail_end_the_rest(self) -> None:
        begun: list[int] = []

        def append(piece: bytes, offset: int) -> None:
            begun.append(offset)
            raise SourceFailedError

        with pytest.raises(SourceFailedError):
            append_all([b"x"] * 100, append)

        assert len(begun) <= AT_ONCE

    def test_under_way_do_not_hold_up_a_worker_that_is_ended(self) -> None:
        release = threading.Event()

        def ended() -> Iterator[bytes]:
            yield b"x"
            raise SystemExit

        with pytest.raises(SystemExit):
            append_all(ended(), lambda _piece, _offset: assert_released(release))
        release.set()


def assert_released(release: threading.Event) -> None:
    assert release.wait(10)
