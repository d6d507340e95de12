"""Calls of the Fireant client, for tests against servers that misbehave."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from report_orchestrator.adapters.fireant.client import FireantClient
from report_orchestrator.domain.payload import Payload
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.sandbox.onelake.certificates import AUTHORITY, server_context
from tests.support.raw_server import answer
from tests.support.settings_factory import SettingsFactory

KEY = "k/9+secret=key&more"
FINISHED = answer(body=b'{"data": {"status": "Finished"}}', headers={"Content-Type": "application/json"})
PATIENCE = 5.0  # seconds of silence that the client bears: no prompt answer takes as long, on the slowest machine
SHORT = 0.3  # seconds of silence where a server is to exceed them; a whole short answer may take twice that
PAYLOAD: Payload = {"geos": []}


@contextmanager
def client_of(url: str, **given: object) -> Iterator[FireantClient]:
    options = {"FIREANT_API_URL": url, "FIREANT_API_KEY": KEY, "TIMEOUT_SECONDS": PATIENCE, **given}
    client = FireantClient(SettingsFactory.make(**options))
    try:
        yield client
    finally:
        client.close()


def submit(client: FireantClient) -> str:
    return client.submit(EventKind.GEO, PAYLOAD, reference="ref-1")


def ask(client: FireantClient) -> object:
    return client.status("7")


def download(client: FireantClient) -> bytes:
    with client.results("7") as pieces:
        return b"".join(pieces)


CALLS: dict[str, Callable[[FireantClient], object]] = {"submit": submit, "status": ask, "results": download}


def failure(call: Callable[[FireantClient], object], client: FireantClient) -> OrchestratorError:
    with pytest.raises(OrchestratorError) as caught:
        call(client)
    return caught.value


def trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context whose authority the environment names."""
    context = server_context(folder, "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / AUTHORITY))
    return context
