"""Settings for a sandbox of OneLake."""

from __future__ import annotations

from typing import Any

from report_orchestrator.conf import Settings, parse_settings
from report_orchestrator.sandbox.onelake import OneLakeSandbox

PATH = "7/2026-07-01/0b1c.json"
RESULTS = "Files/report_results"


def settings_for(sandbox: OneLakeSandbox, *, by_guid: bool = False, **changes: Any) -> Settings:
    given = {**sandbox.settings_overrides(by_guid=by_guid), "TIMEOUT_SECONDS": 10, **changes}
    settings, problems = parse_settings(given, {})
    assert problems == []
    return settings
