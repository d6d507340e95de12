"""A local Fireant: the same endpoints on a real socket, with jobs that pass the time and faults on demand.

Needs nothing but the standard library, so that any process can hold one:

    with FireantSandbox(SandboxOptions(seconds_running=2)) as sandbox:
        sandbox.faults.add(endpoint="status", kind="reset")
        ...  # FIREANT_API_URL = sandbox.url
        sandbox.faults.assert_all_fired()
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from report_orchestrator.sandbox.faults import FIREANT_FAULTS, FaultScript
from report_orchestrator.sandbox.fireant_api import FireantApi
from report_orchestrator.sandbox.jobs import JobTable, SandboxJob, SandboxOptions
from report_orchestrator.sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from report_orchestrator.sandbox.fireant_api import RequestedEndpoint

__all__ = ["FireantSandbox", "SandboxJob", "SandboxOptions"]


class FireantSandbox(Sandbox):
    """A Fireant of one's own, served from threads of this process.

    Jobs, counters and faults outlive `stop`, and `start` serves them again at the same address: an outage is
    a stop and a start. `clock` gives seconds and never goes back; jobs age by it. `on_request` is told one
    line for each request, from many threads, without key, query or body.

    Raises:
        ValueError: the host is not a loopback address and `allow_remote` was not given.
    """

    service = "Fireant"
    _api: FireantApi

    def __init__(
        self,
        options: SandboxOptions | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_request: Callable[[str], None] | None = None,
        allow_remote: bool = False,
    ) -> None:
        super().__init__(host, port, on_request=on_request, allow_remote=allow_remote)
        self.options = options or SandboxOptions()
        self.faults = FaultScript(FIREANT_FAULTS)
        self._jobs = JobTable(self.options, clock)
        self._api = FireantApi(self.options, self._jobs, self.faults)

    @property
    def jobs(self) -> tuple[SandboxJob, ...]:
        """The accepted submissions, oldest first."""
        return self._jobs.submissions()

    @property
    def requests(self) -> Counter[RequestedEndpoint]:
        """How many requests each endpoint had, refused ones included: `requests["status"]`."""
        return self._api.requests

    def clear(self) -> None:
        """Forgets jobs, counters and faults."""
        self._jobs.clear()
        self._api.forget_requests()
        self.faults.clear()
