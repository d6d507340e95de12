"""The dashboard's values: the snapshot, the hours of the day, the forecast, and the failures of the last 24 hours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from report_orchestrator.conf import Settings
from report_orchestrator.services.monitoring.failure_groups import RECENTLY, FailureGroups, failures_since
from report_orchestrator.services.monitoring.forecast import Forecast, read_forecast
from report_orchestrator.services.monitoring.hourly_outcomes import (
    HOURS_SHOWN,
    HourCounts,
    read_hours,
    start_of_day,
    sum_hours,
)
from report_orchestrator.services.monitoring.snapshot import Snapshot, read_snapshot
from report_orchestrator.services.monitoring.unfinished_runs import LatestActivity, read_latest_activity


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    snapshot: Snapshot
    today: HourCounts
    hours: Sequence[HourCounts]
    forecast: Forecast
    failures: FailureGroups
    latest_activity: LatestActivity


def read_dashboard(now: datetime, zone: tzinfo, settings: Settings, *, report_model: str) -> Dashboard:
    """Read the dashboard at `now` in four queries and those of the snapshot; hours and midnight are the zone's."""
    snapshot = read_snapshot(now, settings, report_model=report_model)
    forecast = read_forecast(now, zone, snapshot.settings, report_model=report_model)
    hours = [replace(hour, without_run=forecast.overdue_hours.get(hour.start, 0)) for hour in read_hours(now, zone)]
    return Dashboard(
        snapshot=snapshot,
        today=sum_hours(hours, start_of_day(now, zone)),
        hours=hours[-HOURS_SHOWN:],
        forecast=forecast,
        failures=failures_since(now - RECENTLY),
        latest_activity=read_latest_activity(now, snapshot.settings),
    )
