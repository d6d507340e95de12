"""What the demo's past runs sent and stored: payloads of the reports as they are, and results in the local store."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from report_orchestrator.domain.payload import event_kind, json_payload, payload_digest
from report_orchestrator.domain.reports import Json, Modifier, Report
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun, RunPayload
from report_orchestrator.ports import Ports, StoredResult
from tests.demo.past_runs import PastRun

PAYLOADS_WITHIN = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Reads each report once, and writes its result once: the other runs' files are links to it."""

    ports: Ports
    now: datetime
    reports: dict[str, Report] = field(default_factory=dict)
    modifiers: dict[tuple[str, date], Modifier] = field(default_factory=dict)
    results: dict[str, StoredResult] = field(default_factory=dict)
    payloads: list[RunPayload] = field(default_factory=list)

    def add(self, runs: Sequence[ReportRun]) -> list[PastRun]:
        """Return the runs with their details, and collect their payloads."""
        return [self._of(run) for run in runs]

    def _of(self, run: ReportRun) -> PastRun:
        past = PastRun(run)
        if run.started_at is None:
            return past
        report = self.reports.get(run.report_key) or self.ports.reports.load(run.report_key)
        self.reports[run.report_key] = report
        run.job_kind = event_kind(report).value
        # A retry at the submission sends the payload that is kept; an older run's has been pruned.
        if run.created_at > self.now - PAYLOADS_WITHIN or (run.status == Status.FAILED and not run.fireant_job_id):
            self._keep_payload(past, report)
        if run.fireant_job_id:
            past.details[Step.EXTERNAL_JOB_SUBMISSION] = {
                "fireant_job_id": run.fireant_job_id,
                "client_reference": run.client_reference,
            }
        if run.status == Status.SUCCEEDED:
            self._store_result(past, report)
        return past

    def _keep_payload(self, past: PastRun, report: Report) -> None:
        run = past.run
        at = (run.report_key, run.run_date)
        modifier = self.modifiers.get(at) or self.ports.reports.modifier_for(run.report_key, run.run_date)
        self.modifiers[at] = modifier
        payload = json_payload(self.ports.build_payload(report, modifier), str(run.report))
        run.modifier_key, run.payload_digest = str(modifier.id), payload_digest(payload)
        self.payloads.append(RunPayload(run=run, body=payload))
        past.details[Step.REPORT_DATA] = {
            "events": len(report.events),
            "kind": run.job_kind,
            "as_at_date": modifier.as_at_date.isoformat(),
            "fx_date": modifier.fx_date.isoformat(),
            "payload_sha256": run.payload_digest,
        }

    def _store_result(self, past: PastRun, report: Report) -> None:
        run, first = past.run, self.results.get(past.run.report_key)
        stored = first or self.ports.store.write(run.result_path, [_result(report)])
        self.results[run.report_key] = stored
        run.result_size, run.result_sha256 = stored.size, stored.sha256
        run.results_path = stored.location if first is None else self._linked(run, stored)
        past.details[Step.RESULTS_STORAGE] = {
            "location": run.results_path,
            "bytes": stored.size,
            "sha256": stored.sha256,
        }

    def _linked(self, run: ReportRun, stored: StoredResult) -> str:
        """Link the run's result to its report's first one; return its location."""
        original = Path(stored.location)
        link = original.parents[2] / run.result_path
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(original, link)
        return str(link)


def _result(report: Report) -> bytes:
    """Return a result of the form that Fireant's have: a row for each event, with an invented exposure."""
    rows: list[Json] = [
        {"location": str(getattr(event, "name", position)), "exposure": 1_000_000 * (position + 1)}
        for position, event in enumerate(report.events)
    ]
    return json.dumps({"results": rows, "metadata": {"total_locations": len(rows)}}, indent=1).encode()
