"""A smoke test against the real Fireant, for whoever has one: it has never been run by this project's own gate.

FIREANT_LIVE=1 FIREANT_API_URL=https://… FIREANT_API_KEY=… pytest -m integration tests/contract/test_fireant_live.py

It submits nothing, unless FIREANT_LIVE_PAYLOAD names a file with a payload as JSON: then that job is submitted, waited for
(FIREANT_LIVE_MINUTES, 30 by default) and its result downloaded. REQUESTS_CA_BUNDLE and proxies are respected.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from report_orchestrator.adapters.fireant import FireantClient
from report_orchestrator.conf import parse_settings
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.exceptions import ConfigurationError, FireantError
from report_orchestrator.ports import JobState

# Read now: every test's own environment is without the developer's settings.
ENVIRONMENT = dict(os.environ)
LISTS = {"geos": EventKind.GEO, "rings": EventKind.RING, "boxes": EventKind.BOX}

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


def test_a_job_that_nobody_submitted_is_unknown_and_has_no_result(client: FireantClient) -> None:
    with pytest.raises(FireantError) as unknown:
        client.status("0")
    assert unknown.value.code == "job_unknown"
    with pytest.raises(FireantError) as without, client.results("0"):
        pass
    assert without.value.code == "no_result"


def test_a_wrong_key_is_refused() -> None:
    client = client_with(FIREANT_API_KEY="not-the-key")
    with pytest.raises(ConfigurationError, match="FIREANT_API_KEY"):
        client.status("0")
    client.close()


@pytest.mark.skipif(
    not ENVIRONMENT.get("FIREANT_LIVE_PAYLOAD"), reason="not run: FIREANT_LIVE_PAYLOAD is not set"
)
def test_a_job_goes_from_its_payload_to_its_result(client: FireantClient) -> None:
    payload = json.loads(Path(ENVIRONMENT["FIREANT_LIVE_PAYLOAD"]).read_text())
    [kind] = [kind for name, kind in LISTS.items() if payload.get(name)]
    job_id = client.submit(kind, payload, reference=f"smoke-test-{time.time_ns()}")
    until = time.monotonic() + 60 * float(ENVIRONMENT.get("FIREANT_LIVE_MINUTES", "30"))
    while (status := client.status(job_id)).state not in {JobState.FINISHED, JobState.FAILED}:
        assert time.monotonic() < until, f"job {job_id} is still {status.reported}"
        time.sleep(5)
    assert status.state is JobState.FINISHED, status.error
    with client.results(job_id) as pieces:
        assert sum(map(len, pieces)) > 0
