"""A local OneLake with an Entra of its own, over TLS: production code runs against it unmodified, and faults come on demand.

It behaves as Microsoft documents OneLake, and was never compared with the real one. Needs `cryptography`.

    with OneLakeSandbox() as sandbox:
        sandbox.faults.add("rename", "reset_after_work")
        ...  # REPORT_ORCHESTRATOR = {**REPORT_ORCHESTRATOR, **sandbox.settings_overrides()}
        sandbox.faults.assert_all_fired()
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from report_orchestrator.sandbox.faults import FaultScript
from report_orchestrator.sandbox.onelake_api import OneLakeApi, Place
from report_orchestrator.sandbox.onelake_certificates import AUTHORITY, server_context
from report_orchestrator.sandbox.onelake_entra import Application, Entra
from report_orchestrator.sandbox.onelake_faults import LAKE_FAULTS
from report_orchestrator.sandbox.onelake_files import LakeFiles
from report_orchestrator.sandbox.server import Sandbox

if TYPE_CHECKING:
    import ssl
    from collections import Counter

    from report_orchestrator.sandbox.onelake_api import RequestedLakeEndpoint

__all__ = ["OneLakeOptions", "OneLakeSandbox"]


def _guid() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class OneLakeOptions:
    """What the sandbox holds, and whom it lets in; whatever is not given is made up.

    `token_seconds` is how long a token is good.
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
            raise ValueError("a workspace cannot be named sandbox: those addresses are the sandbox's own")
        if not self.lakehouse.endswith(".Lakehouse"):
            raise ValueError("a lakehouse's name must end in .Lakehouse")


class OneLakeSandbox(Sandbox):
    """A OneLake of one's own, served from threads of this process.

    Files, counters and faults outlive `stop`, and `start` serves them again at the same address: an outage is a stop and
    a start. They lie in `folder`, which is made where it is missing and kept, or in a temporary folder. `clock` gives seconds
    and never goes back; tokens age by it. `observe` is called after the work of every request and before its answer, from many
    threads; `on_request` is told one line for each, without query, token or body.

    Raises:
        ValueError: the host is not a loopback address and `allow_remote` was not given.
    """

    service = "OneLake"
    scheme = "https"
    _api: OneLakeApi

    def __init__(
        self,
        options: OneLakeOptions | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[], None] = lambda: None,
        on_request: Callable[[str], None] | None = None,
        allow_remote: bool = False,
    ) -> None:
        super().__init__(host, port, on_request=on_request, allow_remote=allow_remote)
        self.options = options or OneLakeOptions()
        self.observe = observe
        self.faults = FaultScript(LAKE_FAULTS)
        self._folder = self._own_folder() if folder is None else folder
        self._content = self._folder / "content"
        shutil.rmtree(self._content, ignore_errors=True)
        self._content.mkdir(parents=True)
        self._files = LakeFiles(self._content)
        self._entra = Entra(_application(self.options), clock)
        self._api = self._new_api()

    @property
    def ca_file(self) -> Path:
        """The certificate authority to trust, to set as FABRIC_CA_FILE. Written by the first start."""
        return self._folder / AUTHORITY

    @property
    def requests(self) -> Counter[RequestedLakeEndpoint]:
        """How many requests each endpoint had, refused ones included: `requests["append"]`."""
        return self._api.requests

    def settings_overrides(self, *, by_guid: bool = False) -> dict[str, str]:
        """The keys of `REPORT_ORCHESTRATOR` that make the product store its results here. Holds the sandbox's secret."""
        options = self.options
        return {
            "RESULT_STORE": "onelake",
            "FABRIC_ACCOUNT_URL": self.url,
            "FABRIC_CA_FILE": str(self.ca_file),
            "FABRIC_WORKSPACE_ID": options.workspace_id if by_guid else options.workspace,
            "FABRIC_LAKEHOUSE_ID": options.lakehouse_id if by_guid else options.lakehouse,
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": options.tenant_id,
            "AZURE_CLIENT_ID": options.client_id,
            "AZURE_CLIENT_SECRET": options.client_secret,
        }

    def listing(self, folder: str = "Files") -> Mapping[str, int]:
        """The files that a reader sees anywhere below a folder of the lakehouse: their paths relative to it, and their sizes."""
        below = self._files.below(folder, recursive=True) if self._files.has(folder) else []
        return {name[len(folder) + 1 :]: entry.size for name, entry in below if not entry.is_folder}

    def content(self, path: str) -> bytes:
        """A file's bytes as a reader sees them; the path is relative to the lakehouse."""
        entry = self._files.find(path)
        return b"".join(self._files.chunks(entry, 0, entry.size))

    def expire_tokens(self) -> None:
        """Makes every token given out so far worthless, whatever its holder believes."""
        self._entra.expire_tokens()

    def clear(self) -> None:
        """Forgets files, counters and faults."""
        self._files.clear()
        self._api.forget_requests()
        self.faults.clear()

    def _tls(self) -> ssl.SSLContext:
        return server_context(self._folder, self._host)

    def _own_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="onelake-sandbox-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _new_api(self) -> OneLakeApi:
        options = self.options
        place = Place(
            workspace=options.workspace,
            workspace_id=options.workspace_id,
            lakehouse=options.lakehouse,
            lakehouse_id=options.lakehouse_id,
        )
        return OneLakeApi(
            place,
            self._files,
            self._entra,
            self.faults,
            observe=lambda: self.observe(),
        )


def _application(options: OneLakeOptions) -> Application:
    return Application(
        tenant_id=options.tenant_id,
        client_id=options.client_id,
        client_secret=options.client_secret,
        token_seconds=options.token_seconds,
    )
