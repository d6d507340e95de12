"""Tables in lakehouses with any names, and in their schemas."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from report_orchestrator.adapters.delta.table import DeltaResults
from report_orchestrator.adapters.onelake.tables import _application, table_location
from report_orchestrator.exceptions import TransientError
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake.options import OneLakeOptions
from tests.support.onelake_settings import settings_for
from tests.support.settings_factory import SettingsFactory


@pytest.fixture(scope="module")
def oddly_named() -> Iterator[OneLakeSandbox]:
    options = OneLakeOptions(workspace="Rück [GRM] a@b.c", lakehouse="Über Lake.Lakehouse")
    with OneLakeSandbox(options=options) as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", ["report_results", "dbo/report_results"])
def test_both_guids_reach_a_workspace_of_any_name(
    oddly_named: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    oddly_named.clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(oddly_named.ca_file))
    settings = settings_for(oddly_named, by_guid=True, RESULT_TABLE=name)

    table = DeltaResults(*table_location(settings))
    rows = [table.append(str(run), {}, lambda: [b'{"results": [{"a": 1}]}'], lambda: None).rows for run in (1, 1, 2)]

    assert rows == [1, None, 1]
    assert {path.rpartition("/_delta_log/")[0] for path in oddly_named.listing("Tables") if "_delta_log" in path} == {
        name
    }


@pytest.fixture(scope="module")
def strict() -> Iterator[OneLakeSandbox]:
    """A lake whose tokens end so soon that a client gets another one for each request."""
    with OneLakeSandbox(options=OneLakeOptions(token_seconds=60)) as sandbox:
        yield sandbox


@pytest.mark.parametrize("reading", [1, 2])
@pytest.mark.parametrize("variable", ["", "AZURE_STORAGE_ACCOUNT_KEY", "azure_storage_access_key"])
def test_an_append_outlasts_its_token(
    strict: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch, reading: int, variable: str
) -> None:
    """With another account's key in the environment, delta-rs is given a token, which must last for the second reading."""
    strict.clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(strict.ca_file))
    if variable:
        monkeypatch.setenv(variable, "Zm9v")
    table = DeltaResults(*table_location(settings_for(strict)))
    table.append("r0", {}, lambda: [b'{"results": [{"a": 1}]}'], lambda: None)
    readings = 0

    def read() -> Iterator[bytes]:
        nonlocal readings
        readings += 1
        yield b'{"results": [{"a": 2}'
        if readings == reading:
            strict.expire_tokens()
            time.sleep(0.2)  # delta-rs keeps each token for a tenth of a second
        yield b"]}"

    if variable and reading == 2:
        with pytest.raises(TransientError, match="401"):
            table.append("r1", {}, read, lambda: None)
        return
    assert table.append("r1", {}, read, lambda: None).rows == 1


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("", "https://login.microsoftonline.com"),
        ("login.microsoftonline.us", "https://login.microsoftonline.us"),
        ("https://login.example:8443", "https://login.example:8443"),
    ],
)
def test_the_authority_of_the_settings_signs_in(host: str, expected: str) -> None:
    given = {"AZURE_AUTHORITY_HOST": host, "AZURE_CLIENT_SECRET": "planted"}

    assert _application(SettingsFactory.make(**given))["azure_storage_authority_host"] == expected
