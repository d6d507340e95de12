"""Where things lie in OneLake: settings become paths and addresses. Knows nothing of Azure's SDK."""

from __future__ import annotations

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
"""Outside the results: a reader's glob such as `*/*.json` looks into hidden folders too."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeAddress:
    """A lakehouse and the folder of its results. Paths are relative to the workspace, with forward slashes."""

    account_url: str
    workspace: str
    lakehouse: str
    results: str

    @property
    def temporary_root(self) -> str:
        """The folder of all temporary files."""
        return f"{self.lakehouse}/{TEMPORARY}"

    def final(self, path: str) -> str:
        """The one place of a result.

        Raises:
            StorageError: the path leads out of the results, or is none.
        """
        if not is_plain(path):
            raise StorageError(f"'{path}' is no path below FABRIC_RESULTS_PATH. Nothing was written or read.")
        return f"{self.lakehouse}/Files/{self.results}/{path}"

    def temporary(self, final: str) -> str:
        """A new place for one attempt at writing `final`: `…/tmp/<run>/<attempt>.part`."""
        return f"{self.temporary_root}/{folder_of(final)}/{uuid.uuid4().hex}.part"

    def url(self, path: str) -> str:
        """What a person opens."""
        return f"{self.account_url}/{quote(self.workspace)}/{quote(path)}"


def folder_of(path: str) -> str:
    """The name of the folder in which all attempts at writing a result have their temporary files."""
    return _UNSAFE.sub("_", PurePosixPath(path).stem)


def lake_address(settings: Settings) -> LakeAddress:
    """The address that the settings give.

    Raises:
        ConfigurationError: a setting is missing, or two of them do not go together.
    """
    workspace, lakehouse = settings.fabric_workspace_id, settings.fabric_lakehouse_id
    for name, value in {"FABRIC_WORKSPACE_ID": workspace, "FABRIC_LAKEHOUSE_ID": lakehouse}.items():
        if not value or not is_plain(value) or "/" in value:
            raise ConfigurationError(f"{name} is '{value}'. Set it to a name or a GUID from Fabric.")
    if _is_guid(workspace) != _is_guid(lakehouse):
        raise ConfigurationError(
            f"FABRIC_WORKSPACE_ID ('{workspace}') and FABRIC_LAKEHOUSE_ID ('{lakehouse}') mix a name and a GUID, "
            "which OneLake refuses. Give both as names or both as GUIDs."
        )
    results = settings.fabric_results_path.strip("/")
    if not is_plain(results) or f"Files/{results}/".startswith("Files/_report_orchestrator/"):
        raise ConfigurationError(
            f"FABRIC_RESULTS_PATH is '{results}'. Set it to a folder below the lakehouse's Files, such as report_results."
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
