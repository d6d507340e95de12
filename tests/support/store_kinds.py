"""Stores of each kind with a view of their contents, for the contract tests."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NoReturn

import pytest

from report_orchestrator.adapters.local.store import LocalFiles
from report_orchestrator.adapters.onelake.address import folder_of
from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.conf import Settings, parse_settings
from report_orchestrator.domain.paths import result_path
from report_orchestrator.ports import ResultStore
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.testing import FakeStore

# Read now: every test's own environment is without the developer's settings.
ENVIRONMENT = dict(os.environ)

PATH = result_path(report_key="7", run_date=date(2026, 7, 1), reference=uuid.UUID(int=11))
RESULTS = "report_results"
OUTSIDE = "_report_orchestrator/tmp/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A store and its contents: paths and sizes of results, and of all files with the results folder in front."""

    store: ResultStore
    another: Callable[[], ResultStore]
    """Another store over the same place, as another worker has it."""
    listing: Callable[[], Mapping[str, int]]
    everything: Callable[[], Mapping[str, int]]
    content: Callable[[str], bytes]


def fake_shelf() -> Shelf:
    fake = FakeStore()

    def everything() -> dict[str, int]:
        begun = {f"{OUTSIDE}{id(each)}.part": len(each.content) for each in list(fake.unfinished)}
        return begun | {f"{RESULTS}/{path}": len(content) for path, content in fake.files.items()}

    return Shelf(
        store=fake,
        another=lambda: FakeStore(files=fake.files, unfinished=fake.unfinished),
        listing=lambda: {path: len(content) for path, content in fake.files.items()},
        everything=everything,
        content=lambda path: fake.files[path],
    )


def local_shelf(root: Path) -> Shelf:
    def listing(folder: Path) -> dict[str, int]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}

    return Shelf(
        store=LocalFiles(root, RESULTS),
        another=lambda: LocalFiles(root, RESULTS),
        listing=lambda: listing(root / RESULTS),
        everything=lambda: listing(root),
        content=lambda path: (root / RESULTS / path).read_bytes(),
    )


def settings_with(given: Mapping[str, object], environment: Mapping[str, str]) -> Settings:
    settings, problems = parse_settings({"RESULT_STORE": "onelake", **given}, environment)
    assert problems == []
    return settings


def sandbox_shelf(sandbox: OneLakeSandbox, opened: list[OneLakeStore]) -> Shelf:
    sandbox.clear()
    settings = settings_with({**sandbox.settings_overrides(), "TIMEOUT_SECONDS": 10}, {})
    return Shelf(
        store=remembered(opened, settings),
        another=lambda: remembered(opened, settings),
        listing=lambda: sandbox.listing(f"Files/{RESULTS}"),
        everything=sandbox.listing,
        content=lambda path: sandbox.content(f"Files/{RESULTS}/{path}"),
    )


def real_shelf(opened: list[OneLakeStore]) -> Shelf:
    """Yield a new folder in the real lake. Outside it, only the writes of `PATH` are checked."""
    results = f"_report_orchestrator_contract/{uuid.uuid4()}"
    settings = settings_with({"FABRIC_RESULTS_PATH": results}, ENVIRONMENT)
    store = remembered(opened, settings)

    def below(folder: str) -> dict[str, int]:
        files = (each for each in store._files.below(folder) if not each.is_folder)
        standing = {each.path: store._files.info(each.path) for each in files}
        return {path[len(folder) + 1 :]: seen.size for path, seen in standing.items() if seen is not None}

    def listing() -> dict[str, int]:
        return below(f"{store._address.lakehouse}/Files/{results}")

    def everything() -> dict[str, int]:
        begun = below(f"{store._address.temporary_root}/{folder_of(PATH)}")
        return {f"{OUTSIDE}{name}": size for name, size in begun.items()} | {
            f"{RESULTS}/{name}": size for name, size in listing().items()
        }

    return Shelf(
        store=store,
        another=lambda: remembered(opened, settings),
        listing=listing,
        everything=everything,
        content=lambda path: b"".join(store.read(path)),
    )


def remembered(opened: list[OneLakeStore], settings: Settings) -> OneLakeStore:
    opened.append(OneLakeStore(settings))
    return opened[-1]


def refuse_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse hard links, as exFAT does."""

    def refused(*_paths: object) -> NoReturn:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
