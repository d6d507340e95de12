"""The five steps of a run, in order. Each acts once and returns its outcome; none of them writes the run's state.

Every step is idempotent, as it is repeated after a crash. Errors are raised; `step_errors` turns them into outcomes.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import cast

from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction

from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.payload import Payload, event_kind, json_payload, payload_digest
from report_orchestrator.domain.reports import EventKind, Json
from report_orchestrator.domain.runs import Completed, Failed, Outcome, RunColumns, Skipped, Step, Trigger, Waiting
from report_orchestrator.exceptions import InvalidReportError, LedgerError, ReportNotFoundError, StorageError
from report_orchestrator.models import ReportRun, RunPayload
from report_orchestrator.models.upsert import upsert
from report_orchestrator.ports import JobState, JobStatus, StoredResult, Upload, WriteObserver
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import database_alias, emit_run_event
from report_orchestrator.services.evidence.manifest import MAX_MANIFEST_BYTES, build_manifest, is_manifest_of
from report_orchestrator.services.fireant.circuit_breaker import record_success
from report_orchestrator.services.running.db_retry import with_db_retry

SHADOW_NOTE = "The report was in shadow at this time. Its payload was built and kept; no job was submitted."


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """The surroundings of a step. A long step calls `heartbeat` every few seconds: it raises when the step must stop."""

    runtime: Runtime
    heartbeat: Callable[[], None]


def report_data(run: ReportRun, context: StepContext) -> Outcome:
    """Load the report, its events and the modifier of the run's date, and store the payload."""
    return _store_payload(run, context, create_modifier=True)


def shadow_report_data(run: ReportRun, context: StepContext) -> Outcome:
    """Store the payload without writing to the host, and end the run: another system submits the job."""
    done = _store_payload(run, context, create_modifier=False)
    return Skipped(code=ErrorCode.SHADOW, error=SHADOW_NOTE, columns=done.columns, metadata=done.metadata)


def _store_payload(run: ReportRun, context: StepContext, *, create_modifier: bool) -> Completed:
    _reject_other_report(run, context)
    report = context.runtime.reports.load(run.report_key)
    kind = event_kind(report)
    modifier = context.runtime.reports.modifier_for(run.report_key, run.run_date, create=create_modifier)
    payload = json_payload(context.runtime.build_payload(report, modifier), str(run.report))
    _write_payload(run, payload)
    digest = payload_digest(payload)
    return Completed(
        columns=RunColumns(
            modifier_key="" if modifier.id is None else str(modifier.id), job_kind=kind.value, payload_digest=digest
        ),
        metadata={
            "events": len(report.events),
            "kind": kind.value,
            "as_at_date": modifier.as_at_date.isoformat(),
            "fx_date": modifier.fx_date.isoformat(),
            "payload_sha256": digest,
        },
    )


def _write_payload(run: ReportRun, payload: Payload) -> None:
    """Write the payload while the run is this worker's: one that lost the run must not replace a later submission's."""
    with transaction.atomic(using=database_alias()):
        run.lock()
        upsert(RunPayload(run=run, body=payload), update=["body"])


def _reject_other_report(run: ReportRun, context: StepContext) -> None:
    """Raise `InvalidReportError` if the run's key now names another report: of another model, or one created since."""
    model = run.schedule.report_model
    if model != context.runtime.reports.label:
        raise InvalidReportError(
            f"{run} belongs to {model}, but REPORT_MODEL is now {context.runtime.reports.label}. "
            "Cancel it, or set REPORT_MODEL back and retry the run.",
            code=ErrorCode.OTHER_REPORT_MODEL,
        )
    if run.schedule.report_key != run.report_key:
        raise ReportNotFoundError(
            f"{run} cannot continue: its report was deleted from the project, and another one was created under the same key. "
            "Start a run of the new report if you need it."
        )


def external_job_submission(run: ReportRun, context: StepContext) -> Outcome:
    """Submit the stored payload to Fireant under the run's own reference."""
    try:
        payload = cast("Payload", run.payload.body)
    except ObjectDoesNotExist as error:
        raise InvalidReportError(
            f"The payload of {run} is missing. Start a new run of the report.", code=ErrorCode.PAYLOAD_MISSING
        ) from error
    job_id = context.runtime.fireant.submit(EventKind(run.job_kind), payload, reference=run.client_reference)
    return Completed(
        columns=RunColumns(fireant_job_id=job_id),
        metadata={"fireant_job_id": job_id, "client_reference": run.client_reference},
    )


def local_job_record(run: ReportRun, context: StepContext) -> Outcome:
    """Write the host's own row of the job, where the host has a job model."""
    _reject_other_report(run, context)
    row = context.runtime.jobs.record(
        report_key=run.report_key, modifier_key=run.modifier_key, fireant_job_id=run.fireant_job_id
    )
    return Completed(metadata={"job_record": row or None})


def job_completion_status(run: ReportRun, context: StepContext) -> Outcome:
    """Poll Fireant once. While the job runs, the run waits as a row and occupies no worker."""
    return poll_outcome(run, context.runtime.fireant.status(run.fireant_job_id), context.runtime)


def poll_outcome(run: ReportRun, status: JobStatus, runtime: Runtime) -> Outcome:
    columns = RunColumns(fireant_status=(status.reported or status.state.value)[:100])
    match status.state:
        case JobState.FINISHED:
            _record_job_end(run, status, runtime)
            return Completed(columns=columns, metadata={"polls": run.polls + 1, **_progress(status)})
        case JobState.FAILED:
            _record_job_end(run, status, runtime)
            reason = status.error or status.message or "no reason given"
            return Failed(
                code=ErrorCode.FIREANT_JOB_FAILED,
                columns=columns,
                error=(
                    f"Fireant job {run.fireant_job_id} of {run.report} failed: {reason}. "
                    "Correct the report if it is the cause, then retry the run, which submits a new job."
                ),
            )
        case JobState.QUEUED | JobState.RUNNING | JobState.UNKNOWN:
            if status.state is JobState.UNKNOWN and columns["fireant_status"] != run.fireant_status:
                emit_run_event("unknown_job_status", run, reported=columns["fireant_status"])
            return Waiting(columns=columns, metadata=_progress(status))


def _progress(status: JobStatus) -> dict[str, float | str | None]:
    """Return the job's progress and message, which replace those of the previous poll in the attempt's details."""
    return {"progress": status.progress, "message": status.message}


def _record_job_end(run: ReportRun, status: JobStatus, runtime: Runtime) -> None:
    """Write the end to the host's own row. A table that refuses it does not cost the run its result."""
    note_end = partial(
        runtime.jobs.note_end,
        report_key=run.report_key,
        fireant_job_id=run.fireant_job_id,
        status=status.state.value,
        results_url=status.results_url,
    )
    try:
        with_db_retry(note_end, lease=runtime.settings.lease)
    except LedgerError as error:
        emit_run_event("job_end_not_recorded", run, error=error.message)


def results_storage(run: ReportRun, context: StepContext) -> Outcome:
    """Stream the result from Fireant into the store, and store its manifest.

    Both are written once: an attempt that finds the result already stored keeps it, and adds a missing manifest.
    """
    runtime = context.runtime
    known_upload = None
    if run.result_etag and run.result_size is not None:
        known_upload = Upload(etag=run.result_etag, size=run.result_size, sha256=run.result_sha256)
    observer = WriteObserver(
        known_upload=known_upload,
        # Recorded before the result gets its name: if this worker dies then, the next one recognises the file.
        uploaded=lambda upload: run.write(
            result_etag=upload.etag, result_size=upload.size, result_sha256=upload.sha256
        ),
        heartbeat=context.heartbeat,
    )
    with closing(_download(run, context)) as chunks:
        stored = runtime.store.write(run.result_path, chunks, observer)
    _reject_other_bytes(run, stored)
    run.check_unchanged()  # a worker that lost the run writes no manifest and no rows
    manifest = _store_manifest(run, stored, context)
    return Completed(
        columns=RunColumns(results_path=stored.location, result_size=stored.size, result_sha256=stored.sha256),
        metadata={
            "location": stored.location,
            "bytes": stored.size,
            "sha256": stored.sha256,
            "manifest": manifest.location,
            **_append_rows(run, stored, context),
        },
    )


def _reject_other_bytes(run: ReportRun, stored: StoredResult) -> None:
    """Raise `StorageError` if the stored file is not what this submission uploaded."""
    if run.result_sha256 and (stored.size, stored.sha256) != (run.result_size, run.result_sha256):
        raise _changed_result(run, stored.location)


def _changed_result(run: ReportRun, location: str) -> StorageError:
    return StorageError(
        f"The result of {run} at {location} is not the one that was uploaded: its SHA-256 differs. Someone replaced or changed "
        "it. Restore it, or remove it together with its manifest to download it again; then retry the run."
    )


def _store_manifest(run: ReportRun, stored: StoredResult, context: StepContext) -> StoredResult:
    """Store the manifest, or keep an earlier attempt's, which must describe the stored bytes."""
    runtime = context.runtime
    body = build_manifest(run, stored, now=runtime.clock())
    manifest = runtime.store.write(run.manifest_path, [body], WriteObserver(heartbeat=context.heartbeat))
    ours = manifest.sha256 == hashlib.sha256(body).hexdigest()
    head = b"" if ours else runtime.store.read_head(run.manifest_path, MAX_MANIFEST_BYTES)
    if not ours and not is_manifest_of(head, stored, fireant_job_id=run.fireant_job_id):
        raise StorageError(
            f"The manifest {manifest.location} does not match the result at {stored.location}: one of "
            "them was removed or replaced. Remove the manifest, then retry the run to write it again."
        )
    return manifest


def _append_rows(run: ReportRun, stored: StoredResult, context: StepContext) -> dict[str, Json]:
    """Append the stored result to the table, where there is one. Return the metadata of the append."""
    table, store = context.runtime.table, context.runtime.store
    if table is None:
        return {}
    # First, so that a run whose rows cannot be appended still shows where its result is.
    run.write(results_path=stored.location)
    columns: dict[str, str | date | datetime] = {
        "run_reference": str(run.reference),
        "run_report_key": run.report_key,
        "run_date": run.run_date,
        "run_scheduled_for": run.scheduled_for,
        "run_fireant_job_id": run.fireant_job_id,
    }

    def read() -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in store.read(run.result_path):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != stored.sha256:
            raise _changed_result(run, stored.location)

    appended = table.append(run.result_name, columns, read, context.heartbeat)
    if appended.note:
        emit_run_event("rows_not_appended", run, table=appended.location, note=appended.note)
    return {"table": appended.location, "rows": appended.rows, "rows_note": appended.note}


def _download(run: ReportRun, context: StepContext) -> Generator[bytes, None, None]:
    """Yield Fireant's bytes. Sends the request with the first of them: never for a result that is already stored.

    A complete download proves that Fireant is up.
    """
    with context.runtime.fireant.results(run.fireant_job_id, context.heartbeat) as chunks:
        for chunk in chunks:
            context.heartbeat()
            yield chunk
    record = partial(record_success, now=context.runtime.clock())
    with_db_retry(record, lease=context.runtime.settings.lease)  # here, or the download would be repeated


STEPS: Mapping[Step, Callable[[ReportRun, StepContext], Outcome]] = {
    Step.REPORT_DATA: report_data,
    Step.EXTERNAL_JOB_SUBMISSION: external_job_submission,
    Step.LOCAL_JOB_RECORD: local_job_record,
    Step.JOB_COMPLETION_STATUS: job_completion_status,
    Step.RESULTS_STORAGE: results_storage,
}


def run_step(run: ReportRun, context: StepContext) -> Outcome:
    """Run the step that the run is at. A shadow run has only its first one."""
    if run.trigger == Trigger.SHADOW:
        return shadow_report_data(run, context)
    return STEPS[Step(run.step)](run, context)
