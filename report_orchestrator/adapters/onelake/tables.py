"""Address a Delta table in OneLake, and give delta-rs the credentials that the store has."""

from collections.abc import Callable, Mapping
from functools import cache
from urllib.parse import quote

from report_orchestrator.adapters.onelake.address import lake_address, refuse_for_tables
from report_orchestrator.adapters.onelake.connection import Credential
from report_orchestrator.adapters.table_paths import table_name
from report_orchestrator.conf import Settings

SCOPE = "https://storage.azure.com/.default"


def table_location(settings: Settings, name: str = "") -> tuple[str, Callable[[], Mapping[str, str]]]:
    """Return a table's address under the lakehouse's `Tables`, and its storage options, made at each use: tokens expire.

    Without a name, it is the table of the results. delta-rs reads a private certificate authority only from the
    environment's `SSL_CERT_FILE`, so FABRIC_CA_FILE must be set there too.

    Raises:
        ConfigurationError: the address cannot be made.
    """
    address = lake_address(settings)
    refuse_for_tables(address)
    name = name or table_name(settings)
    credential = cache(lambda: Credential(settings))
    seconds = f"{settings.timeout.total_seconds():g}s"

    def options() -> Mapping[str, str]:
        return {
            "azure_storage_account_name": settings.azure_account_name,
            # delta-rs speaks the Blob half of OneLake.
            "azure_storage_endpoint": address.account_url.replace(".dfs.", ".blob."),
            "azure_storage_token": credential().get_token(SCOPE).token,
            "timeout": seconds,
            "connect_timeout": seconds,
            "max_retries": "2",
        }

    url = (
        f"abfss://{quote(address.workspace)}@{settings.azure_account_name}.dfs.fabric.microsoft.com/"
        f"{quote(address.lakehouse)}/Tables/{quote(name)}"
    )
    return url, options
