"""A local Fireant: the same endpoints on a real socket, with jobs that pass the time and faults on demand.

Needs nothing but the standard library, so that any process can hold one:

    with FireantSandbox(SandboxOptions(seconds_running=2)) as sandbox:
        sandbox.faults.add(endpoint="status", kind="reset")
        ...  # FIREANT_API_URL = sandbox.url
        sandbox.faults.assert_all_fired()
"""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, Self

from report_orchestrator.sandbox.faults import FIREANT_FAULTS, FaultScript
from report_orchestrator.sandbox.fireant_api import FireantApi
from report_orchestrator.sandbox.jobs import JobTable, SandboxJob, SandboxOptions
from report_orchestrator.sandbox.server import SandboxServer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from types import TracebackType

    from report_orchestrator.sandbox.fireant_api import RequestedEndpoint

__all__ = ["FireantSandbox", "SandboxJob", "SandboxOptions"]


class FireantSandbox:
    """A Fireant of one's own, served from threads of this process.

    Jobs, counters and faults outlive `stop`, and `start` serves them again at the same address: an outage is
    a stop and a start. `clock` gives seconds and never goes back; jobs age by it. `on_request` is told one
    line for each request, from many threads, without key, query or body.

    Raises:
        ValueError: the host is not a loopback address and `allow_remote` was not given.
    """

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
        if not (allow_remote or is_loopback(host)):
            raise ValueError(f"{host} can be reached from other machines: the sandbox is for this one only")
        self.options = options or SandboxOptions()
        self.faults = FaultScript(FIREANT_FAULTS)
        self._jobs = JobTable(self.options, clock)
        self._api = FireantApi(self.options, self._jobs, self.faults)
        self._on_request = on_request
        self._host = host
        self._port = port
        self._server: SandboxServer | None = None

    @property
    def url(self) -> str:
        """The address to set as FIREANT_API_URL, without a trailing slash. Known from the first start on."""
        if not self._port:
            raise RuntimeError("the sandbox has no address before its first start")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

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

    def start(self) -> Self:
        """Binds and serves until `stop`. Does nothing when it serves already.

        Raises:
            OSError: the port is taken, or the address is not one of this machine.
        """
        if self._server is None:
            self._server = SandboxServer(
                self._host, self._port, self._api, self._on_request, service="Fireant"
            )
            self._port = self._server.server_port
            self._server.start()
        return self

    def stop(self) -> None:
        """Ends every connection and thread and gives the port back. Does nothing when stopped already."""
        server, self._server = self._server, None
        if server is not None:
            server.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that binds to `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
