"""Run with `manage.py shell`: make every active report due for its last time, as after an outage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from croniter import croniter
from django.utils import timezone

from report_orchestrator.models import ReportSchedule, ScheduleState, SharedState, StateName


def make_all_due() -> int:
    """Return the number of reports made due."""
    now = datetime.now(timezone.get_default_timezone())
    active = list(ReportSchedule.objects.filter(state=ScheduleState.ACTIVE))
    for schedule in active:
        last = croniter(schedule.cron, now).get_prev(datetime).astimezone(UTC)
        schedule.decided_until = last - timedelta(seconds=1)
        schedule.next_run_at = last
    ReportSchedule.objects.bulk_update(active, ["decided_until", "next_run_at"])
    SharedState.objects.record(StateName.SCHEDULING, now=min(schedule.decided_until for schedule in active))
    return len(active)
