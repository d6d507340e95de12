"""Compare the scheduled times of reports with the jobs that another system recorded in the host's table."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.core.exceptions import ObjectDoesNotExist

from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.payload import Payload
from report_orchestrator.domain.reports import describe_report
from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.ports import RecordedJob
from report_orchestrator.runtime import Runtime

GRACE = timedelta(minutes=15)
"""Time after a scheduled time within which the other system records its job."""


class Match(StrEnum):
    """The systems that have a time. `both` is expected in shadow; `twice` is a live time that the other system ran too."""

    BOTH = "both"
    HERE_ONLY = "here_only"
    THERE_ONLY = "there_only"
    TWICE = "twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTime:
    """A scheduled time; for a job without one, the time of its record. `differences` are those of the payloads."""

    report_key: str
    report: str
    at: datetime
    match: Match
    run_id: int | None = None
    fireant_job_id: str = ""
    differences: Sequence[str] = ()

    @property
    def agrees(self) -> bool:
        return self.match is Match.BOTH and not self.differences


SentPayload = Callable[[RecordedJob], tuple[Payload | None, str]]
"""Return the payload that the other system sent for a job, or None, and a note, such as on a missing file."""


def _nothing_kept(_job: RecordedJob) -> tuple[Payload | None, str]:
    return None, ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSpan:
    """Times after `since` and up to `until` (UTC) are compared; none if `until` is the earlier one."""

    since: datetime
    until: datetime


def compared_span(*, since: datetime, runtime: Runtime) -> ComparedSpan:
    """Return the span from `since`, or the start of scheduling if that is later, up to `GRACE` ago."""
    started = SharedState.objects.filter(name=StateName.SCHEDULING, marked_at__gt=since).first()
    return ComparedSpan(
        since=since if started is None or started.marked_at is None else started.marked_at,
        until=runtime.clock() - GRACE,
    )


def compare_with_recorded_jobs(
    *, span: ComparedSpan, runtime: Runtime, sent: SentPayload = _nothing_kept
) -> list[ComparedTime]:
    """Compare all scheduled times in the span, in the order of time.

    Raises:
        ConfigurationError: the host has no job model, or the model has no field for the time of creation.
    """
    compared = [
        time
        for key, (runs, jobs) in _by_report(span.since, runtime).items()
        for time in _compare_report((runtime.reports.label, key), runs, jobs, sent)
        if _begins_at(time, span) < time.at <= span.until
    ]
    return sorted(compared, key=lambda time: (time.at, time.report_key))


def _begins_at(time: ComparedTime, span: ComparedSpan) -> datetime:
    """Return the instant after which a time is compared: later for a job without a run, as its time may precede the span."""
    return span.since if time.run_id else span.since + GRACE


def _by_report(since: datetime, runtime: Runtime) -> Mapping[str, tuple[list[ReportRun], list[RecordedJob]]]:
    """Return each report's scheduled times and the other system's jobs, in the order of time.

    The times begin earlier than the jobs, because the first jobs may belong to times before `since`.
    """
    pairs: dict[str, tuple[list[ReportRun], list[RecordedJob]]] = defaultdict(lambda: ([], []))
    runs = ReportRun.objects.filter(schedule__report_model=runtime.reports.label, scheduled_for__gt=since - GRACE)
    for run in runs.exclude(trigger=Trigger.MANUAL).order_by("scheduled_for", "pk"):
        pairs[run.report_key][0].append(run)
    ours = set(ReportRun.objects.filter(created_at__gt=since - GRACE).values_list("fireant_job_id", flat=True))
    for job in runtime.jobs.recorded(since):
        if job.fireant_job_id not in ours:
            pairs[job.report_key][1].append(job)
    return pairs


def _compare_report(
    report: tuple[str, str], runs: Sequence[ReportRun], jobs: Iterable[RecordedJob], sent: SentPayload
) -> Iterator[ComparedTime]:
    served: dict[int, RecordedJob] = {}
    for job in jobs:
        run = _run_of(job, runs, served)
        if run is None:
            yield _unmatched(*report, job)
        else:
            served[run.pk] = job
    for run in runs:
        if (compared := _compare_run(run, served.get(run.pk), sent)) is not None:
            yield compared


def _run_of(job: RecordedJob, runs: Sequence[ReportRun], served: Mapping[int, RecordedJob]) -> ReportRun | None:
    """Return the latest time before the job that has no other job; None if there is none within `GRACE`."""
    possible = (
        run
        for run in reversed(runs)
        if run.pk not in served and run.scheduled_for <= job.created_at <= run.scheduled_for + GRACE
    )
    return next(possible, None)


def _unmatched(model: str, key: str, job: RecordedJob) -> ComparedTime:
    schedule = ReportSchedule.objects.filter(report_model=model, report_key=key).first()
    return ComparedTime(
        report_key=key,
        report=describe_report(key, "") if schedule is None else str(schedule),
        at=job.created_at,
        match=Match.THERE_ONLY,
        fireant_job_id=job.fireant_job_id,
        differences=(_absence(schedule),),
    )


def _absence(schedule: ReportSchedule | None) -> str:
    if schedule is None:
        return "here: unknown report"
    return "here: no such time" if schedule.state == "active" else f"here: {schedule.get_state_display()}"


def _compare_run(run: ReportRun, job: RecordedJob | None, sent: SentPayload) -> ComparedTime | None:
    is_left_out = run.status == Status.SKIPPED and run.error_code != ErrorCode.SHADOW
    match, differences = Match.BOTH, list[str]()
    if run.trigger != Trigger.SHADOW and not is_left_out:
        if job is None:
            return None
        match = Match.TWICE
    elif is_left_out:
        if job is None:
            return None
        match, differences = Match.THERE_ONLY, [f"here: {run.error_code}"]
    elif job is None:
        match = Match.HERE_ONLY
    else:
        differences = list(_differences(run, job, sent))
    return ComparedTime(
        report_key=run.report_key,
        report=run.report,
        at=run.scheduled_for,
        match=match,
        run_id=run.pk,
        fireant_job_id="" if job is None else job.fireant_job_id,
        differences=differences,
    )


def _differences(run: ReportRun, job: RecordedJob, sent: SentPayload) -> Iterator[str]:
    try:
        ours: Payload = run.payload.body
    except ObjectDoesNotExist:
        yield f"no payload here: {run.error_code or run.status}"
        return
    for name, theirs in (("as_at_date", job.as_at_date), ("fx_date", job.fx_date)):
        if theirs is not None and ours.get(name) != theirs.isoformat():
            yield f"{name}: {ours.get(name)} here, {theirs} there"
    payload, note = sent(job)
    if note:
        yield note
    if payload is not None:
        yield from _differing_keys(ours, payload)


def _differing_keys(ours: Payload, theirs: Payload) -> Iterator[str]:
    """Name the keys that differ. A modifier that did not exist yet has no id here."""
    ours, theirs = _flat(ours), _flat(theirs)
    if ours.get("meta.modifier_id") is None:
        ours["meta.modifier_id"] = theirs.get("meta.modifier_id")
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in theirs:
            yield f"{name}: only here"
        elif name not in ours:
            yield f"{name}: only there"
        elif ours[name] != theirs[name]:
            yield f"{name}: differs"


def _flat(payload: Payload) -> Payload:
    meta = payload.get("meta")
    own = {name: value for name, value in payload.items() if name != "meta"}
    return own | ({f"meta.{name}": value for name, value in meta.items()} if isinstance(meta, dict) else {"meta": meta})
