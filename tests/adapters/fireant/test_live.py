"""A smoke test against the real Fireant. The gate never runs it.

FIREANT_LIVE=1 FIREANT_API_URL=https://… FIREANT_API_KEY=… pytest -m integration tests/adapters/fireant/test_live.py

It submits nothing. The contract shared with the fake and the local one is in `test_contract.py`.
REQUESTS_CA_BUNDLE and proxies are respected.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest

from report_orchestrator.adapters.fireant.client import FireantClient
from report_orchestrator.conf import parse_settings
from report_orchestrator.exceptions import ConfigurationError

# Read now: every test's own environment is without the developer's settings.
ENVIRONMENT = dict(os.environ)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not (ENVIRONMENT.get("FIREANT_LIVE") and ENVIRONMENT.get("FIREANT_API_KEY")),
        reason="not run: no credentials (FIREANT_LIVE and FIREANT_API_KEY are not set)",
    ),
]


def client_with(**given: str) -> FireantClient:
    settings, problems = parse_settings({}, ENVIRONMENT | given)
    assert problems == []
    return FireantClient(settings)


@pytest.fixture
def client() -> Iterator[FireantClient]:
    client = client_with()
    yield client
    client.close()


def test_the_key_is_accepted_and_the_clocks_agree(client: FireantClient) -> None:
    probed = client.probe()
    assert probed.doubt == ""
    assert probed.ahead is None or abs(probed.ahead) < timedelta(seconds=60)


def test_a_wrong_key_is_refused() -> None:
    client = client_with(FIREANT_API_KEY="not-the-key")
    with pytest.raises(ConfigurationError, match="FIREANT_API_KEY"):
        client.status("0")
    client.close()
