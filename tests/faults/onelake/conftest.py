"""A OneLake that fails on purpose, with a reader at every request."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.support.onelake_faults import ANOTHER, CONTENT, LARGE, SHORT, Reader, new_store


@pytest.fixture(scope="package")
def running() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: OneLakeSandbox) -> Iterator[OneLakeSandbox]:
    running.clear()
    yield running
    running.observe = lambda: None
    running.faults.assert_all_fired()


@pytest.fixture
def reader(sandbox: OneLakeSandbox) -> Iterator[Reader]:
    """Check every request, and the result at the end of every test."""
    reader = Reader(sandbox)
    sandbox.observe = reader.look
    yield reader
    reader.assert_only_whole_files_were_seen(CONTENT, ANOTHER, LARGE)


@pytest.fixture
def store(sandbox: OneLakeSandbox, reader: Reader) -> Iterator[OneLakeStore]:
    store = new_store(sandbox)
    yield store
    store.close()


@pytest.fixture
def hasty(sandbox: OneLakeSandbox, reader: Reader) -> Iterator[OneLakeStore]:
    """A store with a token and an open connection, and with short time-outs."""
    store = new_store(sandbox, TIMEOUT_SECONDS=SHORT)
    store.sweep(timedelta(0))
    yield store
    store.close()
