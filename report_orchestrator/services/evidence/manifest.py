"""The manifest stored next to each result: its report and run, its size in bytes and its SHA-256."""

import json
from datetime import datetime

from report_orchestrator.models import ReportRun
from report_orchestrator.ports import StoredResult

MAX_MANIFEST_BYTES = 64 * 1024
"""The report's key and name take most of it."""
FORMAT = 1
"""Incremented when a key changes its meaning, not when a key is added."""


def build_manifest(run: ReportRun, stored: StoredResult, *, now: datetime) -> bytes:
    """Return one flat JSON object. Times are ISO 8601 in UTC; `size` is in bytes."""
    fields = {
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
    return json.dumps(fields, indent=2, ensure_ascii=False).encode() + b"\n"


def is_manifest_of(body: bytes, stored: StoredResult, *, fireant_job_id: str) -> bool:
    try:
        document = json.loads(body)
    except ValueError:
        return False
    expected = {"fireant_job_id": fireant_job_id, "size": stored.size, "sha256": stored.sha256}
    return isinstance(document, dict) and expected.items() <= document.items()
