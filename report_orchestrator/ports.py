"""Protocols of everything outside the package. Adapters implement them; services depend on nothing else outside.

An implementer translates its vendor's errors into `report_orchestrator.exceptions` at its own border, and marks
transient ones there. `report_orchestrator.testing` has fakes of all of them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeAlias

from report_orchestrator.domain.payload import Payload
from report_orchestrator.domain.reports import EventKind, Modifier, Report, ReportSummary

Clock: TypeAlias = Callable[[], datetime]
PayloadBuilder: TypeAlias = Callable[[Report, Modifier], Mapping[str, object]]


def no_heartbeat() -> None:
    pass


class ReportSource(Protocol):
    """The host's reports. Only `modifier_for` may write, if asked to create."""

    @property
    def label(self) -> str:
        """The report model's label, `app.Model`."""

    @property
    def has_change_stamp(self) -> bool:
        """True if the host's reports have an `updated` field, which `changed_since` needs."""

    def editors(self, edited_at: Mapping[str, datetime]) -> Mapping[str, str]:
        """Return the names of the users who edited reports at about these instants, by key; only those that are known.

        Must cost one query, and none for no reports.
        """

    def public_id(self, key: str) -> int | str:
        """Return a report's key as the host writes it in JSON."""

    def summaries(self, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        """Yield all reports, or those with these keys, in the order of their primary keys. Must stream, not collect."""

    def changed_since(self, stamp: datetime) -> Iterator[tuple[str, datetime | None]]:
        """Yield the key and `updated` of reports changed after `stamp`; nothing if the host has no such field.

        The stamp is None if two edits may share it, so that a comparison with a known one proves nothing.
        """

    def load(self, key: str) -> Report:
        """Return a report with its events.

        Raises:
            ReportNotFoundError: no report has this key.
        """

    def modifier_for(self, key: str, run_date: date, *, create: bool = True) -> Modifier:
        """Return the modifier of a report's run date; create it if missing. Must be idempotent, also under concurrent calls.

        With `create=False` nothing may be written: a missing modifier is returned as it would be created, without an id.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedJob:
    """A row of the host's own table of Fireant jobs. The dates are its modifier's; None if the row has none."""

    report_key: str
    fireant_job_id: str
    created_at: datetime
    as_at_date: date | None = None
    fx_date: date | None = None


class JobLedger(Protocol):
    """The host's own table of Fireant jobs, if it has one."""

    def record(self, *, report_key: str, modifier_key: str, fireant_job_id: str) -> str:
        """Insert the job's row and return its key; "" if the host keeps no jobs. Must be idempotent.

        Raises:
            LedgerError: the host's table rejects the row.
        """

    def note_end(self, *, report_key: str, fireant_job_id: str, status: str, results_url: str) -> None:
        """Write the job's end to the fields that the host's model has. Must be idempotent."""

    def recorded(self, since: datetime) -> Iterator[RecordedJob]:
        """Yield the rows created since then, by this app or any other system, oldest first.

        Raises:
            ConfigurationError: the host has no job model, or the model has no field for the time of creation.
        """


class JobState(StrEnum):
    """A Fireant job's status; `unknown` for one outside the contract."""

    QUEUED = "Queued"
    RUNNING = "Running"
    FINISHED = "Finished"
    FAILED = "Failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """Fireant's response about a job. Only `state` is reliable.

    `progress` goes from 0 to 1; `reported` is the state as Fireant sent it.
    """

    state: JobState
    reported: str = ""
    progress: float | None = None
    message: str = ""
    error: str = ""
    results_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """The result of a connection probe.

    `ahead` is the lead of the service's clock over this machine's, None if unknown. `doubt` is a possible problem although the
    service responded.
    """

    detail: str
    ahead: timedelta | None = None
    doubt: str = ""


class Fireant(Protocol):
    """The aggregation service.

    Every method raises `TransientError` for temporary errors, `FireantError` for a definite rejection or an unusable response,
    and `ConfigurationError` if the address or the key is rejected.
    """

    def submit(self, kind: EventKind, payload: Payload, *, reference: str) -> str:
        """Submit a job with `reference` as its idempotency key; return Fireant's job id as text.

        Raises:
            SubmissionUnknownError: it was sent but no response names a job, which may exist.
        """

    def status(self, job_id: str) -> JobStatus:
        """Return a job's status. Must be safe to repeat and to call from several threads."""

    def results(
        self, job_id: str, heartbeat: Callable[[], None] = no_heartbeat
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open the result's bytes as chunks, to be read once. The iterator must raise `TransientError` if the body ends early.

        `heartbeat` must be called every few seconds while bytes arrive, also if no chunk comes of them; it may raise.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A stored result. `location` is its address for people; `size` in bytes; `sha256` in hexadecimal."""

    location: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A complete result in the store that does not have its final name yet.

    `etag` is the store's identifier of these bytes: never empty, unique, and unchanged by the rename. `size` is in bytes.
    """

    etag: str
    size: int
    sha256: str


def _ignore(_upload: Upload) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteObserver:
    """Callbacks of a write, and the upload that an earlier attempt recorded.

    A file equal to `known_upload` need not be read again. A store must call `uploaded` after the last byte and before the
    rename, and `heartbeat` every few seconds during a write; `heartbeat` may raise to end the write.
    """

    known_upload: Upload | None = None
    uploaded: Callable[[Upload], None] = _ignore
    heartbeat: Callable[[], None] = no_heartbeat


NO_OBSERVER = WriteObserver()


class ResultStore(Protocol):
    """The store of results.

    A path is relative to the folder of results, with forward slashes, and case-sensitive: one path is one file. Every method must
    reject an ambiguous path (see `domain.paths.is_plain`) with a `StorageError`, and be safe in several threads and processes.
    """

    def read_head(self, path: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a stored result, for a preview.

        Raises:
            TransientError: try again later.
            StorageError, ConfigurationError: the file does not exist or may not be read.
        """

    def write(self, path: str, chunks: Iterable[bytes], observer: WriteObserver = NO_OBSERVER) -> StoredResult:
        """Store the bytes under `path`, atomically, and return the file that is there afterwards. An empty result is valid.

        Readers must never see a partial file, and temporary files must be outside the folder of results. If the path exists, also
        by a concurrent write, the first content must stay and be returned; `chunks` is not read then. The observer's `uploaded`
        must be called for every upload that may be renamed, before the rename.

        Raises:
            TransientError: try again from the first byte.
            StorageError, ConfigurationError: a person must act.
            Errors of `chunks` and of the observer: unchanged; nothing was published and nothing is left behind.
        """

    def sweep(self, older_than: timedelta, writing: Collection[str] = (), *, most: int = 1000) -> int:
        """Remove temporary files of interrupted writes that are older than `older_than`; return their number. Idempotent.

        Stops after `most` files. Files of the paths in `writing` stay, whatever their age. A writer whose temporary file is
        removed must fail and publish nothing.

        Raises:
            TransientError, StorageError, ConfigurationError: as for `write`; files removed before stay removed.
        """

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a stored result in chunks.

        Raises:
            TransientError, StorageError, ConfigurationError: as for `write`, also from the iterator.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFile:
    """A file of another system. `path` is relative to its folder, with forward slashes; `size` is in bytes."""

    path: str
    size: int
    etag: str = ""


class FileFolder(Protocol):
    """A folder of another system's files, with all folders in it. Nothing may be written to it.

    Every method raises `TransientError` for a temporary error, and `StorageError` or `ConfigurationError` if a person must act.
    """

    def files(self, most: int) -> Sequence[FolderFile]:
        """Return the files, at most `most`, in any order."""

    def read(self, file: FolderFile) -> bytes:
        """Return the content of a file that was listed. It must be no longer than its size then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendResult:
    """The outcome of an append. `rows` is None if they were already there; `note` explains why there are none."""

    location: str
    rows: int | None = None
    note: str = ""


class ResultTable(Protocol):
    """The table that stores results as rows."""

    def append(
        self,
        run: str,
        columns: Mapping[str, str | date | datetime],
        read: Callable[[], Iterable[bytes]],
        heartbeat: Callable[[], None],
    ) -> AppendResult:
        """Append a result's rows with the run's columns, exactly once per run. Must be idempotent.

        `read` returns the result's bytes from the beginning and may be called more than once; its iterator raises at the end
        if they are no longer those that were stored, so it must end before any row is visible, and before a note about the bytes.
        `heartbeat` must be called every few seconds, in the caller's thread. A result without rows is no error: return a `note`.

        Raises:
            TransientError: try again later.
            StorageError, ConfigurationError: a person must act.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSchedule:
    """A row of the queue's schedule table. Exactly one of `cron` and `minutes` is set. `next_run_at` is aware UTC.

    The package always sets the time of a `pinned` row; of any other it sets the first one, and the queue the following ones.
    `group` is that of its tasks, which process titles show; without one it is the name.
    """

    name: str
    group: str = ""
    task: str
    args: tuple[int | str, ...] = ()
    cron: str = ""
    minutes: int = 0
    next_run_at: datetime | None = None
    pinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSync:
    """The changes of a sync, by schedule name; `updated` describes the differences."""

    created: tuple[str, ...] = ()
    updated: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    unchanged: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.created or self.updated or self.removed)


class TaskQueue(Protocol):
    """The queue that wakes workers. It may lose, repeat or delay messages: only speed depends on it."""

    def notify(self, run_ids: Sequence[int], *, group: str = "") -> None:
        """Send messages that these runs may start, after the surrounding transaction has committed.

        `group` names the messages in the queue's own pages.
        """

    def sync_schedules(
        self, wanted: Iterable[QueueSchedule], *, only: Collection[tuple[int | str, ...]] | None = None
    ) -> ScheduleSync:
        """Make the package's rows of the schedule table exactly these; never change other rows.

        `only` restricts the sync to rows with these arguments.
        """

    def move_schedule(self, name: str, next_run_at: datetime | None) -> None:
        """Set the next time of one of the package's rows."""

    def count_schedules(self) -> int:
        """Return the number of the package's rows in the schedule table, without those that are visibly damaged."""

    def workers_alive(self) -> int | None:
        """Return the number of worker processes of all clusters of this app that reported lately.

        None if the database is unavailable. Must not raise.
        """

    def workers_configured(self) -> int:
        """Return the number of worker processes that this process's settings configure for a cluster."""

    def prune_failures(self, *, before: datetime, most: int) -> int:
        """Delete the queue's records of the package's messages that ended before then, at most `most`; return their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All adapters, built by `wiring`."""

    reports: ReportSource
    jobs: JobLedger
    fireant: Fireant
    store: ResultStore
    queue: TaskQueue
    build_payload: PayloadBuilder
    clock: Clock
    table: ResultTable | None = None
