"""The dashboard's list of problems, most urgent first; runs with the same failure form one problem."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext, gettext_lazy, ngettext

from report_orchestrator.admin.dashboard.signs import BAD, WARN
from report_orchestrator.admin.ui.format import Sign
from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.admin.ui.phrases import away, capped, day_and_clock, error_title, isolated, number
from report_orchestrator.domain.error_codes import Trait, traits_of
from report_orchestrator.domain.printable import is_visible
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.models.runs import STEP_LABELS
from report_orchestrator.services.monitoring.dashboard import Dashboard
from report_orchestrator.services.monitoring.failure_groups import FailureGroup
from report_orchestrator.services.monitoring.snapshot import ScheduleCount
from report_orchestrator.services.upkeep_failures import UpkeepTask

GROUPS_SHOWN = 8
UPKEEP_LABELS = {
    UpkeepTask.TICK: gettext_lazy("tick"),
    UpkeepTask.DISCOVERY: gettext_lazy("discovery of reports"),
    UpkeepTask.EDITS: gettext_lazy("search for edited reports"),
    UpkeepTask.QUEUE_SCHEDULES: gettext_lazy("synchronization of Django-Q's schedules"),
    UpkeepTask.PRUNING: gettext_lazy("deletion of old rows"),
    UpkeepTask.TEMP_FILES: gettext_lazy("removal of temporary files"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """`address` leads to its rows, `retry_address` to the retry of all its runs; None without the permission.

    `act_address` leads to what the advice says, if that is not the retry and concerns one report.
    `runs_address` leads to the failed runs of a problem whose rows are reports.
    """

    sign: Sign
    title: str
    detail: str
    label: str
    address: str | None
    retry_label: str = ""
    retry_address: str | None = None
    act_label: str = ""
    act_address: str | None = None
    runs_label: str = ""
    runs_address: str | None = None

    @property
    def key(self) -> str:
        """Identify the problem when the page is refreshed: its counts may have changed."""
        return self.address or self.title


def find_problems(dashboard: Dashboard, viewer: Viewer) -> list[Problem]:
    """Return the worst first, behind the pause, which explains what follows."""
    problems = [
        *_stuck_runs(dashboard, viewer),
        *_late_reports(dashboard, viewer),
        *_failures(dashboard, viewer),
        *_held_removals(dashboard, viewer),
        *_quarantined(dashboard, viewer),
        *_failed_upkeep(dashboard),
    ]
    return [*_pause(dashboard, viewer), *sorted(problems, key=lambda problem: problem.sign != BAD)]


def _pause(dashboard: Dashboard, viewer: Viewer) -> Iterator[Problem]:
    pause = dashboard.snapshot.pause
    if pause is not None:
        title = gettext("All reports are paused by {person}: no new runs are created").format(
            person=isolated(pause.by) or gettext("someone")
        )
        resume = viewer.all_address("resume_all")
        yield Problem(WARN, title, isolated(pause.reason), gettext("Resume all reports"), resume)


def _stuck_runs(dashboard: Dashboard, viewer: Viewer) -> Iterator[Problem]:
    """Yield the problems for which the health check fails too; where no worker is active, they have one cause."""
    snapshot, label = dashboard.snapshot, gettext("View runs")
    stuck = [at for at in (snapshot.lease_expired_since, snapshot.overdue_since) if at is not None]
    if stuck and not snapshot.workers.is_active(snapshot.now):
        text = gettext("The first has waited since {instant}. Restart qcluster.")
        if snapshot.workers.last_seen_at is None or snapshot.workers.is_stopped:
            text = gettext("The first has waited since {instant}. Start qcluster.")
        detail = text.format(instant=day_and_clock(min(stuck), snapshot.now))
        address = viewer.list_address(ReportRun, status="unfinished")
        yield Problem(BAD, gettext("Runs wait, and no worker is active"), detail, label, address)
        return
    if snapshot.lease_expired_since is not None:
        title = gettext("Leases expired and no worker is taking over the runs")
        detail = gettext("The first lease expired {ago}. Restart qcluster.").format(
            ago=away(snapshot.lease_expired_since, snapshot.now)
        )
        yield Problem(BAD, title, detail, label, viewer.list_address(ReportRun, status=Status.RUNNING.value))
    if snapshot.overdue_since is not None:
        title = gettext("Runs are ready but no worker is picking them up")
        detail = gettext("The first became ready {ago}. Check the log of qcluster, or start more workers.").format(
            ago=away(snapshot.overdue_since, snapshot.now)
        )
        yield Problem(BAD, title, detail, label, viewer.list_address(ReportRun, status="unfinished"))


def _late_reports(dashboard: Dashboard, viewer: Viewer) -> Iterator[Problem]:
    late, since = dashboard.forecast.late, dashboard.forecast.late_since
    if not late or not since:
        return
    name, is_paused = _visible(dashboard.forecast.late_name), dashboard.snapshot.pause is not None
    if is_paused:
        title = ngettext("{count} report is held back by the pause", "{count} reports are held back by the pause", late)
    else:
        title = ngettext(
            "{count} report is late: no run was created for its scheduled time",
            "{count} reports are late: no runs were created for their scheduled times",
            late,
        )
    detail = gettext("The first was due {ago}.")
    if name:
        detail = gettext("{report} was due {ago}.") if late == 1 else gettext("{report} was due first, {ago}.")
    yield Problem(
        WARN if is_paused else BAD,
        title.format(count=number(late)),
        detail.format(report=name, ago=away(since, dashboard.snapshot.now)),
        gettext("View report") if late == 1 else gettext("View reports"),
        viewer.list_address(ReportSchedule, condition="late"),
    )


def _failures(dashboard: Dashboard, viewer: Viewer) -> Iterator[Problem]:
    failures, now = dashboard.failures, dashboard.snapshot.now
    invalid = dashboard.snapshot.quarantined
    groups = [group for group in failures.groups if not any(_is_of(row, group) for row in invalid)]
    for group in groups[:GROUPS_SHOWN]:
        count, step = capped(group.count, is_capped=failures.is_capped), group.step.value
        title = ngettext(
            "{count} run failed at “{step}”: {cause}", "{count} runs failed at “{step}”: {cause}", group.count
        )
        yield Problem(
            BAD,
            title.format(count=count, cause=error_title(group.code), step=STEP_LABELS[group.step]),
            gettext("Last failure {ago}. {error}").format(ago=away(group.last_at, now), error=isolated(group.error)),
            _view_runs(group.count),
            viewer.list_address(ReportRun, status="stopped", step=step, cause=group.code, ended="day"),
            gettext("Retry") if group.count == 1 else gettext("Retry all {count}").format(count=count),
            viewer.retry_address(error_code=group.code, step=step, ended="day"),
            *_advised_act(group, dashboard, viewer),
        )
    others = sum(group.count for group in groups[GROUPS_SHOWN:])
    if others:
        title = ngettext(
            "{count} more run failed for another reason", "{count} more runs failed for other reasons", others
        ).format(count=number(others))
        address = viewer.list_address(ReportRun, status="stopped", ended="day")
        yield Problem(BAD, title, "", gettext("View all failed runs"), address)


def _advised_act(group: FailureGroup, dashboard: Dashboard, viewer: Viewer) -> tuple[str, str | None]:
    """Return label and address of what the advice says; nothing if that is the retry, or concerns several reports."""
    traits = traits_of(group.code)
    if group.reports == 1 and Trait.REPORT_AT_FAULT in traits:
        model = dashboard.snapshot.settings.report_model
        return gettext("Correct it in the project ↗"), viewer.project_address(model, group.report_key)
    if group.reports == 1 and Trait.NEEDS_NEW_RUN in traits:
        return gettext("Run the report now"), viewer.run_address(group.schedule)
    return "", None


def _held_removals(dashboard: Dashboard, viewer: Viewer) -> Iterator[Problem]:
    held = dashboard.snapshot.held_removals
    if held:
        title = ngettext(
            "{count} report is missing from the project; its removal is on hold",
            "{count} reports are missing from the project; their removal is on hold",
            held,
        ).format(count=number(held))
        detail = gettext(
            "Accept the removal if it is intended. Otherwise check that the project uses the right database."
        )
        yield Problem(WARN, title, detail, gettext("View changes"), viewer.list_address(ReportChange))


def _quarantined(dashboard: Dashboard, viewer: Viewer) -> Iterator[Problem]:
    """Yield one problem for each invalid definition, with the runs that failed by it."""
    for row in dashboard.snapshot.quarantined:
        failed = [group for group in dashboard.failures.groups if _is_of(row, group)]
        title = ngettext(
            "{count} report has an invalid definition: {problem}",
            "{count} reports have an invalid definition: {problem}",
            row.count,
        )
        act_label, act_address = _advised_act(failed[0], dashboard, viewer) if failed else ("", None)
        name = _visible(row.name or "")
        if row.count == 1 and name:
            title = gettext("{report} has an invalid definition: {problem}")
        yield Problem(
            BAD if failed else WARN,
            title.format(report=name, count=number(row.count), problem=error_title(row.problem)),
            " ".join(_describe_failures(group, dashboard.snapshot.now) for group in failed),
            gettext("View report") if row.count == 1 else gettext("View reports"),
            viewer.list_address(ReportSchedule, problem=row.problem),
            act_label=act_label,
            act_address=act_address,
            runs_label=_view_runs(sum(group.count for group in failed)),
            runs_address=viewer.list_address(
                ReportRun, status="stopped", step=Step.REPORT_DATA.value, cause=row.problem, ended="day"
            )
            if failed
            else None,
        )


def _is_of(row: ScheduleCount, group: FailureGroup) -> bool:
    """Return True if these runs failed by this invalid definition: both are one problem."""
    return (row.problem, Step.REPORT_DATA) == (group.code, group.step)


def _describe_failures(group: FailureGroup, now: datetime) -> str:
    text = ngettext("{count} run failed, {ago}. {error}", "{count} runs failed, the last {ago}. {error}", group.count)
    return text.format(count=number(group.count), ago=away(group.last_at, now), error=isolated(group.error))


def _view_runs(count: int) -> str:
    return gettext("View run") if count == 1 else gettext("View runs")


def _visible(name: str) -> str:
    """Return a report's name for a sentence; empty if nothing of it can be seen."""
    return isolated(name) if is_visible(name) else ""


def _failed_upkeep(dashboard: Dashboard) -> Iterator[Problem]:
    for row in dashboard.snapshot.failed_upkeep:
        title = ngettext(
            "Upkeep failed {count} time: {task}", "Upkeep failed {count} times in a row: {task}", row.failures
        ).format(count=number(row.failures), task=UPKEEP_LABELS[row.task])
        detail = gettext("Last failure {ago}. {error}").format(
            ago=away(min(row.last_at, dashboard.snapshot.now), dashboard.snapshot.now), error=isolated(row.message)
        )
        yield Problem(BAD if row.failures > 1 else WARN, title, detail, "", None)
