"""The folder's own promises, beyond the contract of every store: its file system."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from report_orchestrator.adapters import background_thread
from report_orchestrator.adapters.local.folders import private_umask
from report_orchestrator.adapters.local.store import PIECE, LocalFiles, _adopted
from report_orchestrator.exceptions import ConfigurationError, LeaseLostError, StorageError, TransientError
from report_orchestrator.ports import WriteObserver
from tests.support.store_kinds import PATH, RESULTS, local_shelf, refuse_links


def current_umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class TestAFolder:
    def test_that_can_neither_link_nor_spare_takes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse_links(monkeypatch)
        monkeypatch.setattr("report_orchestrator.adapters.local.atomic_rename._SPARING", 1 << 20)  # it answers EINVAL
        shelf = local_shelf(tmp_path)

        with pytest.raises(ConfigurationError, match=r"RESULT_ROOT .* neither hard links nor renames"):
            shelf.store.write(PATH, [b"x"])

        assert shelf.everything() == {}

    def test_whose_system_library_knows_no_such_rename_takes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse_links(monkeypatch)
        monkeypatch.setattr("ctypes.CDLL", lambda *_given, **_options: object())

        with pytest.raises(ConfigurationError, match="RESULT_ROOT"):
            local_shelf(tmp_path).store.write(PATH, [b"x"])

    def test_that_fails_otherwise_is_reported_as_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_paths: object) -> NoReturn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "link", full)

        with pytest.raises(TransientError) as raised:
            local_shelf(tmp_path).store.write(PATH, [b"x"])
        assert raised.value.code == "no_space"

    @pytest.mark.parametrize(
        "path", ["../escape", "..", "/etc", "", "a/..", "_report_orchestrator/tmp", "tables", "x\0y"]
    )
    def test_of_results_is_inside_the_root(self, tmp_path: Path, path: str) -> None:
        with pytest.raises(ConfigurationError, match=r"FABRIC_RESULTS_PATH is .* below RESULT_ROOT"):
            LocalFiles(tmp_path, path)

    @pytest.mark.parametrize("link", ["_report_orchestrator", "_report_orchestrator/tmp"])
    def test_of_temporary_files_may_be_no_link(self, tmp_path: Path, link: str) -> None:
        elsewhere, root = tmp_path / "elsewhere", tmp_path / "root"
        (elsewhere / "tmp").mkdir(parents=True)
        others = [elsewhere / "x.part", elsewhere / "tmp" / "x.part"]
        for other in others:
            other.write_text("another's")
            os.utime(other, (0, 0))
        (root / link).parent.mkdir(parents=True)
        (root / link).symlink_to(elsewhere)
        store = local_shelf(root).store

        with pytest.raises(ConfigurationError, match=r"is a link, or below one"):
            store.write(PATH, [b"x"])
        with pytest.raises(ConfigurationError, match=r"is a link, or below one"):
            store.sweep(timedelta(0))

        assert all(other.exists() for other in others)

    def test_that_is_linked_out_of_the_root_takes_no_results(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "root").mkdir()
        (tmp_path / "root" / RESULTS).symlink_to(tmp_path / "elsewhere")

        with pytest.raises(StorageError, match="is outside RESULT_ROOT"):
            local_shelf(tmp_path / "root").store.write(PATH, [b"x"])

        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_may_itself_be_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "root").symlink_to(tmp_path / "disk")
        assert local_shelf(tmp_path / "root").store.write(PATH, [b"x"]).size == 1

    def test_with_links_in_a_circle_takes_nothing_at_that_place(self, tmp_path: Path) -> None:
        (tmp_path / RESULTS).mkdir(parents=True)
        (tmp_path / RESULTS / "x.json").symlink_to(tmp_path / RESULTS / "x.json")
        with pytest.raises(StorageError, match="is no file"):
            local_shelf(tmp_path).store.write("x.json", [b"x"])

    def test_hides_results_from_other_users(self, tmp_path: Path) -> None:
        before = os.umask(0o022)
        try:
            local_shelf(tmp_path / "root").store.write("a/x.json", [b"x"])
        finally:
            os.umask(before)
        modes = {
            path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")
        }
        assert modes == {
            "root": 0o750,
            "root/_report_orchestrator": 0o750,
            "root/_report_orchestrator/tmp": 0o750,
            f"root/{RESULTS}": 0o750,
            f"root/{RESULTS}/a": 0o750,
            f"root/{RESULTS}/a/x.json": 0o640,
        }

    def test_restores_the_umask_after_the_last_of_its_users(self) -> None:
        before = os.umask(0o022)
        try:
            with private_umask:
                with private_umask:
                    assert current_umask() == 0o027
                assert current_umask() == 0o027
            assert current_umask() == 0o022
            with pytest.raises(OSError, match="full"), private_umask:
                raise OSError("full")
            assert current_umask() == 0o022
        finally:
            os.umask(before)

    def test_is_cleaned_of_old_files_only(self, tmp_path: Path) -> None:
        folder = tmp_path / "_report_orchestrator" / "tmp"
        (folder / "folder.part").mkdir(parents=True)
        os.mkfifo(folder / "pipe.part")
        (folder / "link.part").symlink_to(tmp_path / "nowhere")
        (folder / "file.part").touch()

        assert local_shelf(tmp_path).store.sweep(timedelta(0)) == 1

        assert sorted(path.name for path in folder.iterdir()) == ["folder.part", "link.part", "pipe.part"]

    def test_with_a_link_out_of_it_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "root" / RESULTS).mkdir(parents=True)
        (tmp_path / "root" / RESULTS / "a").symlink_to(tmp_path / "elsewhere")

        with pytest.raises(StorageError, match="is outside RESULT_ROOT"):
            local_shelf(tmp_path / "root").store.write("a/x.json", [b"x"])

        assert list((tmp_path / "elsewhere").iterdir()) == []

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
    def test_with_something_else_in_a_results_place_is_refused_at_once(
        self, tmp_path: Path, make: Callable[[Path], None]
    ) -> None:
        shelf = local_shelf(tmp_path)
        final = tmp_path / RESULTS / PATH
        final.parent.mkdir(parents=True)
        make(final)

        for act in (
            lambda: shelf.store.write(PATH, [b"x"]),
            lambda: list(shelf.store.read(PATH)),
            lambda: shelf.store.read_head(PATH, 10),
        ):
            with pytest.raises(StorageError, match="is no file"):
                act()

    def test_is_synced_while_it_grows_and_keeps_the_lease_after_that(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A disk that is asked once, at the end of several GiB, may be silent for longer than a lease."""
        monkeypatch.setattr("report_orchestrator.adapters.local.store.SYNCED", 10)
        happened: list[str] = []
        monkeypatch.setattr(os, "fsync", lambda file: happened.append(f"synced {os.fstat(file).st_size}"))

        local_shelf(tmp_path).store.write(
            PATH,
            [b"x" * 4] * 7,
            WriteObserver(heartbeat=lambda: happened.append("kept"), uploaded=lambda _upload: happened.append("noted")),
        )

        assert happened[happened.index("synced 12") :][:7] == [
            "synced 12",
            "kept",
            "synced 24",
            "kept",
            "synced 28",
            "kept",
            "noted",
        ]

    def test_keeps_the_lease_at_each_piece_that_is_read_back(self, tmp_path: Path) -> None:
        store = local_shelf(tmp_path).store
        store.write(PATH, [b"x" * (2 * PIECE + 1)])
        kept: list[None] = []

        store.write(PATH, [], WriteObserver(heartbeat=lambda: kept.append(None)))

        assert len(kept) == 3


class TestASlowDisk:
    @pytest.fixture(autouse=True)
    def _quickly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(background_thread, "HEARTBEAT_SECONDS", 0.01)

    def test_keeps_the_lease_while_it_syncs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        beats = Beats(6)
        sync = os.fsync

        def slow(number: int) -> None:
            if stat.S_ISREG(os.fstat(number).st_mode):
                assert beats.enough.wait(10)
            sync(number)

        monkeypatch.setattr(os, "fsync", slow)
        local_shelf(tmp_path).store.write(PATH, [b"x"], WriteObserver(heartbeat=beats))
        assert beats.enough.is_set()

    def test_keeps_the_lease_while_a_stored_result_is_read(self, tmp_path: Path) -> None:
        pipe, beats = tmp_path / "pipe", Beats(6)
        os.mkfifo(pipe)

        def write_slowly() -> None:
            with pipe.open("wb") as opened:
                assert beats.enough.wait(10)
                opened.write(b"x")

        writer = threading.Thread(target=write_slowly)
        writer.start()
        assert _adopted(pipe, WriteObserver(heartbeat=beats)).size == 1
        writer.join(10)

    def test_ends_the_reading_of_a_lost_run(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)

        def lost() -> NoReturn:
            raise LeaseLostError

        silent = os.open(pipe, os.O_RDWR)
        try:
            with pytest.raises(LeaseLostError):
                _adopted(pipe, WriteObserver(heartbeat=lost))
        finally:
            os.write(silent, b"end")  # and of the reader's thread
            os.close(silent)


class Beats:
    """Counts heartbeats, and sets `enough` once there were enough."""

    def __init__(self, enough: int) -> None:
        self.enough = threading.Event()
        self._missing = enough

    def __call__(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self.enough.set()
