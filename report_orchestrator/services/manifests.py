"""What stands beside every result: whose it is, how large it is, and what its bytes must hash to."""

from __future__ import annotations

import json
from datetime import datetime

from report_orchestrator.models import ReportRun
from report_orchestrator.ports import StoredResult

LONGEST = 64 * 1024
"""Bytes. Most of a manifest are the report's key and name."""
FORMAT = 1
"""Raised when a name in it changes its meaning; a new name does not raise it."""


def manifest(run: ReportRun, stored: StoredResult, *, now: datetime) -> bytes:
    """One flat JSON object. Times are ISO 8601 in UTC; `size` is in bytes."""
    described = {
        "format": FORMAT,
        "report_key": run.report_key,
        "report_name": run.report_name,
        "run_id": run.pk,
        "run": str(run.reference),
        "run_date": run.run_date.isoformat(),
        "trigger": run.trigger,
        "scheduled_for": run.scheduled_for.isoformat(),
        "started_at": run.started_at and run.started_at.isoformat(),
        "stored_at": now.isoformat(),
        "fireant_job_id": run.fireant_job_id,
        "client_reference": run.client_reference,
        "payload_sha256": run.payload_digest,
        "result": run.result_path.rpartition("/")[2],
        "size": stored.size,
        "sha256": stored.sha256,
    }
    return json.dumps(described, indent=2, ensure_ascii=False).encode() + b"\n"


def describes(body: bytes, stored: StoredResult) -> bool:
    """Whether a manifest, read back, is one of these bytes."""
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and (document.get("size"), document.get("sha256")) == (
        stored.size,
        stored.sha256,
    )
