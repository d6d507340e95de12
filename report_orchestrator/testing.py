"""In-memory fakes of the ports, for tests of this package and of a host. Each passes the contract suite of the real adapter.

`FakePorts()` is a set of them with a clock that only the test moves.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from time import monotonic

from report_orchestrator.conf import Settings, parse_settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.paths import is_plain
from report_orchestrator.domain.payload import Payload, build_payload
from report_orchestrator.domain.reports import EventKind, GeoEvent, Modifier, Report, ReportSummary, kind_of
from report_orchestrator.exceptions import (
    FireantError,
    OrchestratorError,
    ReportNotFoundError,
    StorageError,
    TransientError,
)
from report_orchestrator.ports import (
    NO_OBSERVER,
    JobState,
    JobStatus,
    Ports,
    QueueSchedule,
    RecordedJob,
    ScheduleSync,
    StoredResult,
    Upload,
    WriteObserver,
)
from report_orchestrator.runtime import Runtime

START = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


@dataclass(slots=True)
class FakeClock:
    """A clock that changes only by `advance`."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **units: float) -> datetime:
        """Advance the clock by `timedelta(**units)`; return the new time."""
        self.now += timedelta(**units)
        return self.now


def geo_report(key: str = "1", **changes: object) -> Report:
    """Return a valid report with one geographic event."""
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
    """Return the summary that discovery reads of a report."""
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
    """A `ReportSource` over two dicts, which a test may change."""

    reports: dict[str, Report] = field(default_factory=dict)
    found: dict[str, ReportSummary] = field(default_factory=dict)
    modifiers: dict[date, Modifier] = field(default_factory=dict)
    label: str = "fake.Report"
    has_change_stamp: bool = True
    edited_by: dict[str, str] = field(default_factory=dict)
    """The user who made the last edit of a report, by key."""

    def add(self, report: Report, **summary: object) -> Report:
        self.reports[report.key] = report
        self.found[report.key] = summary_of(report, **summary)  # type: ignore[arg-type]
        return report

    def change(self, key: str, **changes: object) -> None:
        """Change the summary that discovery reads of a report."""
        self.found[key] = replace(self.found[key], **changes)  # type: ignore[arg-type]

    def remove(self, key: str) -> None:
        del self.reports[key], self.found[key]

    def editors(self, edited_at: Mapping[str, datetime]) -> Mapping[str, str]:
        return {key: self.edited_by[key] for key in edited_at if key in self.edited_by}

    def public_id(self, key: str) -> int | str:
        return int(key) if key.isdigit() else key

    def summaries(self, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        wanted = self.found if keys is None else self.found.keys() & set(keys)
        yield from (self.found[key] for key in sorted(wanted))

    def changed_since(self, stamp: datetime) -> Iterator[tuple[str, datetime | None]]:
        for summary in self.summaries():
            if summary.updated_at is not None and summary.updated_at > stamp:
                yield summary.key, summary.updated_at

    def load(self, key: str) -> Report:
        try:
            return self.reports[key]
        except KeyError as error:
            raise ReportNotFoundError(f"Report {key} does not exist.") from error

    def modifier_for(self, key: str, run_date: date, *, create: bool = True) -> Modifier:
        self.load(key)
        if not create:
            return self.modifiers.get(run_date, Modifier(id=None, as_at_date=run_date, fx_date=run_date))
        made = Modifier(id=len(self.modifiers) + 1, as_at_date=run_date, fx_date=run_date)
        return self.modifiers.setdefault(run_date, made)


@dataclass(slots=True)
class FakeJobs:
    """A `JobLedger` that keeps its rows in memory."""

    rows: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    of_others: list[RecordedJob] = field(default_factory=list)
    """Rows that another system wrote."""

    def record(self, *, report_key: str, modifier_key: str, fireant_job_id: str) -> str:
        row = self.rows.setdefault(
            (report_key, fireant_job_id), {"key": str(len(self.rows) + 1), "modifier": modifier_key}
        )
        return row["key"]

    def note_end(self, *, report_key: str, fireant_job_id: str, status: str, results_url: str) -> None:
        self.rows[report_key, fireant_job_id] |= {"status": status, "results_url": results_url}

    def recorded(self, since: datetime) -> Iterator[RecordedJob]:
        yield from sorted(
            (job for job in self.of_others if job.created_at > since),
            key=lambda job: (job.created_at, job.fireant_job_id),
        )


@dataclass(slots=True)
class FakeFireant:
    """A `Fireant` whose responses a test scripts. Errors in `failures` for a method are raised in order."""

    submitted: list[tuple[EventKind, Payload, str]] = field(default_factory=list)
    statuses: dict[str, list[JobStatus]] = field(default_factory=lambda: defaultdict(list))
    bodies: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, list[OrchestratorError | BaseException]] = field(default_factory=lambda: defaultdict(list))
    asked: list[str] = field(default_factory=list)
    cut_results: int = 0
    """Number of the next results that break off in the middle."""

    def fail(self, method: str, *errors: BaseException) -> None:
        """Make the next calls of a method raise these errors."""
        self.failures[method].extend(errors)

    def answer(self, job_id: str, *states: JobState) -> None:
        """Queue states of a job, which is finished after the last one."""
        self.statuses[job_id].extend(JobStatus(state=state, reported=state.value) for state in states)

    def submit(self, kind: EventKind, payload: Payload, *, reference: str) -> str:
        self._raise_scripted("submit")
        self.submitted.append((kind, payload, reference))
        return str(100 + len(self.submitted))

    def knows(self, job_id: str) -> bool:
        """Return True if the job was submitted or scripted."""
        taken = job_id.isdigit() and 100 < int(job_id) <= 100 + len(self.submitted)
        return taken or job_id in self.statuses or job_id in self.bodies

    def status(self, job_id: str) -> JobStatus:
        self.asked.append(job_id)
        self._raise_scripted("status")
        if not self.knows(job_id):
            raise FireantError(f"Fireant does not know job {job_id}.", code=ErrorCode.JOB_UNKNOWN)
        script = self.statuses[job_id]
        return script.pop(0) if script else JobStatus(state=JobState.FINISHED, reported="Finished")

    @contextmanager
    def results(self, job_id: str, heartbeat: Callable[[], None] = lambda: None) -> Iterator[Iterator[bytes]]:
        heartbeat()
        self._raise_scripted("results")
        if not self.knows(job_id):
            raise FireantError(f"Fireant has no result for job {job_id}.", code=ErrorCode.NO_RESULT)
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
    raise TransientError("The download was interrupted.", code=ErrorCode.RESULT_CUT_SHORT)


@dataclass(slots=True, eq=False)
class _Unfinished:
    """An unfinished write. `touched_at` is in seconds of a monotonic clock."""

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

    def write(self, path: str, chunks: Iterable[bytes], observer: WriteObserver = NO_OBSERVER) -> StoredResult:
        _refuse_unless_plain(path)
        if self.failures:
            raise self.failures.pop(0)
        upload = None if path in self.files else self._write_new(path, chunks, observer)
        return _described(path, upload or self._adopted(path, observer))

    def sweep(self, older_than: timedelta, writing: Collection[str] = (), *, most: int = 1000) -> int:
        """Record the call, and remove unfinished writes that have not been changed since."""
        if self.failures:
            raise self.failures.pop(0)
        self.sweeps.append((older_than, frozenset(writing)))
        before = monotonic() - older_than.total_seconds()
        left = [file for file in self.unfinished if file.touched_at < before and file.path not in writing][:most]
        self.unfinished.difference_update(left)
        return len(left)

    def read(self, path: str) -> Iterator[bytes]:
        yield self._content(path)

    def read_head(self, path: str, limit: int) -> bytes:
        return self._content(path)[:limit]

    def _write_new(self, path: str, chunks: Iterable[bytes], observer: WriteObserver) -> Upload | None:
        """Return the published upload; None if another write was faster."""
        begun = _Unfinished(path=path)
        self.unfinished.add(begun)
        try:
            for chunk in chunks:
                begun.content += chunk
                begun.touched_at = monotonic()
            content = bytes(begun.content)
            upload = _upload(content)
            observer.uploaded(upload)
            if begun not in self.unfinished:
                raise TransientError(
                    f"The unfinished write of {path} was removed by the cleanup. Nothing was published."
                )
            return upload if self.files.setdefault(path, content) is content else None
        finally:
            self.unfinished.discard(begun)

    def _adopted(self, path: str, observer: WriteObserver) -> Upload:
        found, known = _upload(self._content(path)), observer.known_upload
        if known is not None and (known.etag, known.size) == (found.etag, found.size):
            return known
        observer.heartbeat()  # as while a file is read
        return found

    def _content(self, path: str) -> bytes:
        _refuse_unless_plain(path)
        if path not in self.files:
            raise StorageError(f"The result at {path} no longer exists.")
        return self.files[path]


def _refuse_unless_plain(path: str) -> None:
    if not is_plain(path):
        raise StorageError(f"'{path}' is not a path below the results. Nothing was written or read.")


def _described(path: str, upload: Upload) -> StoredResult:
    return StoredResult(location=f"memory://{path}", size=upload.size, sha256=upload.sha256)


def _upload(content: bytes) -> Upload:
    digest = hashlib.sha256(content).hexdigest()
    return Upload(etag=f"memory-{digest}", size=len(content), sha256=digest)


@dataclass(slots=True)
class FakeQueue:
    """A `TaskQueue` that keeps its messages and schedules in memory."""

    notified: list[int] = field(default_factory=list)
    lines: dict[str, QueueSchedule] = field(default_factory=dict)
    workers: int | None = 1

    def notify(self, run_ids: Sequence[int], *, group: str = "") -> None:
        self.notified.extend(run_ids)

    def sync_schedules(
        self, wanted: Iterable[QueueSchedule], *, only: Collection[tuple[int | str, ...]] | None = None
    ) -> ScheduleSync:
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
        if name in self.lines:
            self.lines[name] = replace(self.lines[name], next_run_at=next_run_at)

    def count_schedules(self) -> int:
        return len(self.lines)

    def workers_alive(self) -> int | None:
        return self.workers

    def workers_configured(self) -> int:
        return 1

    def prune_failures(self, *, before: datetime, most: int) -> int:
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FakePorts:
    """All fakes by their own types; `ports` passes them to a service."""

    reports: FakeReports = field(default_factory=FakeReports)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    fireant: FakeFireant = field(default_factory=FakeFireant)
    store: FakeStore = field(default_factory=FakeStore)
    queue: FakeQueue = field(default_factory=FakeQueue)
    clock: FakeClock = field(default_factory=FakeClock)

    @property
    def ports(self) -> Ports:
        return Ports(
            reports=self.reports,
            jobs=self.jobs,
            fireant=self.fireant,
            store=self.store,
            queue=self.queue,
            build_payload=build_payload,
            clock=self.clock,
        )

    def runtime(self, settings: Settings | None = None) -> Runtime:
        """Return the runtime to hand to a service, with these settings or the defaults."""
        return make_runtime(self.ports, settings)


def make_runtime(ports: Ports, settings: Settings | None = None) -> Runtime:
    """Join ports and settings; without settings, the defaults for a model `api.Report`."""
    return Runtime.of(ports, settings or parse_settings({"REPORT_MODEL": "api.Report"}, {})[0])
