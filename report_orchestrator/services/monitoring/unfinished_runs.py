"""Runs that have not ended, by status and step, and the last activity at Fireant and at the result store."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Min, Subquery

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import UNFINISHED, Status, Step
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.services.fireant.limits import SUBMISSION_WINDOW


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs of one status at one step; `wake_at` is the earliest of their wake-up times."""

    status: Status
    step: Step
    count: int
    wake_at: datetime

    @property
    def has_job(self) -> bool:
        """True if Fireant has a job for these runs, or is about to get one, as its limit counts them."""
        if self.step is Step.EXTERNAL_JOB_SUBMISSION:
            return self.status is Status.RUNNING
        return self.step in {Step.LOCAL_JOB_RECORD, Step.JOB_COMPLETION_STATUS}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedRuns:
    groups: tuple[RunGroup, ...]

    @property
    def jobs_in_fireant(self) -> int:
        return sum(group.count for group in self.groups if group.has_job)

    @property
    def storage_retries(self) -> int:
        wanted = (Status.UP_FOR_RETRY, Step.RESULTS_STORAGE)
        return sum(group.count for group in self.groups if (group.status, group.step) == wanted)

    @property
    def earliest_lease_end(self) -> datetime | None:
        """The end of the first lease, past or future; None where no worker holds a run."""
        return min((group.wake_at for group in self.groups if group.status is Status.RUNNING), default=None)

    @property
    def earliest_wake(self) -> datetime | None:
        """The earliest wake-up time of a run that no worker holds; it may still wait on purpose."""
        free = (group.wake_at for group in self.groups if group.status is not Status.RUNNING)
        return min(free, default=None)


def read_unfinished_runs() -> UnfinishedRuns:
    """Read all groups in one query, on `ro_run_wake_idx` alone."""
    rows = (
        ReportRun.objects.filter(wake_at__isnull=False, status__in=sorted(UNFINISHED))
        .order_by("status", "step")
        .values_list("status", "step")
        .annotate(n=Count("*"), first=Min("wake_at"))
    )
    groups = (RunGroup(Status(status), Step(step), *values) for status, step, *values in rows)
    return UnfinishedRuns(groups=tuple(groups))


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestActivity:
    """The last success of a run, and the submissions of the last minute where a limit applies to them."""

    last_success_at: datetime | None = None
    submits_last_minute: int | None = None


def read_latest_activity(now: datetime, settings: Settings) -> LatestActivity:
    """Read both in one query of two index lookups; before the first run, return none."""
    succeeded = ReportRun.objects.filter(status=Status.SUCCEEDED, ended_at__isnull=False)
    fields: dict[str, Subquery] = {"last_success_at": Subquery(succeeded.order_by("-ended_at").values("ended_at")[:1])}
    if settings.fireant_max_submits_per_minute:
        since = now - SUBMISSION_WINDOW
        recent = RunStep.objects.filter(step=Step.EXTERNAL_JOB_SUBMISSION, started_at__gt=since).order_by()
        counted = recent.annotate(key=F("step")).values("key").annotate(n=Count("*")).values("n")
        fields["submits_last_minute"] = Subquery(counted)
    rows = ReportRun.objects.order_by("-pk").values(**fields)[:1]
    return LatestActivity(**rows[0]) if rows else LatestActivity()
