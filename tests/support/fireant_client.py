"""A client of the local Fireant, for its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions

if TYPE_CHECKING:
    from report_orchestrator.sandbox.fireant.api import Endpoint

KEY = "a-key-of-the-test"
SECONDS_TO_ANSWER = 10
SECONDS_TOO_FEW = 1.0  # for an answer that never comes; many for the sandbox to take the job
FOR_EVER = 3600.0
EVENTS: dict[str, dict[str, Any]] = {
    "geo": {"geos": [{"id": 1, "name": "South Florida", "event_type": "geo", "area": "FL"}]},
    "ring": {"rings": [{"id": 2, "name": "Miami", "event_type": "ring", "radius": 50.0}]},
    "box": {"boxes": [{"id": 3, "name": "Gulf", "event_type": "box", "max_lat": 30.0}]},
}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Sends a host's requests over one kept connection, never through a proxy."""

    def __init__(self, sandbox: FireantSandbox, key: str | None = None) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        if key:
            self.session.headers["Authorization"] = f"Bearer {key}"

    def send(self, method: str, path: str, *, timeout: float = SECONDS_TO_ANSWER, **given: Any) -> requests.Response:
        return self.session.request(method, self.sandbox.url + path, timeout=timeout, **given)

    def submit(self, kind: str = "geo", *, timeout: float = SECONDS_TO_ANSWER, **changes: Any) -> requests.Response:
        return self.send("POST", f"/job_exposure_{kind}_agg", json=payload(kind, **changes), timeout=timeout)

    def submitted_id(self, kind: str = "geo", **changes: Any) -> str:
        return str(self.submit(kind, **changes).json()["job_id"])

    def status(self, job_id: str) -> requests.Response:
        return self.send("GET", f"/get_job_status/{job_id}?is_get_results=false&is_newline=true")

    def state(self, job_id: str) -> str:
        return str(self.status(job_id).json()["data"]["status"])

    def results(self, job_id: str, **given: Any) -> requests.Response:
        return self.send("GET", f"/jobs/results/{job_id}", **given)

    def request(self, endpoint: Endpoint, job_id: str) -> requests.Response:
        match endpoint:
            case "submit":
                return self.submit()
            case "status":
                return self.status(job_id)
            case "results":
                return self.results(job_id)


def payload(kind: str = "geo", **changes: Any) -> dict[str, Any]:
    return {
        "name": "Windstorm accumulation",
        "as_at_date": "2026-07-01",
        "fx_date": "2026-07-01",
        "meta": {"report_id": 1, "event_group_id": 1, "modifier_id": 1},
        **EVENTS[kind],
        **changes,
    }


class Serving:
    """A sandbox with options of its own, and a client of it."""

    def __init__(self, clock: Clock | None = None, **options: Any) -> None:
        self.client = Client(FireantSandbox(SandboxOptions(**options), clock=clock or Clock()))

    def __enter__(self) -> Client:
        self.client.sandbox.start()
        return self.client

    def __exit__(self, *raised: object) -> None:
        self.client.session.close()
        self.client.sandbox.stop()
