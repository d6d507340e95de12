"""The local OneLake stores files, refuses requests and issues tokens as documented."""

from __future__ import annotations

import pytest

from tests.support.lake_client import FOLDER, Client, Clock


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
    def test_bytes_that_do_not_fit_are_refused(self, client: Client, query: str, refused: tuple[int, str]) -> None:
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
        assert (file.headers["x-ms-resource-type"], folder.headers["x-ms-resource-type"]) == ("file", "directory")

    def test_a_condition_is_kept(self, client: Client) -> None:
        etag, stale = client.put("a", b"1"), '"0x1"'
        path = f"{FOLDER}/a"

        assert client.send("GET", path, headers={"If-None-Match": etag}).status_code == 304
        assert client.word("GET", path, headers={"If-Match": stale}) == (412, "ConditionNotMet")
        assert client.word("PUT", f"{path}?resource=file", headers={"If-None-Match": "*"}) == (409, "PathAlreadyExists")
        assert client.word("PUT", f"{path}?resource=file", headers={"If-Match": stale})[0] == 412
        assert client.word("PATCH", f"{path}?action=flush&position=1", headers={"If-Match": stale})[0] == 412
        assert client.word("DELETE", path, headers={"If-Match": stale})[0] == 412
        assert client.send("GET", path).content == b"1"

    def test_a_rename_overwrites_without_a_condition(self, client: Client) -> None:
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
    def test_a_rename_needs_a_source_and_a_folder(self, client: Client, source: str, target: str, word: str) -> None:
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
