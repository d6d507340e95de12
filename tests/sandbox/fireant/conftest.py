"""A local Fireant with a clock that the test moves, and a client of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from report_orchestrator.sandbox.fireant import FireantSandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

from tests.support.fireant_client import Client, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[FireantSandbox]:
    with FireantSandbox(clock=clock) as running:
        yield running


@pytest.fixture
def client(sandbox: FireantSandbox) -> Iterator[Client]:
    client = Client(sandbox)
    with client.session:
        yield client
