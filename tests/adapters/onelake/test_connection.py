"""Settings, credentials and connections of OneLake."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential, WorkloadIdentityCredential

from report_orchestrator.adapters.onelake.connection import Credential
from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.exceptions import ConfigurationError, OrchestratorError, TransientError
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.support.onelake_settings import PATH, RESULTS, settings_for
from tests.support.raw_server import answer, raw_server, says

SCOPE = "https://storage.azure.com/.default"


class TestConfiguration:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"AZURE_CLIENT_SECRET": "wrong-secret"}, "AADSTS7000215.*AZURE_CLIENT_SECRET"),
            ({"AZURE_CLIENT_ID": "wrong"}, "AADSTS700016.*AZURE_CLIENT_ID"),
            ({"AZURE_TENANT_ID": "wrong"}, "AZURE_TENANT_ID"),
            ({"AZURE_TENANT_ID": "not a tenant"}, "AZURE_TENANT_ID"),
            ({"AZURE_CLIENT_SECRET": "", "AZURE_CLIENT_ID": ""}, "AZURE_CLIENT_ID, AZURE_CLIENT_SECRET must"),
            ({"AZURE_AUTHORITY_HOST": "http://127.0.0.1"}, "AZURE_AUTHORITY_HOST"),
            ({"FABRIC_WORKSPACE_ID": "Other"}, "FilesystemNotFound.*FABRIC_WORKSPACE_ID"),
            ({"FABRIC_LAKEHOUSE_ID": "Other"}, "PathNotFound.*FABRIC_LAKEHOUSE_ID"),
            ({"FABRIC_CA_FILE": ""}, "FABRIC_CA_FILE"),
            ({"FABRIC_CA_FILE": "/no/such/file"}, "FABRIC_CA_FILE"),
            ({"FABRIC_ACCOUNT_URL": "http://127.0.0.1"}, "FABRIC_ACCOUNT_URL.*https"),
        ],
    )
    def test_a_wrong_setting_is_named(self, sandbox: OneLakeSandbox, changes: dict[str, Any], said: str) -> None:
        store = OneLakeStore(settings_for(sandbox, **changes))

        with pytest.raises(ConfigurationError, match=said) as refused:
            store.write(PATH, [b"x"])

        assert "wrong-secret" not in str(refused.value)
        assert sandbox.listing() == {}

    def test_a_file_without_certificates_is_named(self, sandbox: OneLakeSandbox, tmp_path: Path) -> None:
        for name, content in {"garbage.pem": b"garbage", "empty.pem": b"", "der.pem": b"\x30\x82\x01"}.items():
            (tmp_path / name).write_bytes(content)
            store = OneLakeStore(settings_for(sandbox, FABRIC_CA_FILE=str(tmp_path / name)))

            with pytest.raises(ConfigurationError, match=f"FABRIC_CA_FILE is '.*{name}'.*PEM"):
                store.write(PATH, [b"x"])

    def test_nothing_is_asked_before_the_first_write(self, sandbox: OneLakeSandbox) -> None:
        OneLakeStore(settings_for(sandbox, FABRIC_WORKSPACE_ID="", AZURE_CLIENT_SECRET=""))

        assert sandbox.requests.total() == 0

    def test_the_machines_own_authorities_do_too(
        self, sandbox: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sandbox.ca_file))

        OneLakeStore(settings_for(sandbox, FABRIC_CA_FILE="")).write(PATH, [b"x"])

        assert sandbox.listing(RESULTS) == {PATH: 1}

    def test_one_token_and_one_connection_serve_many_writes(self, sandbox: OneLakeSandbox, lake: OneLakeStore) -> None:
        for number in range(3):
            lake.write(f"{number}.json", [b"x"])

        assert sandbox.requests["token"] == 1
        assert sandbox.requests["discovery"] == 1

    def test_a_request_is_logged_only_if_a_setting_says_so(
        self, sandbox: OneLakeSandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        store = OneLakeStore(settings_for(sandbox))
        store.write("1.json", [b"x"])
        assert "Request URL" not in caplog.text

        caplog.set_level(logging.INFO, "report_orchestrator.onelake.requests")
        store.write("2.json", [b"x"])

        assert "2.json" in caplog.text
        assert "Bearer" not in caplog.text

    def test_a_store_works_after_it_was_closed(self, sandbox: OneLakeSandbox, lake: OneLakeStore) -> None:
        lake.write("1.json", [b"x"])
        lake.close()

        lake.write("2.json", [b"x"])

        assert sandbox.listing(RESULTS) == {"1.json": 1, "2.json": 1}

    @pytest.mark.parametrize(
        ("credential", "kind"),
        [
            ("workload_identity", WorkloadIdentityCredential),
            ("managed_identity", ManagedIdentityCredential),
            ("default", DefaultAzureCredential),
        ],
    )
    def test_a_credential_can_be_chosen(
        self,
        sandbox: OneLakeSandbox,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        credential: str,
        kind: type[object],
    ) -> None:
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))

        made = Credential(settings_for(sandbox, AZURE_CREDENTIAL=credential, AZURE_CLIENT_SECRET=""))

        assert isinstance(made._credential, kind)

    @pytest.mark.parametrize("status", [429, 500, 503, 504])
    @pytest.mark.parametrize("credential", ["client_secret", "workload_identity", "default"])
    def test_an_entra_that_is_busy_or_away_passes(
        self, sandbox: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credential: str, status: int
    ) -> None:
        settings = settings_for(sandbox, AZURE_CREDENTIAL=credential)
        if credential == "default":
            monkeypatch.setenv("AZURE_TENANT_ID", settings.azure_tenant_id)
            monkeypatch.setenv("AZURE_CLIENT_ID", settings.azure_client_id)
            monkeypatch.setenv("AZURE_CLIENT_SECRET", settings.azure_client_secret.reveal())
        else:
            (tmp_path / "token").write_text("a token of the cluster")
            monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
        sandbox.faults.add("token", "status_code", status=status)

        with pytest.raises(TransientError) as caught:
            Credential(settings).get_token(SCOPE)

        assert caught.value.code == f"entra_{status}"
        sandbox.faults.assert_all_fired()

    @pytest.mark.parametrize("status", [404, 410, 429, 500, 503])
    @pytest.mark.parametrize("credential", ["managed_identity", "default"])
    def test_an_identity_endpoint_that_is_busy_or_away_passes(
        self, sandbox: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch, credential: str, status: int
    ) -> None:
        with raw_server(says(answer(f"{status} Away", b"{}", {"Retry-After": "7"}))) as endpoint:
            monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", endpoint.url)
            made = Credential(settings_for(sandbox, AZURE_CREDENTIAL=credential))
            with pytest.raises(OrchestratorError) as caught:
                made.get_token(SCOPE)

        if credential == "default" and status == 404:  # it may be the endpoint of another cloud's machine
            assert isinstance(caught.value, ConfigurationError)
            return
        assert isinstance(caught.value, TransientError)
        assert (caught.value.code, caught.value.retry_after) == (f"identity_{status}", timedelta(seconds=7))
        assert len(endpoint.heads) == 1

    def test_a_machine_without_an_identity_must_be_corrected(
        self, sandbox: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refusal = b'{"error": "invalid_request", "error_description": "Identity not found"}'
        with raw_server(says(answer("400 Bad Request", refusal))) as endpoint:
            monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", endpoint.url)
            made = Credential(settings_for(sandbox, AZURE_CREDENTIAL="managed_identity"))
            with pytest.raises(ConfigurationError, match="AZURE_CREDENTIAL"):
                made.get_token(SCOPE)

    def test_a_credential_that_is_not_there_is_named(
        self, sandbox: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE", raising=False)

        with pytest.raises(ConfigurationError, match="AZURE_CREDENTIAL"):
            OneLakeStore(settings_for(sandbox, AZURE_CREDENTIAL="workload_identity")).write(PATH, [b"x"])
