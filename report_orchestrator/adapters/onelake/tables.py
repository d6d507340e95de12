"""Address a Delta table in OneLake, and give delta-rs the credentials that the store has."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from urllib.parse import quote

from azure.identity import AzureAuthorityHosts

from report_orchestrator.adapters.onelake.address import lake_address, refuse_for_tables
from report_orchestrator.adapters.onelake.connection import Credential
from report_orchestrator.adapters.table_paths import table_name
from report_orchestrator.conf import Settings

SCOPE = "https://storage.azure.com/.default"
_ACCOUNT_KEYS = frozenset({"AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY"})
"""Variables that delta-rs reads, and prefers to an application's secret."""


def table_location(settings: Settings, name: str = "") -> tuple[str, Callable[[], Mapping[str, str]]]:
    """Return a table's address under the lakehouse's `Tables`, and its storage options, made at each use: tokens expire.

    With `client_secret`, delta-rs signs in itself, so that an append may last longer than a token. Without a name, it is
    the table of the results. delta-rs reads a private certificate authority only from the environment's `SSL_CERT_FILE`,
    so FABRIC_CA_FILE must be set there too.

    Raises:
        ConfigurationError: the address cannot be made.
    """
    address = lake_address(settings)
    refuse_for_tables(address)
    name = name or table_name(settings)
    credential = cache(lambda: Credential(settings))
    seconds = f"{settings.timeout.total_seconds():g}s"

    def options() -> Mapping[str, str]:
        token = credential().get_token(SCOPE).token  # even if delta-rs gets its own: this one's errors are clear
        return {
            "azure_storage_account_name": settings.azure_account_name,
            # delta-rs speaks the Blob half of OneLake.
            "azure_storage_endpoint": address.account_url.replace(".dfs.", ".blob."),
            **(_application(settings) if _can_sign_in(settings) else {"azure_storage_token": token}),
            "timeout": seconds,
            "connect_timeout": seconds,
            "max_retries": "2",
        }

    url = (
        f"abfss://{quote(address.workspace)}@{settings.azure_account_name}.dfs.fabric.microsoft.com/"
        f"{quote(address.lakehouse)}/Tables/{quote(name)}"
    )
    return url, options


def _can_sign_in(settings: Settings) -> bool:
    return settings.azure_credential == "client_secret" and _ACCOUNT_KEYS.isdisjoint(map(str.upper, os.environ))


def _application(settings: Settings) -> Mapping[str, str]:
    host = settings.azure_authority_host or AzureAuthorityHosts.AZURE_PUBLIC_CLOUD
    return {
        "azure_storage_authority_host": host if "://" in host else f"https://{host}",
        "azure_storage_tenant_id": settings.azure_tenant_id,
        "azure_storage_client_id": settings.azure_client_id,
        "azure_storage_client_secret": settings.azure_client_secret.reveal(),
    }
