"""The whole picture of one morning: seven queries, whatever the number of reports and runs, and up to four more where the
time of a run has passed and it must be told whether that run waits on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

from django.db.models import Count, Q

from report_orchestrator.conf import Settings
from report_orchestrator.models import Mark, ReportSchedule, ScheduleState
from report_orchestrator.services.approaches import SETTINGS_MARK
from report_orchestrator.services.gate import Circuit
from report_orchestrator.services.lateness import GRACE, first_to_go_on
from report_orchestrator.services.reading.causes import Stopped, stopped_since
from report_orchestrator.services.reading.day import HOURS_SHOWN, Hour, hours_until, midnight_of, total
from report_orchestrator.services.reading.flight import Flight, LatestWork, in_flight, latest_work
from report_orchestrator.services.reading.forecast import Forecast, forecast
from report_orchestrator.services.reading.vitals import (
    Pause,
    Pulse,
    circuit_of,
    discovered_at,
    held_removals,
    pause_of,
    read_marks,
    scheduler_pulse,
    worker_pulse,
)

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Reports of one state. `problem` is the code of what is wrong with quarantined ones."""

    state: ScheduleState
    problem: str
    count: int
    paused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A moment's picture. Instants are aware UTC; None where there is nothing to tell."""

    now: datetime
    today: Hour
    hours: Sequence[Hour]
    ahead: Forecast
    stopped: Stopped
    flight: Flight
    overdue_since: datetime | None
    work: LatestWork
    standings: Sequence[Standing]
    workers: Pulse
    scheduler: Pulse
    circuit: Circuit
    pause: Pause | None
    held_removals: int
    discovered_at: datetime | None
    approach: str
    jobs_at_most: int
    submits_at_most: int

    @property
    def paused(self) -> int:
        """Reports that a person has paused one by one."""
        return sum(standing.paused for standing in self.standings)

    @property
    def lost_since(self) -> datetime | None:
        """When the first of the leases ended whose worker was lost and whose run nobody took over, as health sees it."""
        held_until = self.flight.held_until
        return held_until if held_until is not None and self.now - held_until > GRACE else None

    @property
    def quarantined(self) -> Sequence[Standing]:
        """Reports that cannot run, by what is wrong with them."""
        return [standing for standing in self.standings if standing.state is ScheduleState.QUARANTINED]


def read_dashboard(now: datetime, zone: tzinfo, settings: Settings, *, report_model: str) -> Dashboard:
    """Reads the picture as it is at `now`; hours and midnight are the zone's."""
    marks = read_marks()
    settings = in_force_by(marks.get(SETTINGS_MARK), settings)
    ahead = forecast(now, zone, settings, report_model=report_model)
    flight, circuit = in_flight(), circuit_of(marks)
    hours = [_with_overdue(hour, ahead) for hour in hours_until(now, zone)]
    return Dashboard(
        now=now,
        today=total(hours, midnight_of(now, zone)),
        hours=hours[-HOURS_SHOWN:],
        ahead=ahead,
        stopped=stopped_since(now - DAY),
        flight=flight,
        overdue_since=_overdue_since(flight, circuit, now, settings),
        work=latest_work(now, settings),
        standings=_standings(),
        workers=worker_pulse(marks),
        scheduler=scheduler_pulse(marks, settings),
        circuit=circuit,
        pause=pause_of(marks),
        held_removals=held_removals(marks),
        discovered_at=discovered_at(marks),
        approach=settings.scheduling_approach,
        jobs_at_most=settings.fireant_max_jobs_in_flight,
        submits_at_most=settings.fireant_max_submits_per_minute,
    )


def in_force_by(mark: Mark | None, settings: Settings) -> Settings:
    """The settings with the approach in force, from a mark that was read already."""
    shaping: Mapping[str, Any] = {} if mark is None else mark.detail.get("in_force", {})
    known: dict[str, Any] = {
        name: timedelta(seconds=value) if isinstance(getattr(settings, name), timedelta) else value
        for name, value in shaping.items()
        if hasattr(settings, name)
    }
    return replace(settings, **known)


def _overdue_since(flight: Flight, circuit: Circuit, now: datetime, settings: Settings) -> datetime | None:
    """Since when a run could have gone on that nobody took, as health sees it; asked only where one has waited so long."""
    if flight.waiting_since is None or now - flight.waiting_since <= GRACE:
        return None
    first = first_to_go_on(now, settings, circuit)
    return first if first is not None and now - first > GRACE else None


def _with_overdue(hour: Hour, ahead: Forecast) -> Hour:
    return replace(hour, unopened=ahead.overdue_hours.get(hour.start, 0))


def _standings() -> list[Standing]:
    rows = (
        ReportSchedule.objects.order_by("state", "problem_code")
        .values_list("state", "problem_code")
        .annotate(n=Count("*"), paused=Count("pk", filter=Q(paused_at__isnull=False)))
    )
    return [
        Standing(state=ScheduleState(state), problem=problem, count=count, paused=paused)
        for state, problem, count, paused in rows
    ]
