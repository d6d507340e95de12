"""The contract of `FileFolder`: a local folder and one of the local lake behave alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from report_orchestrator.adapters.local.folder import LocalFolder
from report_orchestrator.adapters.onelake.folder import LakeFolder
from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.exceptions import ConfigurationError, OrchestratorError, StorageError, TransientError
from report_orchestrator.ports import FileFolder
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.support.onelake_settings import settings_for

FILES = {"77.json": b'{"meta": {}}', "12/deep/er/result-78.json": b"[]", "12/empty.json": b"", "a b ü%2F.json": b"1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    folder: FileFolder
    missing: FileFolder
    put: Callable[[str, bytes], None]


@pytest.fixture(scope="module")
def running() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: OneLakeSandbox) -> OneLakeSandbox:
    running.clear()
    return running


@pytest.fixture
def lake(sandbox: OneLakeSandbox) -> Iterator[Place]:
    settings = settings_for(sandbox, FABRIC_RESULTS_PATH="old/results")
    store = OneLakeStore(settings)
    with LakeFolder(settings, "/Files/old/results/") as folder, LakeFolder(settings, "Files/none") as missing:
        yield Place(folder=folder, missing=missing, put=lambda path, content: _write(store, path, content))
    store.close()


def _write(store: OneLakeStore, path: str, content: bytes) -> None:
    store.write(path, [content])


def local_place(root: Path) -> Place:
    def put(path: str, content: bytes) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)

    return Place(folder=LocalFolder(root), missing=LocalFolder(root / "none"), put=put)


@pytest.fixture(params=["local", "onelake"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return local_place(tmp_path) if request.param == "local" else request.getfixturevalue("lake")


def test_all_files_are_listed_and_read(place: Place) -> None:
    for path, content in FILES.items():
        place.put(path, content)
    files = place.folder.files(100)
    assert {file.path: file.size for file in files} == {path: len(content) for path, content in FILES.items()}
    assert {file.path: place.folder.read(file) for file in files} == FILES


def test_a_listing_ends_at_its_bound(place: Place) -> None:
    for path, content in FILES.items():
        place.put(path, content)
    assert len(place.folder.files(2)) == 2


def test_a_missing_folder_is_named(place: Place) -> None:
    with pytest.raises(StorageError, match=r"none (cannot be read|does not exist in OneLake): .* Correct"):
        place.missing.files(10)


def test_a_file_that_is_gone_is_named(place: Place, sandbox: OneLakeSandbox) -> None:
    place.put("77.json", b"{}")
    [file] = place.folder.files(10)
    if isinstance(place.folder, LocalFolder):
        (place.folder._root / file.path).unlink()
    else:
        sandbox.clear()
    with pytest.raises(OrchestratorError, match=r"cannot be read|was removed or replaced in OneLake"):
        place.folder.read(file)


def test_by_guid_the_lakehouse_is_the_same(sandbox: OneLakeSandbox, lake: Place) -> None:
    lake.put("12/77.json", b"{}")
    with LakeFolder(settings_for(sandbox, by_guid=True), "Files/old") as folder:
        [file] = folder.files(10)
        assert (file.path, folder.read(file)) == ("results/12/77.json", b"{}")


@pytest.mark.parametrize("path", ["", "Tables/old", "old", "Files/../Tables", "Files//old", "Files\\old"])
def test_a_path_outside_the_files_is_refused(sandbox: OneLakeSandbox, path: str) -> None:
    with pytest.raises(ConfigurationError, match="onelake:Files/old"):
        LakeFolder(settings_for(sandbox), path)


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (503, TransientError, "OneLake cannot return the file at the moment: 503"),
        (412, TransientError, "was removed or replaced in OneLake while it was read: 412 .* Read it again."),
        (401, ConfigurationError, "rejected the token.* then read the file again."),
        (403, ConfigurationError, "denied access.* Then read the file again."),
        (400, StorageError, "OneLake does not return the file: 400 .* then read the file again."),
    ],
)
def test_errors_are_worded_for_a_reader(
    sandbox: OneLakeSandbox, lake: Place, status: int, kind: type[OrchestratorError], message: str
) -> None:
    lake.put("77.json", b"{}")
    [file] = lake.folder.files(10)
    sandbox.faults.add("read", "status_code", status=status, times=2)
    with pytest.raises(kind, match=message) as caught:
        lake.folder.read(file)
    assert "upload" not in caught.value.message
    assert "run" not in caught.value.message.split()
