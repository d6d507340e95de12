"""Names, ids and credentials of the local OneLake."""

import secrets
import uuid
from dataclasses import dataclass, field

from report_orchestrator.sandbox.onelake.faults import LakeRefusedError


def _guid() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class OneLakeOptions:
    """One workspace and lakehouse, each with a name and a GUID, and the application that may sign in.

    Omitted values are generated. `token_seconds` is the lifetime of a token.
    """

    workspace: str = "Sandbox"
    workspace_id: str = field(default_factory=_guid)
    lakehouse: str = "Results.Lakehouse"
    lakehouse_id: str = field(default_factory=_guid)
    tenant_id: str = field(default_factory=_guid)
    client_id: str = field(default_factory=_guid)
    client_secret: str = field(default_factory=secrets.token_urlsafe, repr=False)
    token_seconds: int = 3600

    def __post_init__(self) -> None:
        if self.workspace == "sandbox":
            raise ValueError("the workspace must not be named sandbox: the sandbox uses those addresses itself")
        if not self.lakehouse.endswith(".Lakehouse"):
            raise ValueError("the name of the lakehouse must end in .Lakehouse")

    def path_below(self, workspace: str, path: str) -> str:
        """Return the path below the lakehouse, for an address by names or by GUIDs.

        Raises:
            LakeRefusedError: the address mixes both forms, or does not exist.
        """
        item, _, below = path.partition("/")
        workspaces, items = (self.workspace, self.workspace_id), (self.lakehouse, self.lakehouse_id)
        if (workspace, item) in zip(workspaces, items, strict=True):
            return below
        if workspace not in workspaces:
            raise LakeRefusedError("FilesystemNotFound")
        if not item:
            raise LakeRefusedError("OperationNotAllowedOnThePath")
        raise LakeRefusedError("InvalidUri" if item in items else "PathNotFound")
