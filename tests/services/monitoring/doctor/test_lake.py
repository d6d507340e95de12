"""The doctor tries a lake, and leaves it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings as DjangoSettings

from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.support.doctor import change, examined

pytestmark = [pytest.mark.slow, pytest.mark.django_db(databases=["default", "reports"])]


@pytest.fixture(scope="module")
def running() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def lake(running: OneLakeSandbox, settings: DjangoSettings) -> Iterator[OneLakeSandbox]:
    running.clear()
    change(settings, **running.settings_overrides(), TIMEOUT_SECONDS=5)
    yield running
    running.faults.assert_all_fired()


def test_a_lake_that_is_well_takes_a_file_and_is_left_as_it_was(lake: OneLakeSandbox) -> None:
    findings = examined()
    assert (findings["token"]["level"], findings["result store"]["level"]) == ("ok", "ok")
    assert findings["token"]["detail"] == "obtained from Entra, valid for 60 min"
    assert lake.requests["append"] == 1
    assert lake.listing() == {}


def test_a_lake_that_writes_files_and_refuses_names_is_reported(lake: OneLakeSandbox) -> None:
    lake.faults.add("rename", "status_code", status=403)
    assert examined()["result store"]["level"] == "fail"
    assert lake.listing() == {}


def test_a_table_in_the_lake_is_tried_by_its_own_way_and_left_as_it_was(
    lake: OneLakeSandbox, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(lake.ca_file))
    change(settings, RESULT_TABLES=True)
    assert examined()["result table"]["level"] == "ok"
    assert lake.requests["put_blob"] > 1
    assert (lake.listing(), lake.listing("Tables")) == ({}, {})
    assert [path for path, _entry in lake._files.below("Tables", recursive=True)] == []


def test_a_table_in_a_workspace_that_it_cannot_reach_is_reported(
    lake: OneLakeSandbox, settings: DjangoSettings
) -> None:
    change(settings, RESULT_TABLES=True, FABRIC_WORKSPACE_ID="GRM BI Datasets")
    failed = [finding for finding in examined().values() if finding["level"] == "fail"]
    assert any("GUIDs" in finding["detail"] for finding in failed)


def test_a_table_that_the_lake_refuses_to_write_is_reported(
    lake: OneLakeSandbox, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(lake.ca_file))
    change(settings, RESULT_TABLES=True)
    lake.faults.add("put_blob", "status_code", status=403)
    findings = examined()
    assert (findings["result store"]["level"], findings["result table"]["level"]) == ("ok", "fail")
    assert "RESULT_TABLES" in findings["result table"]["hint"]


def test_a_secret_that_entra_refuses_is_reported(lake: OneLakeSandbox, settings: DjangoSettings) -> None:
    change(settings, AZURE_CLIENT_SECRET="wrong-secret-of-entra")
    findings = examined()
    assert (findings["token"]["level"], findings["result store"]["level"]) == ("fail", "fail")
    assert "AZURE_CLIENT_SECRET" in findings["token"]["hint"]
    assert "wrong-secret-of-entra" not in str(findings)


def test_a_lakehouse_that_is_not_there_and_a_role_that_is_missing_are_reported(
    lake: OneLakeSandbox, settings: DjangoSettings
) -> None:
    lake.faults.add("create", "status_code", status=403)
    findings = examined()
    assert (findings["token"]["level"], findings["result store"]["level"]) == ("ok", "fail")
    change(settings, FABRIC_LAKEHOUSE_ID="Elsewhere.Lakehouse")
    assert "FABRIC_LAKEHOUSE_ID" in examined()["result store"]["hint"]


def test_a_file_that_comes_back_otherwise_is_reported_and_removed(lake: OneLakeSandbox) -> None:
    lake.faults.add("flush", "status_code", status=503)
    assert examined()["result store"]["level"] == "fail"
    assert lake.listing() == {}
