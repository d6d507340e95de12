"""The local OneLake keeps to what the real one documents, whoever asks; and misbehaves exactly as it is told.

`opendal` knows nothing of this project or of Azure's SDK: what it and the SDK both understand is not our invention.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core import MatchConditions
from azure.storage.filedatalake import FileSystemClient
from django.core.management import CommandError, call_command

from report_orchestrator.adapters.onelake import OneLakeStore
from report_orchestrator.adapters.onelake_client import Credential
from report_orchestrator.conf import parse_settings
from report_orchestrator.management.commands.onelake_sandbox import Command
from report_orchestrator.sandbox.onelake import OneLakeOptions, OneLakeSandbox
from report_orchestrator.sandbox.onelake_entra import SCOPE
from report_orchestrator.sandbox.onelake_faults import LakeEndpoint, LakeFaultKind

FOLDER = "/Sandbox/Results.Lakehouse/Files"
SECONDS_TO_ANSWER = 10

RUN_THE_COMMAND = """
import sys
from django.conf import settings
settings.configure()
from report_orchestrator.management.commands.onelake_sandbox import Command
Command().run_from_argv(["manage.py", "onelake_sandbox", *sys.argv[1:]])
"""


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Plain requests with a token."""

    def __init__(self, sandbox: OneLakeSandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.sign_in()

    def token(self, **changes: str) -> requests.Response:
        options = self.sandbox.options
        form = {
            "grant_type": "client_credentials",
            "client_id": options.client_id,
            "client_secret": options.client_secret,
            "scope": SCOPE,
        }
        return self.send("POST", f"/{options.tenant_id}/oauth2/v2.0/token", data={**form, **changes})

    def sign_in(self) -> None:
        self.session.headers["Authorization"] = f"Bearer {self.token().json()['access_token']}"

    def send(self, method: str, path: str, **given: Any) -> requests.Response:
        # Not the session's, which a REQUESTS_CA_BUNDLE of the machine would beat.
        given = {"timeout": SECONDS_TO_ANSWER, "verify": str(self.sandbox.ca_file), **given}
        return self.session.request(method, self.sandbox.url + path, **given)

    def put(self, name: str, content: bytes = b"") -> str:
        """A flushed file; returns its ETag."""
        self.send("PUT", f"{FOLDER}/{name}?resource=file")
        self.send("PATCH", f"{FOLDER}/{name}?action=append&position=0", data=content)
        flushed = self.send("PATCH", f"{FOLDER}/{name}?action=flush&position={len(content)}")
        return flushed.headers["ETag"]

    def word(self, method: str, path: str, **given: Any) -> tuple[int, str]:
        """A refusal's status and word, which its body must repeat."""
        answer = self.send(method, path, **given)
        if answer.content:
            assert answer.json()["error"]["code"] == answer.headers["x-ms-error-code"]
        return answer.status_code, answer.headers["x-ms-error-code"]


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running(clock: Clock) -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox(clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: OneLakeSandbox) -> Iterator[OneLakeSandbox]:
    running.clear()
    yield running
    running.faults.assert_all_fired()


@pytest.fixture
def client(sandbox: OneLakeSandbox) -> Iterator[Client]:
    client = Client(sandbox)
    sandbox.clear()
    yield client
    client.session.close()


@pytest.fixture
def azure(sandbox: OneLakeSandbox) -> Iterator[FileSystemClient]:
    """The SDK, as it comes out of the box but for its waits between retries."""
    settings, _problems = parse_settings(sandbox.settings_overrides(), {})
    with FileSystemClient(
        sandbox.url,
        sandbox.options.workspace,
        credential=Credential(settings),
        connection_verify=str(sandbox.ca_file),
        initial_backoff=0,
        increment_base=0,
        random_jitter_range=0,
    ) as client:
        yield client


class TestFiles:
    def test_a_file_is_empty_until_it_is_flushed(self, client: Client) -> None:
        assert client.send("PUT", f"{FOLDER}/a/b.json?resource=file").status_code == 201
        append = client.send("PATCH", f"{FOLDER}/a/b.json?action=append&position=0", data=b"1234")
        assert append.status_code == 202
        assert client.send("GET", f"{FOLDER}/a/b.json").content == b""

        flush = client.send("PATCH", f"{FOLDER}/a/b.json?action=flush&position=4")

        assert flush.status_code == 200
        assert client.send("GET", f"{FOLDER}/a/b.json").content == b"1234"

    def test_an_etag_changes_with_a_create_and_a_flush_and_survives_a_rename(self, client: Client) -> None:
        created = client.send("PUT", f"{FOLDER}/a.json?resource=file").headers["ETag"]
        client.send("PATCH", f"{FOLDER}/a.json?action=append&position=0", data=b"1")
        appended = client.send("HEAD", f"{FOLDER}/a.json").headers["ETag"]
        flushed = client.send("PATCH", f"{FOLDER}/a.json?action=flush&position=1").headers["ETag"]
        renamed = client.send("PUT", f"{FOLDER}/b.json", headers={"x-ms-rename-source": f"{FOLDER}/a.json"})

        assert created == appended != flushed
        assert (renamed.status_code, "ETag" in renamed.headers) == (201, False)
        assert client.send("HEAD", f"{FOLDER}/b.json").headers["ETag"] == flushed
        assert client.send("HEAD", f"{FOLDER}/a.json").status_code == 404

    def test_pieces_may_come_in_any_order_and_twice(self, client: Client) -> None:
        client.send("PUT", f"{FOLDER}/a?resource=file")
        for position, piece in ((2, b"34"), (0, b"xx"), (0, b"12")):
            client.send("PATCH", f"{FOLDER}/a?action=append&position={position}", data=piece)

        client.send("PATCH", f"{FOLDER}/a?action=flush&position=4")

        assert client.send("GET", f"{FOLDER}/a").content == b"1234"

    def test_a_flush_that_is_too_short_cuts_without_a_word(self, client: Client) -> None:
        client.send("PUT", f"{FOLDER}/a?resource=file")
        client.send("PATCH", f"{FOLDER}/a?action=append&position=0", data=b"1234")

        assert client.send("PATCH", f"{FOLDER}/a?action=flush&position=2").status_code == 200
        assert client.send("GET", f"{FOLDER}/a").content == b"12"

    @pytest.mark.parametrize(
        ("query", "refused"),
        [
            ("action=flush", (400, "MissingRequiredQueryParameter")),
            ("action=flush&position=x", (400, "InvalidQueryParameterValue")),
            ("action=flush&position=5", (400, "InvalidFlushPosition")),
            ("action=append&position=0", (400, "InvalidFlushPosition")),
        ],
    )
    def test_bytes_that_do_not_fit_are_refused(
        self, client: Client, query: str, refused: tuple[int, str]
    ) -> None:
        client.put("a", b"1234")

        assert client.word("PATCH", f"{FOLDER}/a?{query}", data=b"") == refused

    def test_a_gap_is_refused(self, client: Client) -> None:
        client.send("PUT", f"{FOLDER}/a?resource=file")
        client.send("PATCH", f"{FOLDER}/a?action=append&position=3", data=b"4")

        assert client.word("PATCH", f"{FOLDER}/a?action=flush&position=4") == (400, "InvalidFlushPosition")

    def test_bytes_that_were_damaged_on_the_way_are_refused(self, client: Client) -> None:
        client.send("PUT", f"{FOLDER}/a?resource=file")

        assert client.word(
            "PATCH",
            f"{FOLDER}/a?action=append&position=0",
            data=b"1",
            headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="},
        ) == (400, "Md5Mismatch")

    def test_a_part_of_a_file_can_be_read(self, client: Client) -> None:
        etag = client.put("a", b"123456")

        part = client.send("GET", f"{FOLDER}/a", headers={"Range": "bytes=1-3"})

        assert (part.status_code, part.content) == (206, b"234")
        assert (part.headers["Content-Range"], part.headers["ETag"]) == ("bytes 1-3/6", etag)
        assert client.word("GET", f"{FOLDER}/a", headers={"x-ms-range": "bytes=6-9"}) == (416, "InvalidRange")

    def test_a_head_says_what_a_read_would_bring(self, client: Client) -> None:
        etag = client.put("a/b", b"123456")

        file, folder = client.send("HEAD", f"{FOLDER}/a/b"), client.send("HEAD", f"{FOLDER}/a")

        assert (file.headers["Content-Length"], file.headers["ETag"]) == ("6", etag)
        assert (file.headers["x-ms-resource-type"], folder.headers["x-ms-resource-type"]) == (
            "file",
            "directory",
        )

    def test_a_condition_is_kept(self, client: Client) -> None:
        etag, stale = client.put("a", b"1"), '"0x1"'
        path = f"{FOLDER}/a"

        assert client.send("GET", path, headers={"If-None-Match": etag}).status_code == 304
        assert client.word("GET", path, headers={"If-Match": stale}) == (412, "ConditionNotMet")
        assert client.word("PUT", f"{path}?resource=file", headers={"If-None-Match": "*"}) == (
            409,
            "PathAlreadyExists",
        )
        assert client.word("PUT", f"{path}?resource=file", headers={"If-Match": stale})[0] == 412
        assert client.word("PATCH", f"{path}?action=flush&position=1", headers={"If-Match": stale})[0] == 412
        assert client.word("DELETE", path, headers={"If-Match": stale})[0] == 412
        assert client.send("GET", path).content == b"1"

    def test_a_rename_overwrites_unless_it_is_told_not_to(self, client: Client) -> None:
        client.put("a", b"1")
        client.put("b", b"22")
        source = {"x-ms-rename-source": f"{FOLDER}/a"}

        refused = client.word("PUT", f"{FOLDER}/b", headers={**source, "If-None-Match": "*"})
        assert refused == (409, "PathAlreadyExists")
        assert client.send("GET", f"{FOLDER}/b").content == b"22"
        assert client.send("PUT", f"{FOLDER}/b", headers=source).status_code == 201
        assert client.send("GET", f"{FOLDER}/b").content == b"1"

    @pytest.mark.parametrize(
        ("source", "target", "word"),
        [("none", "b", "SourcePathNotFound"), ("a", "no/b", "RenameDestinationParentPathNotFound")],
    )
    def test_a_rename_needs_a_source_and_a_folder(
        self, client: Client, source: str, target: str, word: str
    ) -> None:
        client.put("a", b"1")

        headers = {"x-ms-rename-source": f"{FOLDER}/{source}"}
        assert client.word("PUT", f"{FOLDER}/{target}", headers=headers) == (404, word)

    def test_a_folder_moves_with_all_in_it(self, client: Client) -> None:
        client.put("a/b/c", b"1")

        client.send("PUT", f"{FOLDER}/z", headers={"x-ms-rename-source": f"{FOLDER}/a"})

        assert client.sandbox.listing() == {"z/b/c": 1}

    def test_a_folder_that_is_not_empty_goes_only_with_all_in_it(self, client: Client) -> None:
        client.put("a/b", b"1")

        assert client.word("DELETE", f"{FOLDER}/a?recursive=false") == (409, "DirectoryNotEmpty")
        assert client.send("DELETE", f"{FOLDER}/a?recursive=true").status_code == 200
        assert client.word("HEAD", f"{FOLDER}/a/b") == (404, "PathNotFound")

    def test_a_file_and_a_folder_cannot_share_a_path(self, client: Client) -> None:
        client.put("a", b"1")

        for path in ("a?resource=directory", "a/b?resource=file"):
            assert client.word("PUT", f"{FOLDER}/{path}") == (409, "ResourceTypeMismatch")
        assert client.word("PATCH", f"{FOLDER}?action=append&position=0")[0] == 409
        assert client.word("GET", FOLDER)[0] == 409

    def test_a_listing_comes_in_pages(self, client: Client) -> None:
        for name in ("a", "b/c", "d"):
            client.put(name, b"1")
        path = "/Sandbox?resource=filesystem&recursive=true&directory=Results.Lakehouse/Files&maxResults=2"

        first = client.send("GET", path)
        rest = client.send("GET", f"{path}&continuation={first.headers['x-ms-continuation']}")

        names = [entry["name"] for page in (first, rest) for entry in page.json()["paths"]]
        assert names == [f"Results.Lakehouse/Files/{name}" for name in ("a", "b", "b/c", "d")]
        assert "x-ms-continuation" not in rest.headers

    def test_a_result_may_be_larger_than_memory(self, client: Client) -> None:
        client.put("a", bytes(3_000_000))

        with client.send("GET", f"{FOLDER}/a", stream=True) as answer:
            assert sum(map(len, answer.iter_content(100_000))) == 3_000_000


class TestWhatOneLakeRefuses:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("PUT", "/Sandbox/Results.Lakehouse?resource=directory"),
            ("PUT", "/Sandbox/Results.Lakehouse/Other/a?resource=file"),
            ("PUT", "/Sandbox/Results.Lakehouse/Files?resource=directory"),
            ("DELETE", "/Sandbox/Results.Lakehouse/Files?recursive=true"),
            ("DELETE", "/Sandbox"),
        ],
    )
    def test_a_change_above_the_managed_folders(self, client: Client, method: str, path: str) -> None:
        assert client.word(method, path) == (403, "OperationNotAllowedOnThePath")

    def test_a_folder_at_the_workspaces_root(self, client: Client) -> None:
        assert client.word("PUT", "/Sandbox/report_results/a?resource=file") == (404, "PathNotFound")

    @pytest.mark.parametrize("action", ["setAccessControl", "setAccessControlRecursive", "setProperties"])
    def test_access_rights(self, client: Client, action: str) -> None:
        client.put("a")

        assert client.word("PATCH", f"{FOLDER}/a?action={action}") == (400, "UnsupportedOperation")

    def test_a_mixture_of_names_and_guids(self, client: Client) -> None:
        options = client.sandbox.options

        for path in (f"/Sandbox/{options.lakehouse_id}", f"/{options.workspace_id}/Results.Lakehouse"):
            assert client.word("GET", f"{path}/Files/a") == (400, "InvalidUri")

    def test_a_workspace_that_is_not_there(self, client: Client) -> None:
        assert client.word("GET", "/Other/Results.Lakehouse/Files/a") == (404, "FilesystemNotFound")

    def test_an_owner_is_ignored_and_said_to_be(self, client: Client) -> None:
        answer = client.send(
            "PUT",
            f"{FOLDER}/a?resource=file",
            headers={"x-ms-owner": "me", "x-ms-permissions": "rwx", "x-ms-version": "2023-01-03"},
        )

        assert answer.status_code == 201
        assert answer.headers["x-ms-rejected-headers"] == "x-ms-owner,x-ms-permissions"
        assert answer.headers["x-ms-version"] == "2023-01-03"
        assert answer.headers["x-ms-request-id"]

    def test_a_workspace_may_only_be_looked_at(self, client: Client) -> None:
        assert client.send("HEAD", "/Sandbox?resource=filesystem").status_code == 200


class TestTokens:
    @pytest.mark.parametrize("given", ["", "Bearer no-token", "Basic eDp5"])
    def test_nothing_is_done_without_one(self, client: Client, given: str) -> None:
        answer = client.send("GET", f"{FOLDER}/a", headers={"Authorization": given or None})

        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=https://127.0.0.1:")

    def test_one_expires(self, client: Client, clock: Clock) -> None:
        client.put("a")
        clock.now += client.sandbox.options.token_seconds

        assert client.word("GET", f"{FOLDER}/a") == (401, "InvalidAuthenticationInfo")
        client.sign_in()
        assert client.send("GET", f"{FOLDER}/a").status_code == 200

    @pytest.mark.parametrize(
        ("changes", "status", "error"),
        [
            ({"client_secret": "wrong"}, 401, "invalid_client"),
            ({"client_id": "wrong"}, 400, "unauthorized_client"),
            ({"scope": "https://graph.microsoft.com/.default"}, 400, "invalid_scope"),
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ],
    )
    def test_one_is_not_given_for_a_wrong_word(
        self, client: Client, changes: dict[str, str], status: int, error: str
    ) -> None:
        answer = client.token(**changes)

        assert (answer.status_code, answer.json()["error"]) == (status, error)

    def test_a_tenant_can_be_discovered_and_another_cannot(self, client: Client) -> None:
        path = "/v2.0/.well-known/openid-configuration"
        tenant = client.sandbox.options.tenant_id

        found = client.send("GET", f"/{tenant}{path}").json()

        assert found["token_endpoint"] == f"{client.sandbox.url}/{tenant}/oauth2/v2.0/token"
        assert client.send("GET", f"/other{path}").json()["error"] == "invalid_tenant"


class TestAzuresOwnClient:
    def test_an_upload_shows_an_empty_file_on_its_way(
        self, sandbox: OneLakeSandbox, azure: FileSystemClient
    ) -> None:
        seen: list[object] = []
        file = azure.get_file_client("Results.Lakehouse/Files/a")
        file.upload_data(b"first", overwrite=True)
        sandbox.observe = lambda: seen.append(sandbox.listing().get("a"))

        file.upload_data(b"second", overwrite=True)

        sandbox.observe = lambda: None
        assert seen == [0, 0, 6]

    def test_an_upload_of_nothing_makes_no_file(
        self, sandbox: OneLakeSandbox, azure: FileSystemClient
    ) -> None:
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

    def test_it_does_not_overwrite_what_it_must_not(
        self, opendal: Any, sandbox: OneLakeSandbox, operator: Any
    ) -> None:
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


class TestFaults:
    @pytest.mark.parametrize(
        ("endpoint", "kind", "parameters", "said"),
        [
            ("moon", "reset", {}, "only at: discovery, token"),
            ("append", "explode", {}, "no such kind"),
            ("token", "expired_token", {}, "only at: create_folder"),
            ("append", "status_code", {}, "needs status"),
            ("append", "reset", {"status": 500}, "takes no status"),
            ("append", "status_code", {"status": 409, "error_code": "A\r\nB"}, "one header"),
        ],
    )
    def test_one_that_cannot_happen_is_refused(
        self,
        sandbox: OneLakeSandbox,
        endpoint: LakeEndpoint,
        kind: LakeFaultKind,
        parameters: dict[str, Any],
        said: str,
    ) -> None:
        with pytest.raises(ValueError, match=said):
            sandbox.faults.add(endpoint, kind, **parameters)

    def test_one_that_never_fired_is_named(self, sandbox: OneLakeSandbox) -> None:
        sandbox.faults.add("rename", "reset_after_work")

        with pytest.raises(AssertionError, match="reset_after_work at rename"):
            sandbox.faults.assert_all_fired()
        sandbox.clear()

    def test_one_can_be_added_and_looked_up_over_http(self, client: Client) -> None:
        fault = {
            "endpoint": "head",
            "kind": "status_code",
            "status": 503,
            "error_code": "ServerBusy",
            "times": 1,
        }

        answer = client.send("POST", "/sandbox/faults", json=fault)

        assert (answer.status_code, answer.json()) == (201, {"pending": [fault], "fired": []})
        assert client.word("HEAD", FOLDER) == (503, "ServerBusy")
        told = client.send("GET", "/sandbox/faults").json()
        assert told["fired"] == [{"endpoint": "head", "kind": "status_code", "times": 1}]
        assert client.send("GET", "/sandbox/requests").json() == {"requests": {"head": 1, "sandbox": 3}}

    def test_a_bad_one_is_refused_over_http(self, client: Client) -> None:
        assert client.send("POST", "/sandbox/faults", data=b"{").status_code == 422
        assert client.send("GET", "/sandbox/nothing").status_code == 404
        assert client.send("GET", "/sandbox/health").json() == {"status": "ok"}

    def test_an_answer_in_place_of_the_work_leaves_the_work_undone(self, client: Client) -> None:
        client.sandbox.faults.add("create", "status_code", status=502, text="<html>", retry_after="3")

        answer = client.send("PUT", f"{FOLDER}/a?resource=file")

        assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (502, "<html>", "3")
        assert client.sandbox.listing() == {}

    def test_an_answer_after_the_work_leaves_it_done(self, client: Client) -> None:
        client.sandbox.faults.add("create", "status_after_work", status=504)

        assert client.send("PUT", f"{FOLDER}/a?resource=file").status_code == 504
        assert client.sandbox.listing() == {"a": 0}

    def test_a_request_that_is_refused_anyway_uses_up_none(self, client: Client) -> None:
        client.sandbox.faults.add("head", "reset_after_work")

        assert client.word("HEAD", f"{FOLDER}/none") == (404, "PathNotFound")
        assert client.send("HEAD", FOLDER, headers={"Authorization": None}).status_code == 401
        assert len(client.sandbox.faults.pending()) == 1
        with pytest.raises(requests.ConnectionError):
            client.send("HEAD", FOLDER)

    def test_an_expired_token_is_refused_until_there_is_a_new_one(self, client: Client) -> None:
        client.sandbox.faults.add("head", "expired_token")

        assert client.send("HEAD", FOLDER).status_code == 401
        assert client.send("HEAD", FOLDER).status_code == 401
        client.sign_in()
        assert client.send("HEAD", FOLDER).status_code == 200


class TestLife:
    def test_files_and_certificates_outlive_an_outage(self, tmp_path: Path) -> None:
        with OneLakeSandbox(folder=tmp_path) as sandbox:
            client = Client(sandbox)
            client.put("a", b"1")
            url, authority = sandbox.url, sandbox.ca_file.read_bytes()
            sandbox.stop()
            with pytest.raises(requests.ConnectionError):
                client.send("HEAD", f"{FOLDER}/a")
            sandbox.start()

            assert client.send("GET", f"{FOLDER}/a").content == b"1"
            assert (sandbox.url, sandbox.ca_file.read_bytes()) == (url, authority)
            client.session.close()

    def test_a_second_sandbox_in_a_folder_has_the_same_authority_and_no_files(self, tmp_path: Path) -> None:
        with OneLakeSandbox(folder=tmp_path) as first:
            authority = first.ca_file.read_bytes()
            client = Client(first)
            client.put("a", b"1")
            client.session.close()

        with OneLakeSandbox(folder=tmp_path) as second:
            assert second.ca_file.read_bytes() == authority
            assert second.listing() == {}

    def test_the_private_key_is_its_owners_alone(self, tmp_path: Path) -> None:
        with OneLakeSandbox(folder=tmp_path):
            assert (tmp_path / "server.pem").stat().st_mode & 0o077 == 0
            assert b"PRIVATE" not in (tmp_path / "ca.pem").read_bytes()

    def test_a_client_that_does_not_know_the_authority_does_not_trust_it(
        self, sandbox: OneLakeSandbox
    ) -> None:
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(sandbox.url, timeout=SECONDS_TO_ANSWER)

    def test_a_client_that_speaks_no_tls_harms_nobody(self, client: Client) -> None:
        with socket.create_connection(("127.0.0.1", int(client.sandbox.url.rpartition(":")[2]))) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.send("HEAD", FOLDER).status_code == 200

    def test_an_address_that_others_can_reach_is_refused(self) -> None:
        with pytest.raises(ValueError, match="other machines"):
            OneLakeSandbox(host="0.0.0.0")  # noqa: S104 - refused

    def test_there_is_no_address_before_the_first_start(self) -> None:
        with pytest.raises(RuntimeError, match="first start"):
            _ = OneLakeSandbox().url

    @pytest.mark.parametrize("given", [{"workspace": "sandbox"}, {"lakehouse": "Results"}])
    def test_a_name_that_would_not_work_is_refused(self, given: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"named|end in"):
            OneLakeOptions(**given)

    def test_its_secret_is_in_no_repr(self) -> None:
        options = OneLakeOptions()

        assert options.client_secret not in repr(options)


class Console(io.StringIO):
    """Where the command says that it is up; then somebody ends it."""

    def write(self, text: str) -> int:
        written = super().write(text)
        if "is up" in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return written


class TestCommand:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_serves_until_a_signal_and_ends_cleanly(self, tmp_path: Path, number: int) -> None:
        arguments = ["--port", "0", "--folder", str(tmp_path), "--quiet"]
        with started(*arguments) as process:
            settings = told_settings(process)
            health = requests.get(
                f"{settings['FABRIC_ACCOUNT_URL']}/sandbox/health",
                verify=settings["FABRIC_CA_FILE"],
                timeout=SECONDS_TO_ANSWER,
            )
            process.send_signal(number)
            _said, complaints = process.communicate(timeout=SECONDS_TO_ANSWER)

        assert health.json() == {"status": "ok"}
        assert (process.returncode, complaints) == (0, "")

    def test_its_variables_lead_the_product_to_it(self, tmp_path: Path) -> None:
        with started("--port", "0", "--folder", str(tmp_path), "--by-guid") as process:
            settings, problems = parse_settings({}, told_settings(process))
            store = OneLakeStore(settings)
            stored = store.write("1.json", [b"x"])
            store.close()
            process.terminate()
            said, _complaints = process.communicate(timeout=SECONDS_TO_ANSWER)

        assert problems == []
        assert stored.size == 1
        assert "/Files/report_results/1.json 201" in said
        assert "secret" not in said

    def test_it_keeps_the_environments_application(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("AZURE_CLIENT_ID", "an-application")
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "its secret")
        console = Console()

        call_command("onelake_sandbox", port=0, folder=tmp_path, stdout=console)

        assert "export AZURE_CLIENT_ID=an-application\n" in console.getvalue()
        assert "export AZURE_CLIENT_SECRET='its secret'\n" in console.getvalue()

    def test_a_port_that_is_taken_is_said_to_be(self, sandbox: OneLakeSandbox) -> None:
        taken = int(sandbox.url.rpartition(":")[2])

        with pytest.raises(CommandError, match="choose another --port"):
            call_command("onelake_sandbox", port=taken, stdout=Console())

    @pytest.mark.parametrize(
        "arguments",
        [["--host", "192.0.2.1"], ["--workspace", "sandbox"], ["--token-seconds", "0"], ["--port", "x"]],
    )
    def test_wrong_usage_has_its_own_exit_code(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            Command().run_from_argv(["manage.py", "onelake_sandbox", *arguments])

        assert ended.value.code == 2
        assert "Traceback" not in capsys.readouterr().err


def started(*arguments: str) -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "FABRIC_"))
    }
    return subprocess.Popen(
        [sys.executable, "-c", RUN_THE_COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def told_settings(process: subprocess.Popen[str]) -> dict[str, str]:
    """The variables that the command prints first."""
    assert process.stdout is not None
    kill = threading.Timer(SECONDS_TO_ANSWER, process.kill)
    kill.start()
    process.stdout.readline()
    lines = [process.stdout.readline() for _ in range(9)]
    kill.cancel()
    assert all(line.startswith("export ") for line in lines), process.communicate()
    return dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
