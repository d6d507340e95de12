"""A small result and its append to a table."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from report_orchestrator.adapters.delta.table import DeltaResults
from report_orchestrator.ports import AppendResult

COLUMNS: dict[str, str | date | datetime] = {
    "run_reference": "r1",
    "run_date": date(2026, 7, 1),
    "run_at": datetime(2026, 7, 1, 6, tzinfo=UTC),
}


ROWS = [{"location": "Miami", "exposure": 1}, {"location": "Tampa", "exposure": 2.5, "is_coastal": True}]


def document(rows: object = ROWS) -> bytes:
    return json.dumps({"metadata": {"results": 1}, "results": rows, "more": [1]}).encode()


def kept() -> None:
    """Keep the lease always."""


def append(table: DeltaResults, run: str = "r1", body: bytes | None = None) -> AppendResult:
    content = document() if body is None else body
    return table.append(run, {**COLUMNS, "run_reference": run}, lambda: iter([content]), kept)


def rows_of(table: DeltaResults) -> list[dict[str, Any]]:
    """Return all rows of a table, by run and location."""
    opened = table._open(lambda: None)
    assert opened is not None
    rows: list[dict[str, Any]] = opened.to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: (row["run_reference"], str(row.get("location"))))
