"""The conditions of lists that an index answers, whatever the number of runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from report_orchestrator.domain.runs import ENDED, RETRYABLE_BY_PERSON, UNFINISHED, Status
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.services.monitoring.failure_groups import RECENTLY

Runs = QuerySet[ReportRun]

SPANS: Mapping[str, timedelta] = {
    "hour": timedelta(hours=1),
    "day": RECENTLY,
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
}
STATUS_GROUPS: Mapping[str, Sequence[str]] = {"stopped": sorted(RETRYABLE_BY_PERSON), "unfinished": sorted(UNFINISHED)}
NOT_SUCCEEDED = [*UNFINISHED, *ENDED - {Status.SUCCEEDED}]


def with_status(runs: Runs, status: str) -> Runs:
    """Return the runs with a status, or with one of a group of `STATUS_GROUPS`."""
    group = STATUS_GROUPS.get(status)
    return runs.filter(status=status) if group is None else runs.filter(status__in=group)


def with_result(runs: Runs) -> Runs:
    # By the status too, which has an index in the order of time.
    return runs.filter(status=Status.SUCCEEDED).exclude(results_path="")


def at_step(runs: Runs, step: str) -> Runs:
    """Return the runs at this current or last step. Succeeded runs are past all steps and are left out."""
    return runs.filter(status__in=NOT_SUCCEEDED, step=step)


def with_cause(runs: Runs, code: str) -> Runs:
    """Return the runs with one error code. Succeeded runs have none and are left out."""
    return runs.filter(status__in=NOT_SUCCEEDED, error_code=code)


def created_since(runs: Runs, since: datetime) -> Runs:
    # The index on when a run was created begins with its status: naming all of them lets it answer.
    return runs.filter(created_at__gte=since, status__in=list(Status))


def ended_since(runs: Runs, since: datetime) -> Runs:
    return runs.filter(ended_at__gte=since)


def detected_since(changes: QuerySet[ReportChange], since: datetime) -> QuerySet[ReportChange]:
    return changes.filter(noticed_at__gte=since)


def with_problem(schedules: QuerySet[ReportSchedule], code: str) -> QuerySet[ReportSchedule]:
    """Return the reports that cannot run for this reason."""
    return schedules.filter(state=ScheduleState.QUARANTINED, problem_code=code)


def with_report_key(rows: QuerySet[Any], key: str) -> QuerySet[Any]:
    """Return the runs or changes of the report with this key."""
    return rows.filter(schedule__in=list(ReportSchedule.objects.filter(report_key=key).values_list("pk", flat=True)))
