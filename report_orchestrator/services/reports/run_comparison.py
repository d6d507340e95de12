"""The runs before and after a run, and the values by which two runs are compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Q, QuerySet

from report_orchestrator.domain.reports import Json
from report_orchestrator.domain.runs import Status, Step, StepResult, working_time
from report_orchestrator.models import ReportRun, RunPayload, RunStep


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a run had sent and got. `payload` and each detail are None where none is kept."""

    run: ReportRun
    payload: Json
    data: Mapping[str, Json] = field(default_factory=dict)
    """The details of the step `report_data`: events, kind, dates."""
    stored: Mapping[str, Json] = field(default_factory=dict)
    """The details of the step `results_storage`: rows of the table."""

    @property
    def duration(self) -> timedelta | None:
        return working_time(self.run.started_at, self.run.ended_at, self.run.idle)


def previous_run(run: ReportRun, runs: QuerySet[ReportRun]) -> ReportRun | None:
    """Return the report's run before this one among `runs`. One query, on `ro_run_history_idx`."""
    is_later = Q(scheduled_for=run.scheduled_for, pk__gte=run.pk)
    before = runs.filter(schedule=run.schedule_id, scheduled_for__lte=run.scheduled_for).exclude(is_later)
    return before.order_by("-scheduled_for", "-pk").first()


def next_run(run: ReportRun, runs: QuerySet[ReportRun]) -> ReportRun | None:
    """Return the report's run after this one among `runs`. One query, on `ro_run_history_idx`."""
    is_earlier = Q(scheduled_for=run.scheduled_for, pk__lte=run.pk)
    after = runs.filter(schedule=run.schedule_id, scheduled_for__gte=run.scheduled_for).exclude(is_earlier)
    return after.order_by("scheduled_for", "pk").first()


def last_success(run: ReportRun, runs: QuerySet[ReportRun]) -> ReportRun | None:
    """Return the report's last success before this run among `runs`; without one, its last success at all."""
    succeeded = runs.filter(status=Status.SUCCEEDED)
    latest = succeeded.filter(schedule=run.schedule_id).exclude(pk=run.pk).order_by("-scheduled_for", "-pk")
    return previous_run(run, succeeded) or latest.first()


def read_facts(*runs: ReportRun) -> list[RunFacts]:
    """Return the facts of each run. Two queries."""
    payloads = dict(RunPayload.objects.filter(run__in=runs).values_list("run", "body"))
    details: dict[tuple[int, str], Mapping[str, Json]] = {}
    completed = RunStep.objects.filter(run__in=runs, result=StepResult.COMPLETED).order_by("pk")
    for run, step, metadata in completed.values_list("run", "step", "metadata"):
        details[run, step] = metadata
    return [
        RunFacts(
            run=run,
            payload=payloads.get(run.pk),
            data=details.get((run.pk, Step.REPORT_DATA.value), {}),
            stored=details.get((run.pk, Step.RESULTS_STORAGE.value), {}),
        )
        for run in runs
    ]
