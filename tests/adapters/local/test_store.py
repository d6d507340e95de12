"""The folder's own promises, beyond the contract of every store: its file system."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from report_orchestrator.adapters.local.store import PIECE
from report_orchestrator.exceptions import ConfigurationError, StorageError, TransientError
from report_orchestrator.ports import WriteObserver
from tests.support.store_kinds import PATH, RESULTS, local_shelf, refuse_links


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
