"""The contract of `ResultStore`: the fake, a folder, and OneLake's client over the local lake behave alike.

So does a folder of a file system without hard links. The tests that the real OneLake allows run against it, if there is one:
it has never been run by this project's own gate.

ONELAKE_LIVE=1 AZURE_TENANT_ID=… AZURE_CLIENT_ID=… AZURE_CLIENT_SECRET=… FABRIC_WORKSPACE_ID=… FABRIC_LAKEHOUSE_ID=… \
    pytest -m integration tests/adapters/test_store_contract.py

It leaves small files under `_report_orchestrator_contract`, which nobody reads, and removes nothing that is not its own.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, NoReturn

import pytest

from report_orchestrator.adapters.onelake.connection import PIECE
from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.domain.paths import manifest_path
from report_orchestrator.exceptions import LeaseLostError, StorageError, TransientError
from report_orchestrator.ports import StoredResult, Upload, WriteObserver
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.support.store_kinds import (
    ENVIRONMENT,
    OUTSIDE,
    PATH,
    RESULTS,
    Shelf,
    fake_shelf,
    local_shelf,
    real_shelf,
    refuse_links,
    sandbox_shelf,
)

BOUND = 60  # seconds for another thread


class SourceFailedError(Exception):
    """Fireant's stream broke off."""


@pytest.fixture(scope="module")
def running() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


OURS = ["fake", "folder", "folder without links", "onelake"]
REAL = pytest.param(
    "real",
    marks=[
        pytest.mark.integration,
        pytest.mark.skipif(
            not ENVIRONMENT.get("ONELAKE_LIVE"), reason="not run: no credentials (ONELAKE_LIVE is not set)"
        ),
    ],
)


def shelf_of(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    opened: list[OneLakeStore] = []
    match request.param:
        case "fake":
            yield fake_shelf()
        case "real":
            yield real_shelf(opened)
        case "onelake":
            yield sandbox_shelf(request.getfixturevalue("running"), opened)
        case kind:
            if kind == "folder without links":
                refuse_links(request.getfixturevalue("monkeypatch"))
            yield local_shelf(request.getfixturevalue("tmp_path"))
    for store in opened:
        store.close()


@pytest.fixture(params=[*OURS, REAL])
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    yield from shelf_of(request)


@pytest.fixture(params=OURS)
def own_shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    """Exclude the real lake, where others may be writing files that a sweep would remove."""
    yield from shelf_of(request)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def source_that_fails_at_once() -> Iterator[bytes]:
    yield from map(fail, [b""])


def fail(chunk: bytes) -> bytes:
    raise SourceFailedError


def source_that_breaks_off() -> Iterator[bytes]:
    yield b"x" * (PIECE + 1)
    raise SourceFailedError


class TestAWrite:
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
    def test_stores_a_result_as_it_came(self, shelf: Shelf, chunks: list[bytes]) -> None:
        content = b"".join(chunks)

        stored = shelf.store.write(PATH, iter(chunks))

        assert (stored.size, stored.sha256) == (len(content), sha256(content))
        assert shelf.listing() == {PATH: len(content)}
        assert shelf.content(PATH) == content
        assert list(shelf.everything()) == [f"{RESULTS}/{PATH}"]

    @pytest.mark.parametrize("first", [b"the first", b""])
    def test_leaves_a_path_its_first_content(self, shelf: Shelf, first: bytes) -> None:
        before = shelf.store.write(PATH, [first])

        after = shelf.another().write(PATH, [b"another"])

        assert before == after
        assert shelf.content(PATH) == first
        assert shelf.listing() == {PATH: len(first)}

    def test_of_a_path_that_stands_asks_its_source_for_nothing(self, shelf: Shelf) -> None:
        shelf.store.write(PATH, [b"the first"])

        shelf.store.write(PATH, source_that_fails_at_once())

        assert shelf.content(PATH) == b"the first"

    def test_whose_source_breaks_off_leaves_nothing(self, shelf: Shelf) -> None:
        with pytest.raises(SourceFailedError):
            shelf.store.write(PATH, source_that_breaks_off())

        assert shelf.everything() == {}

    def test_goes_through_after_one_whose_source_broke_off(self, shelf: Shelf) -> None:
        with pytest.raises(SourceFailedError):
            shelf.store.write(PATH, source_that_breaks_off())

        shelf.store.write(PATH, [b"whole"])

        assert shelf.content(PATH) == b"whole"

    def test_cannot_be_seen_by_readers_until_it_is_done(self, shelf: Shelf) -> None:
        """Nor by their globs: nothing of it lies below the results, or is named like one."""
        seen: list[Mapping[str, int]] = []

        def chunks() -> Iterator[bytes]:
            for _ in range(3):
                yield b"x" * (PIECE // 2 + 1)
                seen.append(shelf.everything())

        shelf.store.write(PATH, chunks())

        names = [name for listing in seen for name in listing]
        assert len(names) == 3
        assert all(name.startswith(OUTSIDE) and name.endswith(".part") for name in names), names

    def test_beside_another_of_its_path_leaves_one_whole_file(self, shelf: Shelf) -> None:
        both_have_begun = threading.Barrier(2, timeout=BOUND)

        def write(content: bytes) -> StoredResult:
            def chunks() -> Iterator[bytes]:
                yield content
                both_have_begun.wait()

            return shelf.another().write(PATH, chunks())

        with ThreadPoolExecutor() as writers:
            first, second = writers.map(write, (b"one", b"other"))

        content = shelf.content(PATH)
        assert content in {b"one", b"other"}
        assert first == second
        assert (first.size, first.sha256) == (len(content), sha256(content))
        assert shelf.everything() == {f"{RESULTS}/{PATH}": len(content)}

    def test_that_comes_second_does_not_take_the_name(self, shelf: Shelf) -> None:
        """It looked before the other was there, and has uploaded all of its own bytes."""

        def another_is_faster(_upload: Upload) -> None:
            shelf.another().write(PATH, [b"faster"])

        stored = shelf.store.write(PATH, [b"slow"], WriteObserver(uploaded=another_is_faster))

        assert (stored.size, stored.sha256) == (6, sha256(b"faster"))
        assert shelf.content(PATH) == b"faster"
        assert list(shelf.everything()) == [f"{RESULTS}/{PATH}"]

    def test_of_a_manifest_puts_it_beside_its_result(self, shelf: Shelf) -> None:
        shelf.store.write(PATH, [b"result"])
        shelf.store.write(manifest_path(PATH), [b"manifest"])

        assert shelf.listing() == {PATH: 6, manifest_path(PATH): 8}
        assert PurePosixPath(manifest_path(PATH)).parent == PurePosixPath(PATH).parent
        assert [shelf.content(path) for path in (PATH, manifest_path(PATH))] == [b"result", b"manifest"]


class TestAPath:
    def test_leads_every_store_to_one_place(self, shelf: Shelf) -> None:
        stored = shelf.store.write(PATH, [b"x"])

        assert shelf.another().write(PATH, []).location == stored.location
        assert stored.location.endswith(f"/{PATH}")

    @pytest.mark.parametrize("key", ["a%2Fb", "%2E%2E", "50%25 ? #é", "a.b c", "日本", "..x"])
    def test_is_kept_letter_by_letter(self, shelf: Shelf, key: str) -> None:
        shelf.store.write(f"{key}/x.json", [b"x"])

        assert shelf.listing() == {f"{key}/x.json": 1}
        assert b"".join(shelf.store.read(f"{key}/x.json")) == b"x"

    @pytest.mark.parametrize(
        "path", ["", ".", "a//b", "a/./b", "a/../b", "../x", "a/../../x", "a/ /b", "a\\b", "a/\x00", "a/\n", "/x", "a/"]
    )
    def test_with_more_than_one_reading_is_refused(self, shelf: Shelf, path: str) -> None:
        calls: list[Callable[[], object]] = [
            lambda: shelf.store.write(path, [b"x"]),
            lambda: shelf.store.read_head(path, 10),
            lambda: list(shelf.store.read(path)),
        ]
        for call in calls:
            with pytest.raises(StorageError, match="Nothing was written or read"):
                call()
        assert shelf.everything() == {}


class TestAnObserver:
    def test_is_told_of_an_upload_before_it_has_its_name(self, shelf: Shelf) -> None:
        reported: list[tuple[Upload, Mapping[str, int]]] = []

        shelf.store.write(
            PATH, [b"one", b"two"], WriteObserver(uploaded=lambda up: reported.append((up, shelf.listing())))
        )

        ((upload, seen),) = reported
        assert (upload.size, upload.sha256, seen) == (6, sha256(b"onetwo"), {})
        assert upload.etag

    def test_that_knows_the_upload_spares_reading_it_again(self, shelf: Shelf) -> None:
        reported: list[Upload] = []
        shelf.store.write(PATH, [b"x"], WriteObserver(uploaded=reported.append))
        known = WriteObserver(known_upload=replace(reported[0], sha256="as it was noted"))

        stored = shelf.another().write(PATH, source_that_fails_at_once(), known)

        assert stored.sha256 == "as it was noted"

    @pytest.mark.parametrize("change", [{"etag": "another"}, {"size": 2}])
    def test_that_knows_another_upload_has_it_read(self, shelf: Shelf, change: dict[str, Any]) -> None:
        reported: list[Upload] = []
        shelf.store.write(PATH, [b"x"], WriteObserver(uploaded=reported.append))
        known = WriteObserver(known_upload=replace(reported[0], sha256="of another", **change))

        assert shelf.store.write(PATH, source_that_fails_at_once(), known).sha256 == sha256(b"x")

    def test_that_noted_other_bytes_of_one_length_has_those_read_that_stand(self, shelf: Shelf) -> None:
        reported: list[Upload] = []

        def note(upload: Upload) -> None:
            reported.append(upload)
            shelf.another().write(PATH, [b"1"])

        shelf.store.write(PATH, [b"2"], WriteObserver(uploaded=note))

        assert shelf.store.write(PATH, [], WriteObserver(known_upload=reported[0])).sha256 == sha256(b"1")

    def test_that_lost_its_lease_has_nothing_published(self, shelf: Shelf) -> None:
        def lose(_upload: Upload) -> None:
            raise LeaseLostError

        with pytest.raises(LeaseLostError):
            shelf.store.write(PATH, [b"x"], WriteObserver(uploaded=lose))

        assert shelf.everything() == {}

    def test_may_end_a_reading_of_what_stands(self, shelf: Shelf) -> None:
        shelf.store.write(PATH, [b"x" * (PIECE + 1)])

        def lose() -> NoReturn:
            raise LeaseLostError

        with pytest.raises(LeaseLostError):
            shelf.store.write(PATH, [], WriteObserver(heartbeat=lose))

        assert shelf.listing() == {PATH: PIECE + 1}


class TestReading:
    @pytest.mark.parametrize("size", [0, 1, PIECE + 1])
    def test_gives_a_result_as_it_was_stored(self, shelf: Shelf, size: int) -> None:
        shelf.store.write(PATH, [b"x" * size])

        assert b"".join(shelf.another().read(PATH)) == b"x" * size

    @pytest.mark.parametrize("content", [b"", b"short", b"x" * 5000])
    def test_may_be_of_the_beginning(self, shelf: Shelf, content: bytes) -> None:
        shelf.store.write(PATH, [content])

        assert shelf.another().read_head(PATH, 1000) == content[:1000]

    def test_of_a_result_that_is_not_there_names_it(self, shelf: Shelf) -> None:
        with pytest.raises(StorageError, match=f"The result at .*{PATH} no longer exists"):
            list(shelf.store.read(PATH))
        with pytest.raises(StorageError, match=f"The result at .*{PATH} no longer exists"):
            shelf.store.read_head(PATH, 1000)


class TestASweep:
    FOR_EVERYTHING = timedelta(seconds=-5)

    def test_has_nothing_to_do_where_all_is_done(self, own_shelf: Shelf) -> None:
        assert own_shelf.store.sweep(self.FOR_EVERYTHING) == 0

        own_shelf.store.write(PATH, [b"x"])

        assert own_shelf.store.sweep(self.FOR_EVERYTHING) == 0
        assert own_shelf.listing() == {PATH: 1}

    def test_finds_its_way(self, shelf: Shelf) -> None:
        assert shelf.store.sweep(timedelta(days=7)) >= 0

    def test_leaves_what_is_being_written_however_old(self, own_shelf: Shelf) -> None:
        removed: list[int] = []

        def chunks() -> Iterator[bytes]:
            yield b"x" * (PIECE + 1)
            removed.append(own_shelf.another().sweep(self.FOR_EVERYTHING, [PATH]))
            yield b"y"

        own_shelf.store.write(PATH, chunks())

        assert removed == [0]
        assert own_shelf.listing() == {PATH: PIECE + 2}

    def test_of_what_is_still_being_written_has_nothing_published(self, own_shelf: Shelf) -> None:
        """This takes a worker that continued for a day without its lease."""
        removed: list[int] = []

        def chunks() -> Iterator[bytes]:
            yield b"x" * (PIECE + 1)
            removed.append(own_shelf.another().sweep(self.FOR_EVERYTHING, ["another.json"]))
            yield b"y"

        with pytest.raises(TransientError):
            own_shelf.store.write(PATH, chunks())

        assert removed == [1]
        assert own_shelf.everything() == {}

    def test_stops_after_so_many_and_goes_on_the_next_time(self, own_shelf: Shelf) -> None:
        removed: list[int] = []

        def begun(depth: int) -> Iterator[bytes]:
            yield b"x" * (PIECE + 1)
            if depth:
                with pytest.raises(TransientError):
                    own_shelf.another().write(f"{depth}/{PATH}", begun(depth - 1))
            else:
                removed.extend(own_shelf.another().sweep(self.FOR_EVERYTHING, most=2) for _time in range(3))
            yield b"y"

        with pytest.raises(TransientError):
            own_shelf.store.write(PATH, begun(2))

        assert removed == [2, 1, 0]

    def test_finds_what_a_killed_writer_left_once_it_is_old(self, own_shelf: Shelf) -> None:
        """Nothing of a process that is killed runs on: neither a handler nor a `finally`."""
        holding = threading.Event()
        release = threading.Event()

        def chunks() -> Iterator[bytes]:
            yield b"x" * (PIECE + 1)
            holding.set()
            assert release.wait(BOUND)
            raise SourceFailedError

        def write() -> None:
            with pytest.raises(SourceFailedError):
                own_shelf.store.write(PATH, chunks())

        with ThreadPoolExecutor() as writers:
            writer = writers.submit(write)
            try:
                assert holding.wait(BOUND)
                assert own_shelf.another().sweep(timedelta(hours=1)) == 0
                assert len(own_shelf.everything()) == 1
                assert own_shelf.another().sweep(self.FOR_EVERYTHING) == 1
                assert own_shelf.everything() == {}
            finally:
                release.set()
            writer.result()
