"""The server of the local Fireant.

with FireantSandbox(SandboxOptions(seconds_running=2)) as sandbox:
    sandbox.faults.add(endpoint="status", kind="reset")
    ...  # FIREANT_API_URL = sandbox.url
    sandbox.faults.assert_all_fired()
"""

import time
from collections.abc import Callable
from typing import Unpack

from report_orchestrator.sandbox.fireant.api import Endpoint, FaultKind, FireantApi
from report_orchestrator.sandbox.fireant.jobs import JobTable, SandboxJob, SandboxOptions
from report_orchestrator.sandbox.http.server import Sandbox, ServerOptions


class FireantSandbox(Sandbox[Endpoint, FaultKind]):
    """A local Fireant, served from threads of this process. `clock` gives monotonic seconds for the age of jobs."""

    service = "Fireant"

    def __init__(
        self,
        options: SandboxOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        **server: Unpack[ServerOptions],
    ) -> None:
        self.options = options or SandboxOptions()
        self._jobs = JobTable(self.options, clock)
        super().__init__(FireantApi(self.options, self._jobs), **server)

    @property
    def jobs(self) -> tuple[SandboxJob, ...]:
        """The accepted submissions, oldest first."""
        return self._jobs.submissions()
