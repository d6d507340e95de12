"""All actions of the admin: their addresses, rows that they are possible for, and the forms that confirm them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.urls import reverse

from report_orchestrator.admin.actions import confirm, report_actions, run_actions
from report_orchestrator.admin.actions.rows import RowAction, versions
from report_orchestrator.admin.changes.removals import ACCEPT_REMOVALS
from report_orchestrator.admin.reports.pause_all import PAUSE_ALL, RESUME_ALL
from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import Intervention, ReportChange, ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.admin_pages import make_run, make_schedule

VIEW = ("view_reportrun", "view_reportschedule", "view_reportchange")
PERMISSIONS = {
    "retry": "retry_runs",
    "release": "retry_runs",
    "cancel": "cancel_runs",
    "run": "run_reports",
    "pause": "pause_reports",
    "resume": "pause_reports",
    "backfill": "backfill_reports",
    "removals": "accept_removals",
    "pause-all": "pause_reports",
    "resume-all": "pause_reports",
}
ACTION_NAMES = sorted(PERMISSIONS)
_ROW_ACTIONS: list[RowAction[Any]] = [*run_actions.RUN_ACTIONS, *report_actions.REPORT_ACTIONS]
ROW_ACTIONS = {action.name: action for action in _ROW_ACTIONS}
WHOLE_ACTIONS = {action.name: action for action in (PAUSE_ALL, RESUME_ALL, ACCEPT_REMOVALS)}
RUN_ACTION_NAMES = {"retry", "release", "cancel"}
ON_ALL_REPORTS = {"pause-all", "resume-all"}
REASON = "Fireant was restarted"


def fresh(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


def url_of(action: str) -> str:
    if action in WHOLE_ACTIONS:
        model = "reportchange" if action == "removals" else "reportschedule"
        return reverse(f"admin:report_orchestrator_{model}_{action.replace('-', '_')}")
    model = "reportrun" if action in RUN_ACTION_NAMES else "reportschedule"
    return reverse(f"admin:report_orchestrator_{model}_act", args=[action])


def row_for(action: str) -> Any:
    """Create a row for which the action is possible."""
    match action:
        case "retry":
            return make_run(status=Status.FAILED, step=Step.RESULTS_STORAGE.value, error_code="storage")
        case "release":
            return make_run(
                status=Status.FAILED, step=Step.EXTERNAL_JOB_SUBMISSION.value, error_code="submission_unknown"
            )
        case "cancel":
            return make_run(status=Status.DEFERRED)
        case "resume":
            return make_schedule(report_model="fake.Report", paused_at=datetime.now(UTC), next_run_at=None)
        case _:
            return make_schedule(report_model="fake.Report")


def confirmation(action: str, *rows: Any, **changed: Any) -> dict[str, Any]:
    """Return the form data of a confirmation."""
    form = {
        "rows": versions(ROW_ACTIONS[action], rows) if action in ROW_ACTIONS else version_of(action),
        "reason": REASON,
    }
    match action:
        case "run":
            form["token"] = str(uuid.uuid4())
        case "backfill":
            form |= {"since": "2026-06-01", "until": "2026-06-02", "previewed": "2026-06-01/2026-06-02"}
    return form | changed


def version_of(action: str) -> str:
    """Return the version that the page of an action on all reports shows now."""
    runtime = vars(confirm)["get_runtime"]()  # as the fixture `outside` replaced it
    return WHOLE_ACTIONS[action].question(runtime).version


def everything() -> dict[str, Any]:
    """Return all that an action could change."""
    models = (ReportRun, ReportSchedule, Intervention, ReportChange, LogEntry, SharedState)
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def hold_removals(fakes: FakePorts) -> None:
    """Six of six reports vanish, and discovery holds it."""
    for number in range(6):
        fakes.reports.add(geo_report(str(number)))
    discover(runtime=fakes.runtime(get_settings()))
    fakes.reports.found.clear()
    assert len(discover(runtime=fakes.runtime(get_settings())).held_removals) == 6


def prepared(action: str, fakes: FakePorts) -> tuple[str, dict[str, Any]]:
    """Return the query and the form of an action, after creating the rows that it needs."""
    if action == "removals":
        hold_removals(fakes)
    if action == "resume-all":
        SharedState.objects.record(
            StateName.ALL_PAUSED, now=fakes.clock.now, detail={"actor": "joe", "reason": "Maintenance"}
        )
    if action in WHOLE_ACTIONS:
        return "", confirmation(action)
    row = row_for(action)
    return f"?ids={row.pk}", confirmation(action, row)
