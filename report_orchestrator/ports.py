"""What the outside world must offer, as protocols. Adapters implement them; services know nothing else of the outside.

An implementer translates its vendor's errors into `report_orchestrator.exceptions` at its own border, and decides there what is
transient. `report_orchestrator.testing` has fakes of all of them.
"""

from __future__ import annotations

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


class ReportSource(Protocol):
    """The host's reports. Only `modifier_for` may write."""

    @property
    def label(self) -> str:
        """The report model's label, `app.Model`."""
        ...

    @property
    def has_change_stamp(self) -> bool:
        """Whether the host's reports have an `updated` field, so that `changed_since` can work."""
        ...

    def public_id(self, key: str) -> int | str:
        """A report's key as the host would write it in JSON."""
        ...

    def summaries(self, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        """All reports, or those with these keys, streamed in the order of their primary keys."""
        ...

    def changed_since(self, stamp: datetime) -> Iterator[tuple[str, datetime | None]]:
        """The keys of reports whose `updated` is later than `stamp`, each with it; none where the host has no such field.

        None stands for a stamp that two edits may have in common, so that nobody can tell whether it is known.
        """
        ...

    def load(self, key: str) -> Report:
        """One report whole.

        Raises:
            ReportNotFoundError: there is none with this key.
        """
        ...

    def modifier_for(self, key: str, run_date: date) -> Modifier:
        """The modifier of a report's run date, found or made. Idempotent, and made once whoever asks at the same time."""
        ...


class JobLedger(Protocol):
    """The host's own table of Fireant jobs, where it has one."""

    def record(self, *, report_key: str, modifier_key: str, fireant_job_id: str) -> str:
        """Writes the job's row once, however often it is called; returns the row's key, or "" where the host keeps none.

        Raises:
            LedgerError: the host's table cannot take it.
        """
        ...

    def note_end(self, *, report_key: str, fireant_job_id: str, status: str, results_url: str) -> None:
        """Writes how the job ended, to those of the fields that the host's model has. Idempotent."""
        ...


class JobState(StrEnum):
    """A Fireant job's status, and `unknown` for a word that the contract does not have."""

    QUEUED = "Queued"
    RUNNING = "Running"
    FINISHED = "Finished"
    FAILED = "Failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """Fireant's answer about a job. Only `state` can be relied on.

    `progress` goes from 0 to 1; `reported` is Fireant's own word for the state.
    """

    state: JobState
    reported: str = ""
    progress: float | None = None
    message: str = ""
    error: str = ""
    results_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a harmless question found. `ahead` is how far the other side's clock is ahead of this machine's, where it shows one.

    `doubt` says what may be wrong although an answer came.
    """

    detail: str
    ahead: timedelta | None = None
    doubt: str = ""


class Fireant(Protocol):
    """The aggregation service.

    Every method raises `TransientError` for what may pass, `FireantError` for a definite refusal or a useless answer, and
    `ConfigurationError` where the address or the key is refused.
    """

    def submit(self, kind: EventKind, payload: Payload, *, reference: str) -> str:
        """Sends a job, with `reference` as its idempotency key; returns Fireant's id of it, as text.

        Raises:
            SubmissionUnknownError: it was sent and no answer names a job: it may exist.
        """
        ...

    def status(self, job_id: str) -> JobStatus:
        """Asks about one job. Safe to repeat, and safe to call from several threads."""
        ...

    def results(self, job_id: str) -> AbstractContextManager[Iterator[bytes]]:
        """The result's bytes, in pieces, once. A body that ends early raises `TransientError` from the iterator."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A result at rest. `location` is what a person opens; `size` in bytes; `sha256` in hexadecimal."""

    location: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A result that lies whole in a store and has not got its name yet.

    `etag` is the store's own mark of these very bytes, never empty, which getting the name does not change and which no other
    file has; `size` is in bytes.
    """

    etag: str
    size: int
    sha256: str


def _ignore(_upload: Upload) -> None:
    """Nobody wants to know."""


def _go_on() -> None:
    """Nothing has to be kept alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Whoever has something written, and outlives the store that does it.

    `uploaded` is what an earlier attempt noted: a file that is just that need not be read to be known. `note` is called between
    the last byte and the name. `keep` is called at least once for every few seconds of work that nobody else can see, and may
    raise to end it.
    """

    uploaded: Upload | None = None
    note: Callable[[Upload], None] = _ignore
    keep: Callable[[], None] = _go_on


NOBODY = Follower()


class ResultStore(Protocol):
    """Where results are kept.

    A path is relative to the folder of results, with forward slashes, and is kept letter by letter: the same one always leads to
    the same place, whoever asks, and no two lead to one. Every method refuses one that has more than one reading
    (`domain.paths.is_plain`) by a `StorageError`. Safe to use from several threads and processes at once.
    """

    def read_head(self, path: str, limit: int) -> bytes:
        """The first bytes of a stored result, `limit` at most, for a person to look at; whole where it has no more.

        Raises:
            TransientError: worth another look later.
            StorageError, ConfigurationError: there is no such file, or it may not be read.
        """
        ...

    def write(self, path: str, chunks: Iterable[bytes], follower: Follower = NOBODY) -> StoredResult:
        """Stores the bytes under `path`, whole or not at all; none at all are a result too. Tells what stands there then.

        A reader never sees a part, and nothing of a write that goes on lies below the folder of results. Writing the same path
        again leaves one file with the content that stood there first, also where two write at once, and both are told of that
        one. `chunks` is not touched where a file stands already. The follower's `note` is called for every upload that may get
        the name, before it has it.

        Raises:
            TransientError: worth another attempt from the first byte.
            StorageError, ConfigurationError: a person must look.
            What `chunks` or the follower raises: as it is; nothing was published, and nothing is left behind.
        """
        ...

    def sweep(self, older_than: timedelta, writing: Collection[str] = (), *, most: int = 1000) -> int:
        """Removes what broken-off writes left behind and nobody has touched for that long; returns how many files. Idempotent.

        Stops after `most` files: there may be more, which the next call finds. What belongs to a path in `writing` stays,
        however old. A writer whose temporary file is removed all the same fails, and publishes nothing.

        Raises:
            TransientError, StorageError, ConfigurationError: as for `write`; what was removed before stays removed.
        """
        ...

    def read(self, path: str) -> Iterator[bytes]:
        """The bytes of a stored result, in pieces.

        Raises:
            TransientError, StorageError, ConfigurationError: as for `write`, also from the iterator.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What became of a result's rows. `rows` is None where they were there before; `note` tells a person why there are none."""

    location: str
    rows: int | None = None
    note: str = ""


class ResultTable(Protocol):
    """Where results are kept as rows too."""

    def append(
        self,
        run: str,
        columns: Mapping[str, str | date | datetime],
        read: Callable[[], Iterable[bytes]],
        keep: Callable[[], None],
    ) -> Appended:
        """Appends the rows of a result with the run's own columns, exactly once for each run however often it is asked.

        `read` gives the result's bytes from the beginning, and may be called more than once. `keep` is called every few seconds,
        always in the caller's thread. A result that has no rows to append is told by a note, and is no error.

        Raises:
            TransientError: worth another attempt.
            StorageError, ConfigurationError: a person must look.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSchedule:
    """A line in the queue's own schedule table. Exactly one of `cron` and `minutes` is set. `next_run_at` is aware UTC.

    A `pinned` line's time is always ours; of any other, `next_run_at` is only its first time, and the queue keeps it from there.
    """

    name: str
    task: str
    args: tuple[int | str, ...] = ()
    cron: str = ""
    minutes: int = 0
    next_run_at: datetime | None = None
    pinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSync:
    """What a reconciliation changed, by the schedules' names; `updated` says what differed."""

    created: tuple[str, ...] = ()
    updated: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    unchanged: int = 0

    @property
    def changed(self) -> bool:
        """Whether anything differed."""
        return bool(self.created or self.updated or self.removed)


class TaskQueue(Protocol):
    """The queue that wakes workers. It may lose, double or delay what it is given: nothing depends on it but speed."""

    def ring(self, run_ids: Sequence[int], *, group: str = "") -> None:
        """Tells a worker that these runs may start, once the surrounding transaction has committed.

        `group` is the name under which a person finds the messages in the queue's own pages.
        """
        ...

    def sync_schedules(
        self,
        wanted: Iterable[QueueSchedule],
        *,
        only: Collection[tuple[int | str, ...]] | None = None,
    ) -> ScheduleSync:
        """Makes our lines in the schedule table exactly these, and touches nobody else's.

        With `only`, no line with other arguments than these is looked at.
        """
        ...

    def move_schedule(self, name: str, next_run_at: datetime | None) -> None:
        """Corrects the next time of one of our lines."""
        ...

    def workers_alive(self) -> int | None:
        """How many worker processes report themselves, of all clusters. 0 where they have no cache in common.

        None where nobody can tell, as the queue or the cache is away: it raises nothing, as nothing may depend on it.
        """
        ...

    def workers_configured(self) -> int:
        """How many worker processes a cluster with this process's settings has."""
        ...

    def forget_failures(self, *, before: datetime, most: int) -> int:
        """Removes what the queue still keeps of our messages that ended before then; returns how many, `most` at a time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The outside world, put together by `wiring`."""

    reports: ReportSource
    jobs: JobLedger
    fireant: Fireant
    store: ResultStore
    queue: TaskQueue
    build_payload: PayloadBuilder
    clock: Clock
    table: ResultTable | None = None
