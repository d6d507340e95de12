"""Read stored results again, and compare them with the SHA-256 that their runs keep."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import QuerySet

from report_orchestrator.conf import current_secrets
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.masking import masked
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import ResultStore


class ResultState(StrEnum):
    INTACT = "intact"
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    UNKNOWN = "no SHA-256"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedResult:
    """A stored result and its state. `problem` says why it could not be read, without secrets."""

    run: ReportRun
    state: ResultState
    problem: str = ""


def runs_with_results(*, since: datetime | None = None, run_ids: Sequence[int] = ()) -> QuerySet[ReportRun]:
    """Return the runs with a stored result: these ones, or those that ended since then."""
    runs = ReportRun.objects.exclude(results_path="").order_by("pk")
    return runs.filter(pk__in=run_ids) if run_ids else runs.filter(ended_at__gte=since)


def verify_results(runs: Iterable[ReportRun], store: ResultStore) -> Iterator[VerifiedResult]:
    """Yield the state of each run's result. Reads all of its bytes."""
    for run in runs:
        if not run.result_sha256:
            yield VerifiedResult(run=run, state=ResultState.UNKNOWN)
            continue
        try:
            digest = _read_again(run, store)
        except OrchestratorError as error:
            problem = masked(error.message, current_secrets())
            yield VerifiedResult(run=run, state=ResultState.UNREADABLE, problem=problem)
        else:
            is_intact = digest == run.result_sha256
            yield VerifiedResult(run=run, state=ResultState.INTACT if is_intact else ResultState.CHANGED)


def _read_again(run: ReportRun, store: ResultStore) -> str:
    digest = hashlib.sha256()
    for chunk in store.read(run.result_path):
        digest.update(chunk)
    return digest.hexdigest()
