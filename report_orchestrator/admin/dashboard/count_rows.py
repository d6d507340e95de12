"""The rows of the dashboard's tables of unfinished runs and of limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext

from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.admin.ui.phrases import away, clock, number
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun
from report_orchestrator.models.runs import STATUS_LABELS, STEP_LABELS
from report_orchestrator.services.monitoring.dashboard import Dashboard

NOW_FOR = timedelta(seconds=10)
"""How long a poll or a retry that is due is about to start, and not overdue."""


@dataclass(frozen=True, slots=True)
class CountRow:
    name: str
    count: str
    note: str = ""
    address: str | None = None


def unfinished_rows(dashboard: Dashboard, viewer: Viewer) -> list[CountRow]:
    """Return one row for each status and step with unfinished runs."""
    return [
        CountRow(
            name=f"{STATUS_LABELS[group.status]}: {STEP_LABELS[group.step]}",
            count=number(group.count),
            note=_next_event(group.status, group.wake_at, dashboard.snapshot.now),
            address=viewer.list_address(ReportRun, status=group.status.value, step=group.step.value),
        )
        for group in dashboard.snapshot.unfinished_runs.groups
    ]


def _next_event(status: Status, at: datetime, now: datetime) -> str:
    texts: dict[Status, tuple[str, str]] = {
        Status.QUEUED: (gettext("first ready {when}"), gettext("first ready {when}")),
        Status.RUNNING: (gettext("the first must report by {time}"), gettext("the first should have reported {when}")),
        Status.DEFERRED: (gettext("next poll {when}"), gettext("next poll was due {when}")),
        Status.UP_FOR_RETRY: (gettext("next retry {when}"), gettext("next retry was due {when}")),
    }
    ahead, past = texts[status]
    is_now = timedelta(0) <= now - at < NOW_FOR and status in {Status.DEFERRED, Status.UP_FOR_RETRY}
    when = gettext("now") if is_now else away(at, now)
    return (ahead if is_now or at > now else past).format(when=when, time=clock(at))


def limit_rows(dashboard: Dashboard) -> Iterator[CountRow]:
    settings = dashboard.snapshot.settings
    jobs = dashboard.snapshot.unfinished_runs.jobs_in_fireant
    yield _limit(gettext("Jobs in Fireant"), jobs, settings.fireant_max_jobs_in_flight)
    if settings.fireant_max_submits_per_minute:
        submits = dashboard.latest_activity.submits_last_minute or 0
        name = gettext("Submissions in the last minute")
        yield _limit(name, submits, settings.fireant_max_submits_per_minute)


def _limit(name: str, count: int, limit: int) -> CountRow:
    if not limit:
        return CountRow(name, gettext("{count} (no limit)").format(count=number(count)))
    text = gettext("{count} of {limit}").format(count=number(count), limit=number(limit))
    return CountRow(name, text, gettext("limit reached, other runs wait") if count >= limit else "")
