"""Append results to a Delta table under `Tables/`, in a folder or in OneLake; each run's rows are there once, or not
at all.

A run's rows are one commit with the run's reference as its application transaction. Delta Lake refuses a second
commit with the same reference, even from concurrent writers. Source:
https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import date, datetime
from typing import TypeVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import TableNotFoundError

from report_orchestrator.adapters.background_thread import HEARTBEAT_SECONDS, run_in_thread, wait_for, with_heartbeat
from report_orchestrator.adapters.delta.errors import (
    TableConflictError,
    is_denied_by_system,
    translated_errors,
    without_panic,
)
from report_orchestrator.adapters.delta.rows import UnfitError, batches, schema_of, shape_of, with_all_columns
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import ConfigurationError, TransientError
from report_orchestrator.ports import AppendResult

READ_AHEAD = 2
"""Batches buffered between the parser and the writer."""
MOST_CONFLICTS = 8
"""Commits of one attempt that other writers may come before."""
CHECKPOINT_INTERVAL = 10
"""Commits after which a checkpoint is written. An open reads all commits since the last one: 10 keep it near 60 requests."""
CHECKPOINT_SETTING = "delta.checkpointInterval"
WRITTEN = 1
"""The version of a run's transaction; each run has only one."""

_NOTHING = nullcontext()
_T = TypeVar("_T")
StorageOptions = Callable[[], Mapping[str, str]]
_TYPES: Mapping[type, pa.DataType] = {str: pa.string(), date: pa.date32(), datetime: pa.timestamp("us", tz="UTC")}


class _ResultReader:
    """Reads a result in threads, so that the lease is kept however slow its store is."""

    def __init__(self, read: Callable[[], Iterable[bytes]], heartbeat: Callable[[], None]) -> None:
        self._read = read
        self._heartbeat = heartbeat
        self._last: Iterator[bytes] = iter(())

    def chunks(self) -> Iterator[bytes]:
        """Read the result from its beginning."""
        self._last = with_heartbeat(iter(self._read()), self._heartbeat)
        return self._last

    def finish(self) -> None:
        """Read what is left of the last reading, whose end raises if the bytes are not those that were stored."""
        for _chunk in self._last:
            pass


class DeltaResults:
    """A `ResultTable` at an address. `options` is called at each use, as tokens expire; the library works `within`."""

    def __init__(
        self, address: str, options: StorageOptions = dict, within: AbstractContextManager[None] = _NOTHING
    ) -> None:
        self._address = address
        self._options = options
        self._within = within

    def append(
        self,
        run: str,
        columns: Mapping[str, str | date | datetime],
        read: Callable[[], Iterable[bytes]],
        heartbeat: Callable[[], None],
    ) -> AppendResult:
        """Append a result's rows in batches, each with the run's columns. Reads the result twice; a few batches are
        in memory at a time.

        Raises:
            TransientError: worth another attempt, which cannot double the rows.
            ConfigurationError: the table cannot be reached.
        """
        constants = {name: pa.scalar(value, type=_TYPES[type(value)]) for name, value in columns.items()}
        result = _ResultReader(read, heartbeat)
        for _conflict in range(MOST_CONFLICTS):
            # At once: a conflict with another of our writers needs no wait, and no retry of the run.
            with suppress(TableConflictError):
                return self._append_once(run, constants, result, heartbeat)
        return self._append_once(run, constants, result, heartbeat)

    def _append_once(
        self, run: str, constants: Mapping[str, pa.Scalar], result: _ResultReader, heartbeat: Callable[[], None]
    ) -> AppendResult:
        try:
            table = self._open(heartbeat)
            if _has(table, run):
                return AppendResult(location=self._address)
            return self._append_to(table, run, constants, result, heartbeat)
        except UnfitError as unfit:
            result.finish()
            return AppendResult(location=self._address, note=f"Not appended to the table: {unfit}.")

    def _append_to(
        self,
        table: DeltaTable | None,
        run: str,
        constants: Mapping[str, pa.Scalar],
        result: _ResultReader,
        heartbeat: Callable[[], None],
    ) -> AppendResult:
        opened_with = self._fingerprint()
        shape = shape_of(result.chunks(), _schema(table), constants)
        if not shape.rows:
            return AppendResult(location=self._address, rows=0)
        if _is_mapped(table):
            shape = with_all_columns(shape, _schema(table), constants)
        if self._fingerprint() != opened_with:
            table = self._open(heartbeat)  # with the new token, which lasts for the commit
        table = table or self._create(schema_of(shape, constants), heartbeat)
        if _has(table, run):
            return AppendResult(location=self._address)
        self._commit(table, run, batches(result.chunks(), shape, constants), schema_of(shape, constants), heartbeat)
        return AppendResult(location=self._address, rows=shape.rows)

    def _commit(
        self,
        table: DeltaTable,
        run: str,
        rows: Iterator[pa.RecordBatch],
        schema: pa.Schema,
        heartbeat: Callable[[], None],
    ) -> None:
        """Commit once; Delta Lake refuses it if the same run was committed after `table` was opened."""

        def append(reader: pa.RecordBatchReader) -> None:
            write_deltalake(
                table,
                reader,
                mode="append",
                schema_mode=None if _is_mapped(table) else "merge",
                commit_properties=CommitProperties(app_transactions=[Transaction(run, WRITTEN)]),
            )

        try:
            _write_in_background(rows, schema, lambda reader: self._library(lambda: append(reader)), heartbeat)
        except TransientError:
            if not _has(self._open(heartbeat), run):
                raise
            return
        self._write_checkpoint(table, heartbeat)

    def _write_checkpoint(self, table: DeltaTable, heartbeat: Callable[[], None]) -> None:
        """Write the checkpoint that delta-rs would write later: its default interval is 100 commits."""
        is_due = (table.version() + 1) % CHECKPOINT_INTERVAL == 0
        if is_due and CHECKPOINT_SETTING not in table.metadata().configuration:
            with suppress(TransientError, ConfigurationError, UnfitError):  # the rows are committed
                self._call(table.create_checkpoint, heartbeat)

    def _open(self, heartbeat: Callable[[], None]) -> DeltaTable | None:
        """Open the table in a thread: it reads the whole log since the last checkpoint."""
        return self._call(self._find, heartbeat)

    def _find(self) -> DeltaTable | None:
        try:
            return DeltaTable(self._address, storage_options=dict(self._options()))
        except TableNotFoundError as error:
            if is_denied_by_system(error):
                raise
            return None

    def _fingerprint(self) -> int:
        """Return a hash of the options: no traceback with local variables may show their token."""
        return hash(frozenset(self._options().items()))

    def _call(self, work: Callable[[], _T], heartbeat: Callable[[], None]) -> _T:
        """Call the library in a thread of its own."""
        return wait_for(run_in_thread(lambda: self._library(work), "delta-table"), heartbeat)

    def _library(self, work: Callable[[], _T]) -> _T:
        """Call the library with its errors in plain words. Those of a heartbeat or of the reader are not its own."""
        with self._within, translated_errors(self._address):
            return without_panic(work)

    def _create(self, schema: pa.Schema, heartbeat: Callable[[], None]) -> DeltaTable:
        """Create the table, or open the one that another worker has just created."""
        try:
            self._call(lambda: self._create_missing(schema), heartbeat)
        except TransientError:
            if self._open(heartbeat) is None:
                raise
        table = self._open(heartbeat)
        if table is None:
            raise TransientError(f"The table {self._address} was created but cannot be found.", code=ErrorCode.TABLE)
        return table

    def _create_missing(self, schema: pa.Schema) -> None:
        DeltaTable.create(
            self._address,
            schema,
            mode="ignore",
            storage_options=dict(self._options()),
            configuration={CHECKPOINT_SETTING: str(CHECKPOINT_INTERVAL)},
            # Tried again, it would become the second version of another's table, and replace its columns.
            commit_properties=CommitProperties(max_commit_retries=0),
        )


def _has(table: DeltaTable | None, run: str) -> bool:
    return table is not None and table.transaction_version(run) is not None


def _is_mapped(table: DeltaTable | None) -> bool:
    """Return True if the columns have other names in the files; the library adds none to such a table."""
    return table is not None and table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none"


def _schema(table: DeltaTable | None) -> pa.Schema:
    return pa.schema([]) if table is None else pa.schema(table.schema().to_arrow())


class _AbandonedError(Exception):
    """Ends the writer after its reader has failed."""


def _write_in_background(
    rows: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    write: Callable[[pa.RecordBatchReader], None],
    heartbeat: Callable[[], None],
) -> None:
    """Write in a background thread; read in the calling one, which owns the lease, the connection and the signals."""
    waiting: queue.Queue[pa.RecordBatch | Exception | None] = queue.Queue(READ_AHEAD)

    def arriving() -> Iterator[pa.RecordBatch]:
        while (batch := waiting.get()) is not None:
            if isinstance(batch, Exception):
                raise batch
            yield batch

    reader = pa.RecordBatchReader.from_batches(schema, arriving())
    written = run_in_thread(lambda: write(reader), "delta-table")
    try:
        for batch in rows:
            heartbeat()  # a writer that is slow, but faster than the wait for room, is never waited for
            _hand_over(waiting, batch, written, heartbeat)
            if written.done():  # it failed
                break
        _hand_over(waiting, None, written, heartbeat)
        wait_for(written, heartbeat)
    except BaseException:
        # Neither a cancel nor a worker that is being ended waits for a lake that may be silent.
        _abandon(waiting)
        raise


def _abandon(waiting: queue.Queue[pa.RecordBatch | Exception | None]) -> None:
    """Let the writer fail at its next batch, before it commits."""
    with suppress(queue.Empty):
        while True:
            waiting.get_nowait()
    waiting.put_nowait(_AbandonedError())


def _hand_over(
    waiting: queue.Queue[pa.RecordBatch | Exception | None],
    item: pa.RecordBatch | Exception | None,
    written: Future[None],
    heartbeat: Callable[[], None],
) -> None:
    """Wait until the writer has room, unless it has ended."""
    while not written.done():
        try:
            return waiting.put(item, timeout=HEARTBEAT_SECONDS)
        except queue.Full:
            heartbeat()
    return None
