"""When runs in progress are expected to end, and queued ones to start."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import OuterRef, QuerySet, Subquery

from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.services.fireant.circuit_breaker import read_circuit
from report_orchestrator.services.fireant.limits import STEPS_BEFORE_JOB, submissions_since
from report_orchestrator.services.reports.run_history import PastRun, long_duration, typical_duration

SLOW_FROM = 2
"""Times the typical duration from which on a run is slow."""
PACE_OVER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedEnd:
    """The typical duration of the run's report, and the ends by it; None before the report's first success.

    The run has worked for `so_far`. It ends by `at` in half of the cases, by `at_latest` in nine of ten.
    """

    so_far: timedelta
    typical: timedelta | None
    at: datetime | None
    at_latest: datetime | None

    @property
    def is_slow(self) -> bool:
        return self.typical is not None and self.so_far > SLOW_FROM * self.typical


def expected_end(run: ReportRun, past: Sequence[PastRun], now: datetime) -> ExpectedEnd | None:
    """Return when the run ends if it goes as the `past` ones of its report; None if it has not started, or has ended."""
    so_far = run.duration(now)
    if so_far is None or run.has_ended:
        return None
    typical, long = typical_duration(past), long_duration(past)
    return ExpectedEnd(
        so_far=so_far,
        typical=typical,
        at=None if typical is None else now - so_far + typical,
        at_latest=None if long is None else now - so_far + long,
    )


def with_progress(runs: QuerySet[ReportRun]) -> QuerySet[ReportRun]:
    """Annotate the runs with `polled`, the details of the last poll of the job."""
    polls = RunStep.objects.filter(run=OuterRef("pk"), step=Step.JOB_COMPLETION_STATUS).order_by("-pk")
    return runs.annotate(polled=Subquery(polls.values("metadata")[:1]))


def fireant_progress(details: object) -> float | None:
    """Return the share of the job that Fireant said to be done; None if it said none."""
    share = details.get("progress") if isinstance(details, dict) else None
    return float(share) if isinstance(share, int | float) and 0 <= share <= 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceInLine:
    """A queued run's place, 1 for the next to start. `starts_at` is None if that cannot be told."""

    place: int
    starts_at: datetime | None
    is_behind_its_report: bool


def place_in_line(run: ReportRun, now: datetime) -> PlaceInLine | None:
    """Return the place of a queued run in up to four queries; None for another run.

    Its start is told from the pace at which jobs were submitted in the last `PACE_OVER`.
    """
    if run.status != Status.QUEUED:
        return None
    place = ReportRun.objects.startable_before(run).count() + 1
    is_behind = ReportRun.objects.waits_in_line(run)
    starts_at = None
    if not is_behind and run.step in STEPS_BEFORE_JOB and not read_circuit().is_open:
        submitted = submissions_since(now - PACE_OVER).count()
        starts_at = now + place * PACE_OVER / submitted if submitted else None
    return PlaceInLine(place=place, starts_at=starts_at, is_behind_its_report=is_behind)
