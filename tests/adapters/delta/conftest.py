"""A table of results in a folder, and one in a sandbox of OneLake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from report_orchestrator.adapters.delta.table import DeltaResults
from report_orchestrator.adapters.onelake.tables import table_location
from report_orchestrator.conf import parse_settings
from report_orchestrator.sandbox.onelake import OneLakeSandbox


@pytest.fixture(scope="package")
def lake() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


@pytest.fixture(params=["local", "onelake"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> DeltaResults:
    """Return the table in a folder, or the one that delta-rs reaches over the sandbox's Blob service with its Entra token."""
    if request.param == "local":
        return DeltaResults(str(tmp_path / "Tables" / "report_results"))
    sandbox: OneLakeSandbox = request.getfixturevalue("lake")
    sandbox.clear()
    # The environment of delta-rs is read when it first connects, and is that of the process.
    request.getfixturevalue("monkeypatch").setenv("SSL_CERT_FILE", str(sandbox.ca_file))
    settings, problems = parse_settings({**sandbox.settings_overrides(), "TIMEOUT_SECONDS": 10}, {})
    assert problems == []
    return DeltaResults(*table_location(settings))
