"""Results as a Delta table under `Tables/`, in a folder or in OneLake: each run's rows are there once, or not at all.

A run's rows are one commit, which carries the run's reference as an application transaction. Delta Lake refuses a second commit
with the same one, also where two writers did not know of each other.
Source: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers
"""

from __future__ import annotations

import queue
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from datetime import date, datetime

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from report_orchestrator.adapters.beside import BEAT, awaited, beside
from report_orchestrator.adapters.result_rows import UnfitError, batches, schema_of, shape_of
from report_orchestrator.exceptions import ConfigurationError, TransientError
from report_orchestrator.ports import Appended

READ_AHEAD = 2
"""Batches that lie between the parser and the writer."""
_FORBIDDEN = re.compile(r"403 Forbidden|lacked the necessary privileges")
"""How delta-rs tells a 403, in the one or the other of its ways. A 401 passes: each attempt brings a new token."""
WRITTEN = 1
"""The version of a run's transaction: it has only one."""

StorageOptions = Callable[[], Mapping[str, str]]
_TYPES: Mapping[type, pa.DataType] = {
    str: pa.string(),
    date: pa.date32(),
    datetime: pa.timestamp("us", tz="UTC"),
}


class DeltaResults:
    """A `ResultTable` at an address. `options` are asked for at each use, as tokens grow old."""

    def __init__(self, address: str, options: StorageOptions = dict) -> None:
        self._address = address
        self._options = options

    def append(
        self,
        run: str,
        columns: Mapping[str, str | date | datetime],
        read: Callable[[], Iterable[bytes]],
        keep: Callable[[], None],
    ) -> Appended:
        """Appends a result's rows in batches, each with the run's columns. Reads the result twice, and holds a few batches of it.

        Raises:
            TransientError: worth another attempt; the run's rows are there or not, and are not doubled by it.
            ConfigurationError: the table cannot be reached.
        """
        constants = {name: pa.scalar(value, type=_TYPES[type(value)]) for name, value in columns.items()}
        table = self._open()
        if _has(table, run):
            return Appended(location=self._address)
        try:
            shape = shape_of(_keeping(read(), keep), _schema(table), columns)
        except UnfitError as unfit:
            return Appended(location=self._address, note=f"Not appended to the table: {unfit}.")
        if not shape.rows:
            return Appended(location=self._address, rows=0)
        table = table or self._create(schema_of(shape, constants))
        if _has(table, run):
            return Appended(location=self._address)
        self._commit(
            table, run, batches(_keeping(read(), keep), shape, constants), schema_of(shape, constants), keep
        )
        return Appended(location=self._address, rows=shape.rows)

    def _commit(
        self,
        table: DeltaTable,
        run: str,
        rows: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        keep: Callable[[], None],
    ) -> None:
        """One commit, refused where one of the same run came after `table` was opened."""

        def write(reader: pa.RecordBatchReader) -> None:
            write_deltalake(
                table,
                reader,
                mode="append",
                schema_mode="merge",
                commit_properties=CommitProperties(app_transactions=[Transaction(run, WRITTEN)]),
            )

        try:
            with _plain_errors(self._address):
                _written_beside(rows, schema, write, keep)
        except TransientError:
            if not _has(self._open(), run):
                raise

    def _open(self) -> DeltaTable | None:
        with _plain_errors(self._address):
            try:
                return DeltaTable(self._address, storage_options=dict(self._options()))
            except TableNotFoundError:
                return None

    def _create(self, schema: pa.Schema) -> DeltaTable:
        """The table, made by us or by somebody who was faster."""
        try:
            with _plain_errors(self._address):
                DeltaTable.create(
                    self._address,
                    schema,
                    mode="ignore",
                    storage_options=dict(self._options()),
                    # Tried again, it would become the second version of another's table, and replace its columns.
                    commit_properties=CommitProperties(max_commit_retries=0),
                )
        except TransientError:
            if self._open() is None:
                raise
        table = self._open()
        if table is None:
            raise TransientError(f"The table {self._address} was made and is not there.", code="table")
        return table


def _has(table: DeltaTable | None, run: str) -> bool:
    return table is not None and table.transaction_version(run) is not None


def _schema(table: DeltaTable | None) -> pa.Schema:
    return pa.schema([]) if table is None else pa.schema(table.schema().to_arrow())


def _keeping(chunks: Iterable[bytes], keep: Callable[[], None]) -> Iterator[bytes]:
    for chunk in chunks:
        keep()
        yield chunk


class _AbandonedError(Exception):
    """Ends the writer where whoever reads for it has failed."""


def _written_beside(
    rows: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    write: Callable[[pa.RecordBatchReader], None],
    keep: Callable[[], None],
) -> None:
    """Writes in a thread of its own, and reads in this one: the lease, the database and a shutdown's signal belong to it."""
    waiting: queue.Queue[pa.RecordBatch | Exception | None] = queue.Queue(READ_AHEAD)

    def arriving() -> Iterator[pa.RecordBatch]:
        while (batch := waiting.get()) is not None:
            if isinstance(batch, Exception):
                raise batch
            yield batch

    reader = pa.RecordBatchReader.from_batches(schema, arriving())
    written = beside(lambda: write(reader), "delta-table")
    try:
        for batch in rows:
            _hand_over(waiting, batch, written, keep)
            if written.done():  # it failed
                break
        _hand_over(waiting, None, written, keep)
        awaited(written, keep)
    except Exception:
        _hand_over(waiting, _AbandonedError(), written, lambda: None)
        wait([written])
        raise
    except BaseException:
        # A worker that is being ended does not wait for a lake that may be silent.
        with suppress(queue.Full):
            waiting.put_nowait(_AbandonedError())
        raise


def _hand_over(
    waiting: queue.Queue[pa.RecordBatch | Exception | None],
    item: pa.RecordBatch | Exception | None,
    written: Future[None],
    keep: Callable[[], None],
) -> None:
    """Waits until the writer has room, unless it has ended."""
    while not written.done():
        try:
            return waiting.put(item, timeout=BEAT)
        except queue.Full:
            keep()
    return None


@contextmanager
def _plain_errors(address: str) -> Iterator[None]:
    try:
        yield
    except CommitFailedError as error:
        raise TransientError(
            f"Another writer changed the table {address} first.", code="table_conflict"
        ) from error
    except PermissionError as error:
        raise ConfigurationError(f"The table {address} cannot be written: {_told(error)}.") from error
    except (DeltaError, OSError) as error:
        if _FORBIDDEN.search(str(error)):
            raise ConfigurationError(
                f"The table {address} is refused: {_told(error)}. Give the identity that writes results a role which may "
                "write in the workspace of FABRIC_WORKSPACE_ID, or set RESULT_TABLES to false; then retry the run."
            ) from error
        raise TransientError(
            f"The table {address} cannot be written now: {_told(error)}.", code="table"
        ) from error


def _told(error: Exception) -> str:
    """The library's words on one line, without its colours and its tree."""
    plain = re.sub(r"\x1b\[[0-9;]*m|\u21b3", "", str(error))
    return " ".join(plain.split())[:300].rstrip(".")
