"""Vendors' own clients work against the local OneLake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.storage.filedatalake import FileSystemClient

from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.conf import parse_settings
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.support.lake_client import Client


class TestAzuresOwnClient:
    def test_an_upload_shows_an_empty_file_on_its_way(self, sandbox: OneLakeSandbox, azure: FileSystemClient) -> None:
        seen: list[object] = []
        file = azure.get_file_client("Results.Lakehouse/Files/a")
        file.upload_data(b"first", overwrite=True)
        sandbox.observe = lambda: seen.append(sandbox.listing().get("a"))

        file.upload_data(b"second", overwrite=True)

        sandbox.observe = lambda: None
        assert seen == [0, 0, 6]

    def test_an_upload_of_nothing_makes_no_file(self, sandbox: OneLakeSandbox, azure: FileSystemClient) -> None:
        azure.get_file_client("Results.Lakehouse/Files/a").upload_data(b"")

        assert sandbox.listing() == {}

    def test_files_are_listed_read_and_removed(self, azure: FileSystemClient) -> None:
        file = azure.get_file_client("Results.Lakehouse/Files/a b/c.json")
        file.upload_data(b"12345", overwrite=True)

        (folder, listed) = azure.get_paths("Results.Lakehouse/Files")
        assert (folder.name, folder.is_directory) == ("Results.Lakehouse/Files/a b", True)
        assert (listed.name, listed.content_length) == ("Results.Lakehouse/Files/a b/c.json", 5)
        assert file.download_file().readall() == b"12345"
        assert file.download_file(offset=1, length=2).readall() == b"23"
        file.delete_file()
        assert not file.exists()

    def test_a_retried_rename_fails_falsely(self, sandbox: OneLakeSandbox, azure: FileSystemClient) -> None:
        file = azure.get_file_client("Results.Lakehouse/Files/a")
        file.upload_data(b"12345", overwrite=True)
        sandbox.faults.add("rename", "reset_after_work")

        with pytest.raises(Exception, match="SourcePathNotFound"):
            file.rename_file("Sandbox/Results.Lakehouse/Files/b", match_condition=MatchConditions.IfMissing)

        assert sandbox.listing() == {"b": 5}


class TestOpenDal:
    """An independent client, over the same TLS and with tokens of its own."""

    @pytest.fixture
    def opendal(self) -> Any:
        return pytest.importorskip("opendal", reason="opendal has no wheel for this machine")

    @pytest.fixture
    def operator(self, opendal: Any, sandbox: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
        # It reads its authorities from there once, at its first request.
        monkeypatch.setenv("SSL_CERT_FILE", str(sandbox.ca_file))
        options = sandbox.options
        # The other kind holds Python's lock while it waits, and the sandbox lives in this very process.
        return opendal.AsyncOperator(
            "azdls",
            root="/Results.Lakehouse/Files/from_opendal",
            filesystem=options.workspace,
            endpoint=sandbox.url,
            account_name="onelake",
            authority_host=sandbox.url,
            tenant_id=options.tenant_id,
            client_id=options.client_id,
            client_secret=options.client_secret,
        )

    def test_what_it_writes_it_reads(self, sandbox: OneLakeSandbox, operator: Any) -> None:
        run(operator.write, "a/b c%2F.json", b"123456")

        assert bytes(run(operator.read, "a/b c%2F.json")) == b"123456"
        assert sandbox.listing() == {"from_opendal/a/b c%2F.json": 6}

    def test_it_writes_an_empty_file(self, sandbox: OneLakeSandbox, operator: Any) -> None:
        run(operator.write, "a", b"")

        assert sandbox.listing() == {"from_opendal/a": 0}

    def test_it_sees_sizes_kinds_and_etags(self, client: Client, operator: Any) -> None:
        etag = client.put("from_opendal/a/b", b"123")

        file, folder = run(operator.stat, "a/b"), run(operator.stat, "a/")

        assert (file.content_length, file.etag, file.mode.is_file()) == (3, etag, True)
        assert folder.mode.is_dir()

    def test_it_lists(self, client: Client, operator: Any) -> None:
        for name in ("a/b", "a/c/d", "e"):
            client.put(f"from_opendal/{name}", b"1")

        async def names() -> list[str]:
            return [entry.path async for entry in await operator.scan("")]

        assert sorted(run(names)) == ["/", "a/", "a/b", "a/c/", "a/c/d", "e"]

    def test_it_reads_a_part(self, client: Client, operator: Any) -> None:
        client.put("from_opendal/a", b"123456")

        async def part() -> bytes:
            async with await operator.open("a", "rb") as file:
                await file.seek(2)
                return bytes(await file.read(3))

        assert run(part) == b"345"

    def test_it_renames_appends_and_removes(self, sandbox: OneLakeSandbox, operator: Any) -> None:
        run(operator.write, "a/b", b"123")
        run(operator.rename, "a/b", "c/d")
        assert sandbox.listing() == {"from_opendal/c/d": 3}

        run(operator.write, "c/d", b"45", append=True)
        assert sandbox.content("Files/from_opendal/c/d") == b"12345"

        run(operator.delete, "c/d")
        assert not run(operator.exists, "c/d")

    def test_it_does_not_overwrite_what_it_must_not(self, opendal: Any, sandbox: OneLakeSandbox, operator: Any) -> None:
        run(operator.write, "a", b"123")

        with pytest.raises(opendal.exceptions.ConditionNotMatch, match="PathAlreadyExists"):
            run(operator.write, "a", b"4", if_not_exists=True)

        assert sandbox.content("Files/from_opendal/a") == b"123"

    def test_it_makes_and_removes_folders(self, sandbox: OneLakeSandbox, operator: Any) -> None:
        run(operator.create_dir, "a/b/")
        run(operator.create_dir, "a/b/")
        run(operator.write, "a/b/c", b"1")

        run(operator.remove_all, "a/")

        assert sandbox.listing() == {}
        assert not run(operator.exists, "a/")

    def test_it_is_told_of_what_is_not_there(self, opendal: Any, operator: Any) -> None:
        with pytest.raises(opendal.exceptions.NotFound):
            run(operator.read, "nothing")

    def test_it_reads_what_the_product_stored(self, sandbox: OneLakeSandbox, operator: Any) -> None:
        overrides = sandbox.settings_overrides() | {"FABRIC_RESULTS_PATH": "from_opendal"}
        store = OneLakeStore(parse_settings(overrides, {})[0])

        stored = store.write("7/x.json", [b"12", b"34"])
        store.close()

        assert bytes(run(operator.read, "7/x.json")) == b"1234"
        assert stored.size == 4


def run(ask: Callable[..., Any], *given: Any, **options: Any) -> Any:
    """Asks opendal, whose calls must be made in a loop that runs, and waits for the answer."""

    async def answer() -> Any:
        return await ask(*given, **options)

    return asyncio.run(answer())
