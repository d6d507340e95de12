"""Connect to one workspace: credentials for Entra, and the SDK's client with its own retries off."""

import logging
import ssl
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

from report_orchestrator.adapters.http.network_errors import describe
from report_orchestrator.adapters.masked_errors import mask_logs, with_masked_causes
from report_orchestrator.adapters.onelake.bodies import response_errors
from report_orchestrator.adapters.onelake.errors import entra_error, is_silence, token_passes, unreadable_file
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import ConfigurationError, OrchestratorError, TransientError
from report_orchestrator.masking import remember

PIECE = 8 * 1024 * 1024
"""Bytes of one request and in memory at a time, both ways. The SDK's 100 MiB needed four times the memory for 1 GiB."""

Answered = TypeVar("Answered")
Operation = Callable[[FileSystemClient], Answered]

PUBLIC_AUTHORITIES = frozenset(
    {AzureAuthorityHosts.AZURE_PUBLIC_CLOUD, AzureAuthorityHosts.AZURE_GOVERNMENT, AzureAuthorityHosts.AZURE_CHINA}
)


class Connection:
    """One workspace in OneLake. Connects at first use; thread-safe."""

    def __init__(self, settings: Settings, workspace: str) -> None:
        self._settings = settings
        self._workspace = workspace
        self._lock = threading.Lock()
        self._client: FileSystemClient | None = None

    def send(self, operation: Operation[Answered]) -> Answered:
        """Call it once. After a 401, which means not done, call it again with a new token: the lake's clock or a
        revocation can end a token early.

        Raises:
            AzureError: as the SDK raises it.
            ConfigurationError, TransientError: no token is available.
        """
        client = self._connected()
        try:
            return _result_of(operation, client)
        except ClientAuthenticationError:
            self._forget(client)
            return _result_of(operation, self._connected())

    def send_again(self, operation: Operation[Answered]) -> Answered:
        """Call it, and once more if the lake sent no response: for idempotent requests."""
        try:
            return self.send(operation)
        except AzureError as error:
            if not is_silence(error):
                raise
            return self.send(operation)

    def close(self) -> None:
        """Close the pooled connections. The next use opens new ones."""
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


def _result_of(operation: Operation[Answered], client: FileSystemClient) -> Answered:
    with response_errors():
        return operation(client)


class Credential:
    """A credential of azure-identity with our error messages."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._heard = threading.local()
        self._credential = _identity(settings, self._listen)
        for library in ("azure.identity", "msal"):
            mask_logs(library, settings)

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token, from azure-identity's cache if it is still valid."""
        self._heard.passing = None
        with with_masked_causes(self._settings):
            try:
                token = self._credential.get_token(*scopes, **options)
            except AzureError as error:
                raise self._reason_of(error) from error
            except OSError as error:
                raise unreadable_file(error) from error
        remember(token.token)
        return token

    def _reason_of(self, error: AzureError) -> OrchestratorError:
        passing: TransientError | None = self._heard.passing
        self._heard.passing = None
        # The traceback leads to the hook, which has the response in its frame.
        return entra_error(error, self._settings) if passing is None else passing.with_traceback(None)

    def _listen(self, response: PipelineResponse[Any, Any]) -> None:
        """A hook of azure-identity. A chain of credentials swallows its exception, so it is stored as well."""
        passing = token_passes(response, managed=self._settings.azure_credential == "managed_identity")
        if passing is not None:
            self._heard.passing = passing
            raise passing


def _new_client(settings: Settings, workspace: str) -> FileSystemClient:
    return FileSystemClient(
        settings.account_url,
        workspace,
        credential=Credential(settings),
        max_single_get_size=PIECE,
        max_chunk_get_size=PIECE,
        **_transport(settings),
    )


def _transport(settings: Settings) -> dict[str, Any]:
    """Return the options shared by storage client and credentials. Retries belong to the run, not to the SDK."""
    seconds = settings.timeout.total_seconds()
    options: dict[str, Any] = {
        "retry_total": 0,
        "connection_timeout": seconds,
        "read_timeout": seconds,
        "logger": _request_logger(),
    }
    if settings.fabric_ca_file:
        _check_authority_file(settings.fabric_ca_file)
        options["connection_verify"] = settings.fabric_ca_file
    return options


def _check_authority_file(name: str) -> None:
    if not Path(name).is_file():
        raise ConfigurationError(f"FABRIC_CA_FILE is '{name}', which is not a file. Correct the path.")
    try:
        ssl.create_default_context(cafile=name)
    except OSError as error:  # SSLError too
        raise ConfigurationError(
            f"FABRIC_CA_FILE is '{name}', which cannot be read as certificates ({describe(error)}). Set it to a file in "
            "PEM format."
        ) from error


def _request_logger() -> logging.Logger:
    """Return a logger of its own for the SDK's two INFO paragraphs a request; silent unless the host enables it."""
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
                    tenant_id=settings.azure_tenant_id or None, client_id=client_id or None, **options
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
            f"{', '.join(missing)} must be set if AZURE_CREDENTIAL is 'client_secret'. Set the values, or "
            "choose another credential."
        )
    return _made(
        lambda: ClientSecretCredential(
            settings.azure_tenant_id, settings.azure_client_id, settings.azure_client_secret.reveal(), **options
        )
    )


def _made(credential: Callable[[], TokenCredential]) -> TokenCredential:
    try:
        return credential()
    except ValueError as error:
        raise ConfigurationError(
            f"The credential for OneLake cannot be created: {error}. Correct AZURE_CREDENTIAL, "
            "AZURE_TENANT_ID, AZURE_CLIENT_ID or AZURE_AUTHORITY_HOST."
        ) from error


def _authority(settings: Settings) -> dict[str, Any]:
    """Skip the instance discovery for a private cloud: asking Microsoft about it would need internet access."""
    host = settings.azure_authority_host
    if not host:
        return {}
    private = (urlsplit(host).netloc or host.strip("/")) not in PUBLIC_AUTHORITIES
    return {"authority": host, "disable_instance_discovery": private}
