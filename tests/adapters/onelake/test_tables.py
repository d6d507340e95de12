"""Tables in lakehouses with any names, and in their schemas."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from report_orchestrator.adapters.delta.table import DeltaResults
from report_orchestrator.adapters.onelake.tables import table_location
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake.options import OneLakeOptions
from tests.support.onelake_settings import settings_for


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
