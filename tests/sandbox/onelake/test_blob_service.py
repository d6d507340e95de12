"""The local OneLake responds to Blob requests as Azurite does, Microsoft's emulator of the Blob service.

Azurite knows no Data Lake requests and no OneLake, so it holds this half alone. It comes from npm, where Node is; once installed
it stays in `var/`.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobPrefix, ContainerClient

from report_orchestrator.adapters.onelake.connection import Credential
from report_orchestrator.conf import parse_settings
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.demo.environment import PATIENCE, ROOT, end_group, free_port

VERSION = "3.35.0"
FOLDER = "Results.Lakehouse/Files/blobs"
ACCOUNT = "devstoreaccount1"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerClient]:
    """A container of an Azurite in memory, under a key of this test's own."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Node is not here")
    program = installed(ROOT / "var" / "azurite", npm)
    port, key = free_port(), base64.b64encode(b"a key for this test").decode()
    with (tmp_path_factory.mktemp("azurite") / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--blobPort", str(port), "--inMemoryPersistence", "--silent", "--skipApiVersionCheck"],
            stdout=log,
            stderr=log,
            env={"PATH": str(Path(shutil.which("node") or "").parent), "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
            start_new_session=True,
        )
    try:
        await_listening(port, process)
        with ContainerClient(
            f"http://127.0.0.1:{port}/{ACCOUNT}", "workspace", credential=key, retry_total=0
        ) as client:
            client.create_container()
            yield client
    finally:
        end_group(process)


def installed(folder: Path, npm: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "node_modules" / ".bin" / "azurite-blob"
    manifest = folder / "node_modules" / "azurite" / "package.json"
    if not (manifest.is_file() and json.loads(manifest.read_text())["version"] == VERSION):
        try:
            subprocess.run(
                [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, f"azurite@{VERSION}"],
                check=True,
                timeout=180,
                capture_output=True,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"Azurite cannot be installed: {error}")
    return str(program)


def await_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionError:
            time.sleep(0.05)
    pytest.fail("Azurite did not start")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ContainerClient]:
    with OneLakeSandbox() as lake:
        settings, problems = parse_settings(lake.settings_overrides(), {})
        assert problems == []
        with ContainerClient(
            lake.url,
            lake.options.workspace,
            credential=Credential(settings),
            connection_verify=settings.fabric_ca_file,
            retry_total=0,
        ) as client:
            yield client


@pytest.fixture(params=["sandbox", "azurite"])
def container(request: pytest.FixtureRequest) -> ContainerClient:
    client: ContainerClient = request.getfixturevalue(request.param)
    return client


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> str:
    return f"{FOLDER}/{request.node.originalname}"


def test_a_blob_is_read_as_it_was_put(container: ContainerClient, folder: str) -> None:
    blob = container.get_blob_client(f"{folder}/a b%2F.json")
    blob.upload_blob(b"123456")

    assert blob.download_blob().readall() == b"123456"
    assert blob.download_blob(offset=1, length=3).readall() == b"234"
    assert (blob.get_blob_properties().size, blob.get_blob_properties().blob_type) == (6, "BlockBlob")


def test_an_empty_blob_stands(container: ContainerClient, folder: str) -> None:
    blob = container.get_blob_client(f"{folder}/empty")
    blob.upload_blob(b"")

    assert blob.get_blob_properties().size == 0


def test_a_blob_is_put_only_where_none_stands(container: ContainerClient, folder: str) -> None:
    """A commit of Delta Lake depends on it."""
    blob = container.get_blob_client(f"{folder}/00000000000000000000.json")
    blob.upload_blob(b"first", overwrite=False)

    with pytest.raises(ResourceExistsError) as refused:
        blob.upload_blob(b"second", overwrite=False)

    assert refused.value.status_code == 409
    assert blob.download_blob().readall() == b"first"


def test_blocks_are_seen_when_their_list_comes_and_in_its_order(container: ContainerClient, folder: str) -> None:
    blob = container.get_blob_client(f"{folder}/a")
    for name in ("2", "1", "3"):
        blob.stage_block(name, name.encode() * 3)
    assert not blob.exists()

    blob.commit_block_list([BlobBlock("1"), BlobBlock("2")])

    assert blob.download_blob().readall() == b"111222"


def test_a_list_with_a_block_that_was_not_sent_is_refused(container: ContainerClient, folder: str) -> None:
    blob = container.get_blob_client(f"{folder}/a")
    blob.stage_block("1", b"1")

    with pytest.raises(HttpResponseError) as refused:
        blob.commit_block_list([BlobBlock("1"), BlobBlock("2")])

    assert (refused.value.status_code, blob.exists()) == (400, False)


def test_an_etag_changes_with_the_content(container: ContainerClient, folder: str) -> None:
    blob = container.get_blob_client(f"{folder}/a")
    blob.upload_blob(b"1")
    first = blob.get_blob_properties().etag
    blob.upload_blob(b"2", overwrite=True)

    assert blob.get_blob_properties().etag != first
    with pytest.raises(HttpResponseError) as refused:
        blob.download_blob(etag=first, match_condition=MatchConditions.IfNotModified)
    assert refused.value.status_code == 412


def test_names_are_listed_by_prefix_and_gathered_by_delimiter(container: ContainerClient, folder: str) -> None:
    for name in ("b", "a/1", "a/2", "c"):
        container.upload_blob(f"{folder}/{name}", b"12")

    listed = [(blob.name.removeprefix(f"{folder}/"), blob.size) for blob in container.list_blobs(f"{folder}/")]
    walked = list(container.walk_blobs(f"{folder}/"))

    assert listed == [("a/1", 2), ("a/2", 2), ("b", 2), ("c", 2)]
    assert sorted(each.name.removeprefix(f"{folder}/") for each in walked) == ["a/", "b", "c"]
    assert [each.name.removeprefix(f"{folder}/") for each in walked if isinstance(each, BlobPrefix)] == ["a/"]


def test_what_is_not_there_is_not_found(container: ContainerClient, folder: str) -> None:
    blob = container.get_blob_client(f"{folder}/a")
    assert not blob.exists()
    with pytest.raises(ResourceNotFoundError):
        blob.download_blob()
    with pytest.raises(ResourceNotFoundError):
        blob.delete_blob()


def test_a_blob_is_deleted(container: ContainerClient, folder: str) -> None:
    blob = container.get_blob_client(f"{folder}/a")
    blob.upload_blob(b"1")

    blob.delete_blob()

    assert not blob.exists()
