"""A smoke test against the real OneLake, for whoever has one: it has never been run by this project's own gate.

ONELAKE_LIVE=1 AZURE_TENANT_ID=… AZURE_CLIENT_ID=… AZURE_CLIENT_SECRET=… FABRIC_WORKSPACE_ID=… FABRIC_LAKEHOUSE_ID=… \
    pytest -m integration tests/contract/test_onelake_live.py

It leaves a few small files under `_report_orchestrator_smoke_test`, which nobody reads.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest

from report_orchestrator.adapters.onelake import OneLakeStore
from report_orchestrator.adapters.onelake_client import PIECE
from report_orchestrator.conf import parse_settings

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not os.environ.get("ONELAKE_LIVE"), reason="not run: no credentials (ONELAKE_LIVE is not set)"
    ),
]


# Read now: every test's own environment is without the developer's settings.
ENVIRONMENT = dict(os.environ)


@pytest.fixture
def store() -> Iterator[OneLakeStore]:
    settings, problems = parse_settings(
        {"RESULT_STORE": "onelake", "FABRIC_RESULTS_PATH": "_report_orchestrator_smoke_test"}, ENVIRONMENT
    )
    assert problems == []
    store = OneLakeStore(settings)
    yield store
    store.close()


@pytest.mark.parametrize("size", [0, 1, PIECE + 1])
def test_a_result_is_stored_once_and_described_alike(store: OneLakeStore, size: int) -> None:
    path = f"{uuid.uuid4()}/1.json"

    first = store.write(path, [b"x" * size])
    second = store.write(path, [b"another"])

    assert first.size == size
    assert first == second


def test_a_sweep_finds_its_way(store: OneLakeStore) -> None:
    assert store.sweep(timedelta(days=7)) >= 0
