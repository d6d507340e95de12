"""In-memory fakes of the ports, for our tests and for those of a host: each passes the same contract suite as the real adapter.

`fake_ports()` gives a set of them around a clock that moves only when it is told to.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from time import monotonic

from report_orchestrator.domain.paths import is_plain
from report_orchestrator.domain.payload import Payload, build_payload
from report_orchestrator.domain.reports import (
    EventKind,
    GeoEvent,
    Modifier,
    Report,
    ReportSummary,
    kind_of,
)
from report_orchestrator.exceptions import (
    FireantError,
    OrchestratorError,
    ReportNotFoundError,
    StorageError,
    TransientError,
)
from report_orchestrator.ports import (
    NOBODY,
    Follower,
    JobState,
    JobStatus,
    Ports,
    QueueSchedule,
    ScheduleSync,
    StoredResult,
    Upload,
)

START = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@dataclass(slots=True)
class FakeClock:
    """A clock that stands still until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        """The time that it shows."""
        return self.now

    def advance(self, **units: float) -> datetime:
        """Moves it on, as `timedelta(**units)`; returns the new time."""
        self.now += timedelta(**units)
        return self.now


def geo_report(key: str = "1", **changes: object) -> Report:
    """A report that can run: one geographic area."""
    area = GeoEvent(
        id=1,
        name="South Florida",
        description="",
        is_valid=True,
        country="US",
        area="FL",
        subarea="Miami-Dade",
        subarea2=None,
    )
    report = Report(
        key=key,
        id=int(key) if key.isdigit() else key,
        name="Windstorm accumulation",
        event_group_id=1,
        events=(area,),
        fields={"name": "Windstorm accumulation", "peril": "WS"},
    )
    return replace(report, **changes)  # type: ignore[arg-type]  # any field of a report


def summary_of(report: Report, *, cron: str = "0 * * * *", **changes: object) -> ReportSummary:
    """What discovery would see of a report."""
    kinds = frozenset(kind_of(event) for event in report.events)
    summary = ReportSummary(
        key=report.key,
        name=report.name,
        cron=cron,
        enabled=True,
        event_kinds=None if report.event_group_id is None else kinds,
    )
    return replace(summary, **changes)  # type: ignore[arg-type]  # any field of a summary


@dataclass(slots=True)
class FakeReports:
    """A `ReportSource` over two dicts, which a test changes as a host's people would."""

    reports: dict[str, Report] = field(default_factory=dict)
    found: dict[str, ReportSummary] = field(default_factory=dict)
    modifiers: dict[date, Modifier] = field(default_factory=dict)
    label: str = "fake.Report"
    has_change_stamp: bool = True

    def add(self, report: Report, **summary: object) -> Report:
        """Puts a report into the host."""
        self.reports[report.key] = report
        self.found[report.key] = summary_of(report, **summary)  # type: ignore[arg-type]
        return report

    def change(self, key: str, **changes: object) -> None:
        """Changes what discovery sees of a report."""
        self.found[key] = replace(self.found[key], **changes)  # type: ignore[arg-type]

    def remove(self, key: str) -> None:
        """Deletes a report from the host."""
        del self.reports[key], self.found[key]

    def public_id(self, key: str) -> int | str:
        """The key as JSON carries it."""
        return int(key) if key.isdigit() else key

    def summaries(self, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        """All reports or some, in the order of their keys."""
        wanted = self.found if keys is None else self.found.keys() & set(keys)
        yield from (self.found[key] for key in sorted(wanted))

    def changed_since(self, stamp: datetime) -> Iterator[tuple[str, datetime | None]]:
        """Those with a later stamp, and it."""
        for summary in self.summaries():
            if summary.updated_at is not None and summary.updated_at > stamp:
                yield summary.key, summary.updated_at

    def load(self, key: str) -> Report:
        """One report whole."""
        try:
            return self.reports[key]
        except KeyError as error:
            raise ReportNotFoundError(f"There is no report {key}.") from error

    def modifier_for(self, key: str, run_date: date) -> Modifier:
        """The date's modifier, made once."""
        self.load(key)
        made = Modifier(id=len(self.modifiers) + 1, as_at_date=run_date, fx_date=run_date)
        return self.modifiers.setdefault(run_date, made)


@dataclass(slots=True)
class FakeJobs:
    """A `JobLedger` that remembers its rows."""

    rows: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def record(self, *, report_key: str, modifier_key: str, fireant_job_id: str) -> str:
        """Writes once for each job."""
        row = self.rows.setdefault(
            (report_key, fireant_job_id), {"key": str(len(self.rows) + 1), "modifier": modifier_key}
        )
        return row["key"]

    def note_end(self, *, report_key: str, fireant_job_id: str, status: str, results_url: str) -> None:
        """Writes how it ended."""
        self.rows[report_key, fireant_job_id] |= {"status": status, "results_url": results_url}


@dataclass(slots=True)
class FakeFireant:
    """A `Fireant` whose answers a test scripts: what stands in `failures` for a method is raised, first in, first out."""

    submitted: list[tuple[EventKind, Payload, str]] = field(default_factory=list)
    statuses: dict[str, list[JobStatus]] = field(default_factory=lambda: defaultdict(list))
    bodies: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, list[OrchestratorError | BaseException]] = field(
        default_factory=lambda: defaultdict(list)
    )
    asked: list[str] = field(default_factory=list)
    cut_results: int = 0
    """How many of the next results break off in the middle."""

    def fail(self, method: str, *errors: BaseException) -> None:
        """Has the next calls of a method raise these."""
        self.failures[method].extend(errors)

    def answer(self, job_id: str, *states: JobState) -> None:
        """Queues states for a job; when they are used up, it is finished."""
        self.statuses[job_id].extend(JobStatus(state=state, reported=state.value) for state in states)

    def submit(self, kind: EventKind, payload: Payload, *, reference: str) -> str:
        """Takes a job."""
        self._raise_scripted("submit")
        self.submitted.append((kind, payload, reference))
        return str(100 + len(self.submitted))

    def knows(self, job_id: str) -> bool:
        """Whether it took the job, or a test has scripted one with this id."""
        taken = job_id.isdigit() and 100 < int(job_id) <= 100 + len(self.submitted)
        return taken or job_id in self.statuses or job_id in self.bodies

    def status(self, job_id: str) -> JobStatus:
        """The next state of its script."""
        self.asked.append(job_id)
        self._raise_scripted("status")
        if not self.knows(job_id):
            raise FireantError(f"Fireant does not know job {job_id} (any more).", code="job_unknown")
        script = self.statuses[job_id]
        return script.pop(0) if script else JobStatus(state=JobState.FINISHED, reported="Finished")

    @contextmanager
    def results(self, job_id: str) -> Iterator[Iterator[bytes]]:
        """Its body."""
        self._raise_scripted("results")
        if not self.knows(job_id):
            raise FireantError(f"Fireant has no result of job {job_id}.", code="no_result")
        body = self.bodies.get(job_id, b'{"results": []}')
        if self.cut_results:
            self.cut_results -= 1
            yield _broken_off(body)
        else:
            yield iter([body])

    def _raise_scripted(self, method: str) -> None:
        if self.failures[method]:
            raise self.failures[method].pop(0)


def _broken_off(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise TransientError("The result broke off.", code="result_cut_short")


@dataclass(slots=True, eq=False)
class _Unfinished:
    """What a write has so far. `touched_at` is in seconds of a clock that never goes back."""

    path: str
    content: bytearray = field(default_factory=bytearray)
    touched_at: float = field(default_factory=monotonic)


@dataclass(slots=True)
class FakeStore:
    """A `ResultStore` in a dict."""

    files: dict[str, bytes] = field(default_factory=dict)
    failures: list[BaseException] = field(default_factory=list)
    sweeps: list[tuple[timedelta, frozenset[str]]] = field(default_factory=list)
    unfinished: set[_Unfinished] = field(default_factory=set)

    def write(self, path: str, chunks: Iterable[bytes], follower: Follower = NOBODY) -> StoredResult:
        """Keeps the first content of a path."""
        _refuse_unless_plain(path)
        if self.failures:
            raise self.failures.pop(0)
        upload = None if path in self.files else self._write_new(path, chunks, follower)
        return _described(path, upload or self._adopted(path, follower))

    def sweep(self, older_than: timedelta, writing: Collection[str] = (), *, most: int = 1000) -> int:
        """Remembers what it was asked, and drops unfinished writes that nobody has added to since."""
        if self.failures:
            raise self.failures.pop(0)
        self.sweeps.append((older_than, frozenset(writing)))
        before = monotonic() - older_than.total_seconds()
        left = [each for each in self.unfinished if each.touched_at < before and each.path not in writing][
            :most
        ]
        self.unfinished.difference_update(left)
        return len(left)

    def read(self, path: str) -> Iterator[bytes]:
        """What was written."""
        yield self._content(path)

    def read_head(self, path: str, limit: int) -> bytes:
        """The first bytes that were kept."""
        return self._content(path)[:limit]

    def _write_new(self, path: str, chunks: Iterable[bytes], follower: Follower) -> Upload | None:
        """What got the name; None where another write was faster."""
        begun = _Unfinished(path=path)
        self.unfinished.add(begun)
        try:
            for chunk in chunks:
                begun.content += chunk
                begun.touched_at = monotonic()
            content = bytes(begun.content)
            upload = _upload(content)
            follower.note(upload)
            if begun not in self.unfinished:
                raise TransientError(f"The unfinished write of {path} was swept away. Nothing was published.")
            return upload if self.files.setdefault(path, content) is content else None
        finally:
            self.unfinished.discard(begun)

    def _adopted(self, path: str, follower: Follower) -> Upload:
        found, known = _upload(self._content(path)), follower.uploaded
        if known is not None and (known.etag, known.size) == (found.etag, found.size):
            return known
        follower.keep()  # as while a file is read
        return found

    def _content(self, path: str) -> bytes:
        _refuse_unless_plain(path)
        if path not in self.files:
            raise StorageError(f"There is no result at {path} any more.")
        return self.files[path]


def _refuse_unless_plain(path: str) -> None:
    if not is_plain(path):
        raise StorageError(f"'{path}' is no path below the results. Nothing was written or read.")


def _described(path: str, upload: Upload) -> StoredResult:
    return StoredResult(location=f"memory://{path}", size=upload.size, sha256=upload.sha256)


def _upload(content: bytes) -> Upload:
    digest = hashlib.sha256(content).hexdigest()
    return Upload(etag=f"memory-{digest}", size=len(content), sha256=digest)


@dataclass(slots=True)
class FakeQueue:
    """A `TaskQueue` that remembers its bells and lines."""

    rung: list[int] = field(default_factory=list)
    lines: dict[str, QueueSchedule] = field(default_factory=dict)
    workers: int | None = 1

    def ring(self, run_ids: Sequence[int], *, group: str = "") -> None:
        """Remembers."""
        self.rung.extend(run_ids)

    def sync_schedules(
        self,
        wanted: Iterable[QueueSchedule],
        *,
        only: Collection[tuple[int | str, ...]] | None = None,
    ) -> ScheduleSync:
        """Makes the lines exactly these, or those with these arguments."""
        others = {} if only is None else {n: line for n, line in self.lines.items() if line.args not in only}
        before = {name: line for name, line in self.lines.items() if name not in others}
        self.lines = {line.name: line for line in wanted}
        updated: Mapping[str, str] = {
            name: "changed" for name, line in self.lines.items() if name in before and before[name] != line
        }
        synced = ScheduleSync(
            created=tuple(name for name in self.lines if name not in before),
            updated=updated,
            removed=tuple(name for name in before if name not in self.lines),
            unchanged=len(self.lines.keys() & before.keys()) - len(updated),
        )
        self.lines |= others
        return synced

    def move_schedule(self, name: str, next_run_at: datetime | None) -> None:
        """Moves a line."""
        self.lines[name] = replace(self.lines[name], next_run_at=next_run_at)

    def workers_alive(self) -> int | None:
        """As many as the test says."""
        return self.workers

    def workers_configured(self) -> int:
        """One."""
        return 1

    def forget_failures(self, *, before: datetime, most: int) -> int:
        """Nothing: it keeps none."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FakePorts:
    """The fakes by their own types, and `ports` to hand to a service."""

    reports: FakeReports = field(default_factory=FakeReports)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    fireant: FakeFireant = field(default_factory=FakeFireant)
    store: FakeStore = field(default_factory=FakeStore)
    queue: FakeQueue = field(default_factory=FakeQueue)
    clock: FakeClock = field(default_factory=FakeClock)

    @property
    def ports(self) -> Ports:
        """The same, as the services take them."""
        return Ports(
            reports=self.reports,
            jobs=self.jobs,
            fireant=self.fireant,
            store=self.store,
            queue=self.queue,
            build_payload=build_payload,
            clock=self.clock,
        )
