"""A sandbox of OneLake, and its store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.support.onelake_settings import settings_for


@pytest.fixture(scope="package")
def running() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: OneLakeSandbox) -> OneLakeSandbox:
    running.clear()
    return running


@pytest.fixture
def lake(sandbox: OneLakeSandbox) -> Iterator[OneLakeStore]:
    store = OneLakeStore(settings_for(sandbox))
    yield store
    store.close()
