"""A connection to one workspace: who we are to Entra, and the SDK's client with its own retries off."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline import PipelineResponse
from azure.identity import (
    AzureAuthorityHosts,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from azure.storage.filedatalake import FileSystemClient

from report_orchestrator.adapters.onelake_errors import entra_error, is_silence, token_passes
from report_orchestrator.adapters.vendor_errors import mask_logs, told
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.masking import remember

PIECE = 8 * 1024 * 1024
"""Bytes that travel and lie in memory at once, up and down. The SDK's own 100 MiB cost four times the memory on 1 GiB."""

Answered = TypeVar("Answered")
Operation = Callable[[FileSystemClient], Answered]

PUBLIC_AUTHORITIES = frozenset(
    {
        AzureAuthorityHosts.AZURE_PUBLIC_CLOUD,
        AzureAuthorityHosts.AZURE_GOVERNMENT,
        AzureAuthorityHosts.AZURE_CHINA,
    }
)


class Connection:
    """One workspace in OneLake. Made at its first use; safe to use from several threads."""

    def __init__(self, settings: Settings, workspace: str) -> None:
        self._settings = settings
        self._workspace = workspace
        self._lock = threading.Lock()
        self._client: FileSystemClient | None = None

    def send(self, operation: Operation[Answered]) -> Answered:
        """Does it once. A 401 means that it was not done, so it is done again with a new token: the lake's clock, or a
        revocation, can end a token that we still believe in.

        Raises:
            AzureError: as the SDK raises it.
            ConfigurationError, TransientError: there is no token to be had.
        """
        client = self._connected()
        try:
            return operation(client)
        except ClientAuthenticationError:
            self._forget(client)
            return operation(self._connected())

    def send_again(self, operation: Operation[Answered]) -> Answered:
        """Does it, and once more where the lake said nothing: for what can be done twice without a difference."""
        try:
            return self.send(operation)
        except AzureError as error:
            if not is_silence(error):
                raise
            return self.send(operation)

    def close(self) -> None:
        """Gives the pooled connections back. The next use makes new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> FileSystemClient:
        with self._lock:
            if self._client is None:
                self._client = _new_client(self._settings, self._workspace)
            return self._client

    def _forget(self, client: FileSystemClient) -> None:
        with self._lock:
            # Another thread may be using it still, so it is left to be collected and not closed.
            if self._client is client:
                self._client = None


class Credential:
    """A credential of azure-identity that says what is wrong in our words."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._heard = threading.local()
        self._credential = _identity(settings, self._listen)
        for library in ("azure.identity", "msal"):
            mask_logs(library, settings)

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token, from azure-identity's cache where it holds a good one."""
        self._heard.passing = None
        try:
            token = self._credential.get_token(*scopes, **options)
        except AzureError as error:
            raise self._heard.passing or entra_error(error, self._settings) from told(error, self._settings)
        remember(token.token)
        return token

    def _listen(self, response: PipelineResponse[Any, Any]) -> None:
        """A hook of azure-identity's. What it raises ends the attempt; a chain of credentials swallows it, so it is kept too."""
        passing = token_passes(response, managed=self._settings.azure_credential == "managed_identity")
        if passing is not None:
            self._heard.passing = passing
            raise passing


def _new_client(settings: Settings, workspace: str) -> FileSystemClient:
    if urlsplit(settings.account_url).scheme != "https":
        raise ConfigurationError(
            "FABRIC_ACCOUNT_URL begins with http://, and a token is never sent in the open. Use https://."
        )
    return FileSystemClient(
        settings.account_url,
        workspace,
        credential=Credential(settings),
        max_single_get_size=PIECE,
        max_chunk_get_size=PIECE,
        **_transport(settings),
    )


def _transport(settings: Settings) -> dict[str, Any]:
    """Options that the storage client and the credentials have in common. Retries are the run's business, not the SDK's."""
    seconds = settings.timeout.total_seconds()
    options: dict[str, Any] = {
        "retry_total": 0,
        "connection_timeout": seconds,
        "read_timeout": seconds,
        "logger": _request_logger(),
    }
    if settings.fabric_ca_file:
        if not Path(settings.fabric_ca_file).is_file():
            raise ConfigurationError(
                f"FABRIC_CA_FILE names '{settings.fabric_ca_file}', which is not a file."
            )
        options["connection_verify"] = settings.fabric_ca_file
    return options


def _request_logger() -> logging.Logger:
    """Where the SDK writes two paragraphs for every request, at INFO: to a logger of its own, silent until a host asks for it."""
    logger = logging.getLogger("report_orchestrator.onelake.requests")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)
    return logger


def _identity(settings: Settings, listen: Callable[[PipelineResponse[Any, Any]], None]) -> TokenCredential:
    transport = _transport(settings) | {"raw_response_hook": listen}
    options = transport | _authority(settings)
    client_id = settings.azure_client_id
    match settings.azure_credential:
        case "client_secret":
            return _client_secret(settings, options)
        case "workload_identity":
            return _made(
                lambda: WorkloadIdentityCredential(
                    tenant_id=settings.azure_tenant_id or None,
                    client_id=client_id or None,
                    **options,
                )
            )
        case "managed_identity":
            return ManagedIdentityCredential(client_id=client_id or None, **transport)
        case "default":
            return DefaultAzureCredential(managed_identity_client_id=client_id or None, **options)


def _client_secret(settings: Settings, options: dict[str, Any]) -> TokenCredential:
    given = {
        "AZURE_TENANT_ID": settings.azure_tenant_id,
        "AZURE_CLIENT_ID": settings.azure_client_id,
        "AZURE_CLIENT_SECRET": settings.azure_client_secret,
    }
    if missing := [name for name, value in given.items() if not value]:
        raise ConfigurationError(
            f"{', '.join(missing)} must be set for AZURE_CREDENTIAL 'client_secret'. Set it, or choose another credential."
        )
    return _made(
        lambda: ClientSecretCredential(
            settings.azure_tenant_id,
            settings.azure_client_id,
            settings.azure_client_secret.reveal(),
            **options,
        )
    )


def _made(credential: Callable[[], TokenCredential]) -> TokenCredential:
    try:
        return credential()
    except ValueError as error:
        raise ConfigurationError(
            f"The credential for OneLake cannot be made: {error}. Correct AZURE_CREDENTIAL, AZURE_TENANT_ID, AZURE_CLIENT_ID "
            "or AZURE_AUTHORITY_HOST."
        ) from error


def _authority(settings: Settings) -> dict[str, Any]:
    """A private cloud's Entra vouches for itself: asking Microsoft's whether it exists would need a way to the internet."""
    host = settings.azure_authority_host
    if not host:
        return {}
    private = (urlsplit(host).netloc or host.strip("/")) not in PUBLIC_AUTHORITIES
    return {"authority": host, "disable_instance_discovery": private}
