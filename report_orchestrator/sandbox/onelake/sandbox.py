"""The server of the local OneLake, which production code uses unmodified.

It follows Microsoft's documentation and was never compared with the real OneLake.

    with OneLakeSandbox() as sandbox:
        sandbox.faults.add("rename", "reset_after_work")
        ...  # REPORT_ORCHESTRATOR = {**REPORT_ORCHESTRATOR, **sandbox.settings_overrides()}
        sandbox.faults.assert_all_fired()
"""

import shutil
import ssl
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Unpack

from report_orchestrator.sandbox.http.server import Sandbox, ServerOptions
from report_orchestrator.sandbox.onelake.api import OneLakeApi
from report_orchestrator.sandbox.onelake.certificates import AUTHORITY, server_context
from report_orchestrator.sandbox.onelake.entra import Entra
from report_orchestrator.sandbox.onelake.faults import LakeEndpoint, LakeFaultKind
from report_orchestrator.sandbox.onelake.files import LakeFiles
from report_orchestrator.sandbox.onelake.options import OneLakeOptions


class OneLakeSandbox(Sandbox[LakeEndpoint, LakeFaultKind]):
    """A local OneLake, served from threads of this process.

    `folder` is created if missing and kept; the default is a temporary one. `clock` gives monotonic seconds for the
    age of tokens. `observe` is called after the work of every request and before its response, from many threads.
    """

    service = "OneLake"
    scheme = "https"

    def __init__(
        self,
        options: OneLakeOptions | None = None,
        *,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[], None] = lambda: None,
        **server: Unpack[ServerOptions],
    ) -> None:
        self.options = options or OneLakeOptions()
        self.observe = observe
        self._entra = Entra(self.options, clock)
        self._folder = self._own_folder() if folder is None else folder
        content = self._folder / "content"
        shutil.rmtree(content, ignore_errors=True)
        content.mkdir(parents=True)
        self._files = LakeFiles(content)
        super().__init__(OneLakeApi(self.options, self._files, self._entra, lambda: self.observe()), **server)

    @property
    def ca_file(self) -> Path:
        """The certificate authority to trust, for FABRIC_CA_FILE. The first start writes it."""
        return self._folder / AUTHORITY

    def settings_overrides(self, *, by_guid: bool = False) -> dict[str, str]:
        """Return the keys of `REPORT_ORCHESTRATOR` that store results here. They include the sandbox's secret."""
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
        """Return the sizes of published files below a folder of the lakehouse, by path relative to it."""
        below = self._files.below(folder, recursive=True) if self._files.has(folder) else []
        return {name[len(folder) + 1 :]: entry.size for name, entry in below if not entry.is_folder}

    def content(self, path: str) -> bytes:
        """Return a file's published bytes; the path is relative to the lakehouse."""
        entry = self._files.find(path)
        return b"".join(self._files.chunks(entry, 0, entry.size))

    def expire_tokens(self) -> None:
        """Invalidate every token issued so far."""
        self._entra.expire_tokens()

    def _tls(self) -> ssl.SSLContext:
        return server_context(self._folder, self._host)

    def _own_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="onelake-sandbox-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder
