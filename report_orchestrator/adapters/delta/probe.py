"""Check that results could be appended to a Delta table: one row is appended, and seen, in a table of its own."""

from report_orchestrator.exceptions import StorageError
from report_orchestrator.ports import AppendResult, ProbeResult, ResultTable


def probe_table(table: ResultTable) -> ProbeResult:
    """Append one row twice to a new table; the second append must find it. The caller removes the table.

    Raises:
        ConfigurationError, TransientError: as an append would; the message says what to do.
        StorageError: the table took the row and does not show it.
    """
    first, second = _append(table), _append(table)
    if (first.rows, second.rows) != (1, None):
        raise StorageError(
            "A test table accepted a row but did not return it "
            f"({first.note or second.note or 'no reason given'}). Check the storage of the result tables."
        )
    return ProbeResult(detail=f"{first.location} created, one row appended and read, table removed")


def _append(table: ResultTable) -> AppendResult:
    return table.append("doctor", {}, lambda: [b'{"results": [{"well": true}]}'], lambda: None)
