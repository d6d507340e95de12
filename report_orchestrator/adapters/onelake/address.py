"""Turn settings into OneLake paths and URLs, without Azure's SDK."""

import re
import uuid
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from report_orchestrator.conf import Settings
from report_orchestrator.domain.paths import is_plain
from report_orchestrator.exceptions import ConfigurationError, StorageError

SUFFIX = ".Lakehouse"
TEMPORARY = "Files/_report_orchestrator/tmp"
"""Outside the results: a glob such as `*/*.json` also searches hidden folders."""

_IN_AUTHORITY = re.compile(r"[A-Za-z0-9_-]{1,256}")
"""A name that delta-rs can read before the @ of an address. Elsewhere in it, any name is quoted."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeAddress:
    """A lakehouse and its results folder. Paths are relative to the workspace, with forward slashes."""

    account_url: str
    workspace: str
    lakehouse: str
    results: str

    @property
    def temporary_root(self) -> str:
        """The folder of all temporary files."""
        return f"{self.lakehouse}/{TEMPORARY}"

    def final(self, path: str) -> str:
        """Return the path of a result.

        Raises:
            StorageError: the path is invalid or leads out of the results folder.
        """
        if not is_plain(path):
            raise StorageError(f"'{path}' is not a path below FABRIC_RESULTS_PATH. Nothing was written or read.")
        return f"{self.lakehouse}/Files/{self.results}/{path}"

    def temporary(self, final: str) -> str:
        """Return a new temporary path for one attempt: `…/tmp/<run>/<attempt>.part`."""
        return f"{self.temporary_root}/{folder_of(final)}/{uuid.uuid4().hex}.part"

    def url(self, path: str) -> str:
        """Return the URL for a person to open."""
        return f"{self.account_url}/{quote(self.workspace)}/{quote(path)}"


def refuse_for_tables(address: LakeAddress) -> None:
    """Refuse a workspace whose name delta-rs cannot address.

    Raises:
        ConfigurationError: the name has other than plain characters.
    """
    if not _IN_AUTHORITY.fullmatch(address.workspace):
        raise ConfigurationError(
            f"RESULT_TABLES is on, and FABRIC_WORKSPACE_ID is '{address.workspace}': tables cannot be reached in a workspace "
            "named with other characters than letters, digits, hyphens and underscores. Set FABRIC_WORKSPACE_ID and "
            "FABRIC_LAKEHOUSE_ID to their GUIDs, or RESULT_TABLES to false."
        )


def folder_of(path: str) -> str:
    """Return the folder name of all temporary files of a result."""
    return _UNSAFE.sub("_", PurePosixPath(path).stem)


def lake_address(settings: Settings) -> LakeAddress:
    """Return the address given by the settings.

    Raises:
        ConfigurationError: a setting is missing, or two contradict each other.
    """
    if not settings.account_url.startswith("https://"):
        raise ConfigurationError(
            "FABRIC_ACCOUNT_URL begins with http://, but tokens are only sent encrypted. Use https://."
        )
    workspace, lakehouse = settings.fabric_workspace_id, settings.fabric_lakehouse_id
    for name, value in {"FABRIC_WORKSPACE_ID": workspace, "FABRIC_LAKEHOUSE_ID": lakehouse}.items():
        if not value or not is_plain(value) or "/" in value:
            raise ConfigurationError(f"{name} is '{value}'. Set it to a name or a GUID from Fabric.")
    if _is_guid(workspace) != _is_guid(lakehouse):
        raise ConfigurationError(
            f"FABRIC_WORKSPACE_ID ('{workspace}') and FABRIC_LAKEHOUSE_ID ('{lakehouse}') mix a name and "
            "a GUID, which OneLake rejects. Set both to names or both to GUIDs."
        )
    results = settings.fabric_results_path.strip("/")
    if not is_plain(results) or f"Files/{results}/".startswith("Files/_report_orchestrator/"):
        raise ConfigurationError(
            f"FABRIC_RESULTS_PATH is '{results}'. Set it to a folder below Files in the lakehouse, such "
            "as report_results."
        )
    return LakeAddress(
        account_url=settings.account_url.rstrip("/"),
        workspace=workspace,
        lakehouse=lakehouse if _is_guid(lakehouse) else _with_suffix(lakehouse),
        results=results,
    )


def _with_suffix(name: str) -> str:
    return name if name.lower().endswith(SUFFIX.lower()) else f"{name}{SUFFIX}"


def _is_guid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
