"""A Delta table in OneLake: its address, and how delta-rs gets there with the credentials that the store has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from urllib.parse import quote

from report_orchestrator.adapters.delta_table import DeltaResults
from report_orchestrator.adapters.onelake_address import lake_address
from report_orchestrator.adapters.onelake_client import Credential
from report_orchestrator.conf import Settings

SCOPE = "https://storage.azure.com/.default"


def onelake_table(settings: Settings, name: str = "") -> DeltaResults:
    """The table of that name under the lakehouse's `Tables`; without one, named as the folder of the results is.

    delta-rs takes a certificate authority of one's own from the environment's `SSL_CERT_FILE` only, so what stands in
    FABRIC_CA_FILE has to stand there too.

    Raises:
        ConfigurationError: the address cannot be made.
    """
    address = lake_address(settings)
    name = name or address.results.rpartition("/")[2]
    credential = cache(lambda: Credential(settings))
    seconds = f"{settings.timeout.total_seconds():g}s"

    def options() -> Mapping[str, str]:
        return {
            "azure_storage_account_name": settings.azure_account_name,
            # The Blob half of OneLake: delta-rs speaks that one.
            "azure_storage_endpoint": address.account_url.replace(".dfs.", ".blob."),
            "azure_storage_token": credential().get_token(SCOPE).token,
            "timeout": seconds,
            "connect_timeout": seconds,
            "max_retries": "2",
        }

    return DeltaResults(
        f"abfss://{quote(address.workspace)}@{settings.azure_account_name}.dfs.fabric.microsoft.com/"
        f"{quote(address.lakehouse)}/Tables/{quote(name)}",
        options,
    )
