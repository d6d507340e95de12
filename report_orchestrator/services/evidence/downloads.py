"""Hand out a stored result to a person: recorded, and compared with the SHA-256 that its run keeps."""

import hashlib
from collections.abc import Generator, Iterator

from report_orchestrator.conf import current_secrets
from report_orchestrator.exceptions import OrchestratorError, StorageError
from report_orchestrator.masking import masked
from report_orchestrator.models import Intervention, InterventionKind, ReportRun
from report_orchestrator.ports import ResultStore
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.events import emit_run_event
from report_orchestrator.services.evidence.audit import ACTOR_LENGTH


def download_result(run: ReportRun, *, actor: str, runtime: Runtime) -> Generator[bytes, None, None]:
    """Record the download, and return the result's bytes in chunks. Memory stays near two chunks.

    The last chunk is held back until all bytes have been compared, so that a reader who knows the size never takes a changed
    result for the stored one.

    Raises:
        OrchestratorError: the result cannot be read, or a small one is not the stored one; nothing is recorded. From the
            iterator: the download must be cut. The reason is kept with its record.
    """
    chunks = _verified(run, runtime.store)
    first = next(chunks, b"")
    record = Intervention.objects.create(
        run=run, kind=InterventionKind.DOWNLOADED, actor=actor[:ACTOR_LENGTH], made_at=runtime.clock()
    )
    emit_run_event("run_downloaded", run, actor=actor)
    return _recorded(first, chunks, record)


def _verified(run: ReportRun, store: ResultStore) -> Iterator[bytes]:
    digest, size, held = hashlib.sha256(), 0, None
    for chunk in store.read(run.result_path):
        digest.update(chunk)
        size += len(chunk)
        if run.result_size is not None and size > run.result_size:
            raise _changed(run, "it is longer")
        if held is not None:
            yield held
        held = chunk
    if run.result_size is not None and size != run.result_size:
        raise _changed(run, "it is shorter")
    if run.result_sha256 and digest.hexdigest() != run.result_sha256:
        raise _changed(run, "its SHA-256 differs")
    yield held or b""


def _changed(run: ReportRun, difference: str) -> StorageError:
    return StorageError(
        f"The file at {run.results_path} is not the result that {run} stored: {difference}. Restore it from a backup."
    )


def _recorded(first: bytes, chunks: Iterator[bytes], record: Intervention) -> Generator[bytes, None, None]:
    try:
        yield first
        yield from chunks
    except OrchestratorError as error:
        problem = masked(error.message, current_secrets())
        Intervention.objects.filter(pk=record.pk).update(reason=f"Cut: {problem}")
        emit_run_event("download_cut", record.run, actor=record.actor, error=problem)
        raise
