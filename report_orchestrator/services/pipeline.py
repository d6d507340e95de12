"""The five steps of a run, in reading order. Each looks, acts once, and says how it went; none of them moves the run on.

A step may be repeated after a crash, so each is safe to repeat. Errors travel as exceptions to `execution`, which records them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias, cast, get_args

from django.core.exceptions import ObjectDoesNotExist

from report_orchestrator.domain.payload import Payload, event_kind, payload_digest
from report_orchestrator.domain.reports import EventKind, Json
from report_orchestrator.domain.runs import Completed, Failed, Learned, Outcome, Step, Waiting
from report_orchestrator.exceptions import InvalidReportError, StorageError
from report_orchestrator.models import ReportRun, RunPayload
from report_orchestrator.ports import Follower, JobState, JobStatus, Ports, StoredResult, Upload
from report_orchestrator.services.announce import run_event
from report_orchestrator.services.manifests import LONGEST, describes, manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step works with.

    A step that takes long calls `keep_lease` now and then; it raises `LeaseLostError` when the run is another worker's.
    """

    ports: Ports
    keep_lease: Callable[[], None]


def report_data(run: ReportRun, context: StepContext) -> Outcome:
    """Reads the report, its events and the modifier of the run's date, and settles the payload once and for all."""
    _refuse_another_model(run, context)
    report = context.ports.reports.load(run.report_key)
    kind = event_kind(report)
    modifier = context.ports.reports.modifier_for(run.report_key, run.run_date)
    payload = _checked(context.ports.build_payload(report, modifier), run)
    RunPayload.objects.bulk_create(
        [RunPayload(run=run, body=payload)],
        update_conflicts=True,
        unique_fields=["run"],
        update_fields=["body"],
    )
    digest = payload_digest(payload)
    return Completed(
        learned=Learned(
            modifier_key="" if modifier.id is None else str(modifier.id),
            job_kind=kind.value,
            payload_digest=digest,
        ),
        metadata={
            "events": len(report.events),
            "kind": kind.value,
            "as_at_date": modifier.as_at_date.isoformat(),
            "fx_date": modifier.fx_date.isoformat(),
            "payload_sha256": digest,
        },
    )


def _refuse_another_model(run: ReportRun, context: StepContext) -> None:
    """A key of another model names another report of this one."""
    model = run.schedule.report_model
    if model != context.ports.reports.label:
        raise InvalidReportError(
            f"{run} is of {model}, and REPORT_MODEL is {context.ports.reports.label} now. "
            "Cancel it, or set REPORT_MODEL back and retry the run.",
            code="other_report_model",
        )


def _checked(payload: Mapping[str, object], run: ReportRun) -> Payload:
    """A host's builder may return anything; what is not JSON must not come as far as Fireant."""
    try:
        return cast("Payload", {name: _json(value) for name, value in payload.items()})
    except (TypeError, AttributeError) as error:
        raise InvalidReportError(
            f"{run.report} has a payload that is not JSON: {error}. "
            "Correct the function that PAYLOAD_BUILDER names, or the report's fields.",
            code="invalid_payload",
        ) from error


_SCALARS = get_args(str | int | float | bool | None)


def _json(value: object) -> Json:
    match value:
        case Mapping():
            return {str(name): _json(item) for name, item in value.items()}
        case list() | tuple():
            return [_json(item) for item in value]
        case date():
            return value.isoformat()
        case float() if not math.isfinite(value):
            raise TypeError(f"it holds the number {value}")
        case _ if isinstance(value, _SCALARS):
            return cast("Json", value)
        case _:
            raise TypeError(f"it holds a {type(value).__name__}")


def external_job_submission(run: ReportRun, context: StepContext) -> Outcome:
    """Sends the settled payload to Fireant under the run's own reference."""
    try:
        payload = cast("Payload", run.payload.body)
    except ObjectDoesNotExist as error:
        raise InvalidReportError(
            f"{run} has lost its payload. Start a new run of the report.", code="payload_missing"
        ) from error
    job_id = context.ports.fireant.submit(EventKind(run.job_kind), payload, reference=run.client_reference)
    return Completed(
        learned=Learned(fireant_job_id=job_id),
        metadata={"fireant_job_id": job_id, "client_reference": run.client_reference},
    )


def local_job_record(run: ReportRun, context: StepContext) -> Outcome:
    """Writes the host's own row of the job, where the host keeps such rows."""
    _refuse_another_model(run, context)
    row = context.ports.jobs.record(
        report_key=run.report_key, modifier_key=run.modifier_key, fireant_job_id=run.fireant_job_id
    )
    return Completed(metadata={"job_record": row or None})


def job_completion_status(run: ReportRun, context: StepContext) -> Outcome:
    """Asks Fireant once. While the job goes on the run waits as a row, and no worker with it."""
    return judge(run, context.ports.fireant.status(run.fireant_job_id), context.ports)


def judge(run: ReportRun, status: JobStatus, ports: Ports) -> Outcome:
    """What Fireant's answer means for the run."""
    learned = Learned(fireant_status=(status.reported or status.state.value)[:100])
    match status.state:
        case JobState.FINISHED:
            _note_end(run, status, ports)
            return Completed(learned=learned, metadata={"polls": run.polls + 1})
        case JobState.FAILED:
            _note_end(run, status, ports)
            why = status.error or status.message or "it gave no reason"
            return Failed(
                code="fireant_job_failed",
                error=(
                    f"Fireant job {run.fireant_job_id} of {run.report} failed: {why}. "
                    "Correct the report if the reason lies in it, then retry the run: it is submitted anew."
                ),
            )
        case JobState.QUEUED | JobState.RUNNING | JobState.UNKNOWN:
            _warn_once_if_unknown(run, status, learned)
            return Waiting(learned=learned, metadata={"progress": status.progress, "message": status.message})


def _warn_once_if_unknown(run: ReportRun, status: JobStatus, learned: Learned) -> None:
    if status.state is JobState.UNKNOWN and learned["fireant_status"] != run.fireant_status:
        run_event("unknown_job_status", run, reported=learned["fireant_status"])


def _note_end(run: ReportRun, status: JobStatus, ports: Ports) -> None:
    ports.jobs.note_end(
        report_key=run.report_key,
        fireant_job_id=run.fireant_job_id,
        status=status.state.value,
        results_url=status.results_url,
    )


def results_storage(run: ReportRun, context: StepContext) -> Outcome:
    """Streams the result from Fireant into its one place in the store, and describes it beside it.

    Both are written once: an attempt that finds the result there already adopts it, and describes it where that is missing.
    """
    ports = context.ports
    follower = Follower(
        uploaded=_uploaded_before(run),
        note=lambda upload: _note(run, upload),
        keep=context.keep_lease,
    )
    with closing(_downloaded(run, context)) as chunks:
        stored = ports.store.write(run.result_path, chunks, follower)
    described = _described(run, stored, ports)
    return Completed(
        learned=Learned(results_path=stored.location, result_size=stored.size, result_sha256=stored.sha256),
        metadata={
            "location": stored.location,
            "bytes": stored.size,
            "sha256": stored.sha256,
            "manifest": described.location,
            **_as_rows(run, stored, context),
        },
    )


def _described(run: ReportRun, stored: StoredResult, ports: Ports) -> StoredResult:
    """The manifest, ours or an earlier attempt's, which must be of the bytes that stand."""
    body = manifest(run, stored, now=ports.clock())
    described = ports.store.write(run.manifest_path, [body])
    ours = described.sha256 == hashlib.sha256(body).hexdigest()
    if not ours and not describes(ports.store.read_head(run.manifest_path, LONGEST), stored):
        raise StorageError(
            f"The manifest {described.location} describes other bytes than the result at {stored.location}: one of them was "
            "removed or replaced. Remove the manifest, then retry the run, which describes the result that stands."
        )
    return described


def _as_rows(run: ReportRun, stored: StoredResult, context: StepContext) -> dict[str, Json]:
    """Appends the stored result to the table, where there is one; returns what came of it."""
    table, store = context.ports.table, context.ports.store
    if table is None:
        return {}
    # Whatever becomes of the rows: a run that fails at them says where its result is.
    run.write(results_path=stored.location)
    columns: dict[str, str | date | datetime] = {
        "run_reference": str(run.reference),
        "run_report_key": run.report_key,
        "run_date": run.run_date,
        "run_scheduled_for": run.scheduled_for,
        "run_fireant_job_id": run.fireant_job_id,
    }
    appended = table.append(
        str(run.reference), columns, lambda: store.read(run.result_path), context.keep_lease
    )
    if appended.note:
        run_event("rows_not_appended", run, table=appended.location, note=appended.note)
    return {"table": appended.location, "rows": appended.rows, "rows_note": appended.note}


def _downloaded(run: ReportRun, context: StepContext) -> Generator[bytes, None, None]:
    """Fireant's bytes. It is asked when the first of them is wanted: for a result that is stored already, not at all."""
    with context.ports.fireant.results(run.fireant_job_id) as chunks:
        for chunk in chunks:
            context.keep_lease()
            yield chunk


def _uploaded_before(run: ReportRun) -> Upload | None:
    if not run.result_etag or run.result_size is None:
        return None
    return Upload(etag=run.result_etag, size=run.result_size, sha256=run.result_sha256)


def _note(run: ReportRun, upload: Upload) -> None:
    """Before the result gets its name: from then on a worker may die, and the next one knows what stands there."""
    run.write(result_etag=upload.etag, result_size=upload.size, result_sha256=upload.sha256)


StepFunction: TypeAlias = Callable[[ReportRun, StepContext], Outcome]

STEPS: Mapping[Step, StepFunction] = {
    Step.REPORT_DATA: report_data,
    Step.EXTERNAL_JOB_SUBMISSION: external_job_submission,
    Step.LOCAL_JOB_RECORD: local_job_record,
    Step.JOB_COMPLETION_STATUS: job_completion_status,
    Step.RESULTS_STORAGE: results_storage,
}
