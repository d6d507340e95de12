"""A local OneLake with a clock that the test moves, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.storage.filedatalake import FileSystemClient

from report_orchestrator.adapters.onelake.connection import Credential
from report_orchestrator.conf import parse_settings
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.support.lake_client import Client, Clock


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running(clock: Clock) -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox(clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: OneLakeSandbox) -> Iterator[OneLakeSandbox]:
    running.clear()
    yield running
    running.faults.assert_all_fired()


@pytest.fixture
def client(sandbox: OneLakeSandbox) -> Iterator[Client]:
    client = Client(sandbox)
    sandbox.clear()
    yield client
    client.session.close()


@pytest.fixture
def azure(sandbox: OneLakeSandbox) -> Iterator[FileSystemClient]:
    """The SDK, as it comes out of the box but for its waits between retries."""
    settings, _problems = parse_settings(sandbox.settings_overrides(), {})
    with FileSystemClient(
        sandbox.url,
        sandbox.options.workspace,
        credential=Credential(settings),
        connection_verify=str(sandbox.ca_file),
        initial_backoff=0,
        increment_base=0,
        random_jitter_range=0,
    ) as client:
        yield client
