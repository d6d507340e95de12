"""Create rows for the admin's pages, and read a page's text."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from django.contrib.auth.models import Permission
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from report_orchestrator.domain.runs import ENDED, Status, StepResult, Trigger
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, RunPayload, RunStep, ScheduleState
from report_orchestrator.models.changes import ChangeKind, ChangeSource

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


MODELS = [ReportSchedule, ReportRun, ReportChange]


HOSTILE = """O'Neil "the" <script>alert(1)</script> & 🌊 Überflutung"""


Page: TypeAlias = Literal["changelist", "change", "add", "delete", "history"]


numbers = itertools.count(1)


def make_schedule(**given: Any) -> ReportSchedule:
    number = next(numbers)
    defaults = {
        "report_model": "api.Report",
        "report_key": f"key-{number}",
        "name": f"Report {number}",
        "cron": "0 6 * * *",
        "state": ScheduleState.ACTIVE,
        "next_run_at": NOW + timedelta(hours=1) if given.get("state", "active") == "active" else None,
        "decided_until": NOW,
        "discovered_at": NOW,
        "changed_at": NOW,
    }
    return ReportSchedule.objects.create(**defaults | given)


def make_run(schedule: ReportSchedule | None = None, **given: Any) -> ReportRun:
    schedule = schedule or make_schedule()
    status = Status(given.get("status", Status.SUCCEEDED))
    defaults = {
        "schedule": schedule,
        "report_key": schedule.report_key,
        "report_name": schedule.name,
        "trigger": Trigger.SCHEDULED.value,
        "scheduled_for": NOW + timedelta(minutes=next(numbers)),
        "run_date": NOW.date(),
        "status": status.value,
        "wake_at": None if status in ENDED else NOW,
        "ended_at": NOW + timedelta(seconds=90) if status in ENDED else None,
        "worker": "a lease" if status is Status.RUNNING else "",
        "created_at": NOW,
        "started_at": NOW,
    }
    return ReportRun.objects.create(**defaults | given)


def make_step(run: ReportRun, **given: Any) -> RunStep:
    defaults = {
        "run": run,
        "step": run.step,
        "attempt": 1,
        "result": StepResult.COMPLETED.value,
        "started_at": NOW,
        "ended_at": NOW + timedelta(seconds=2),
    }
    return RunStep.objects.create(**defaults | given)


def seconds(count: float) -> datetime:
    return NOW + timedelta(seconds=count)


def make_change(schedule: ReportSchedule | None = None, **given: Any) -> ReportChange:
    defaults = {
        "schedule": schedule or make_schedule(),
        "kind": ChangeKind.RETIMED,
        "before": {"cron": "0 6 * * *"},
        "after": {"cron": "0 7 * * *"},
        "source": ChangeSource.DISCOVERY,
        "noticed_at": NOW,
    }
    return ReportChange.objects.create(**defaults | given)


def make_row(model: type[Model]) -> Model:
    """Create a row of any of our models, with the related rows of its page."""
    schedule = make_schedule()
    run, change = make_run(schedule), make_change(schedule)
    make_step(run)
    RunPayload.objects.create(run=run, body={"name": "Windstorm"})
    return next(row for row in (schedule, run, change) if isinstance(row, model))


def address(model: type[Model], page: Page, *args: Any) -> str:
    return reverse(f"admin:report_orchestrator_{model._meta.model_name}_{page}", args=args)


def page_of(run: ReportRun) -> str:
    return address(ReportRun, "change", run.pk)


def text_of(response: Any) -> str:
    assert response.status_code == HTTPStatus.OK, response.status_code
    return str(response.content.decode())


def words_of(response: Any) -> str:
    """Return the text of a page without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", text_of(response)).split())


def permissions(*actions: str) -> list[Permission]:
    names = [f"{action}_{model._meta.model_name}" for action in actions for model in MODELS]
    return list(Permission.objects.filter(codename__in=names))


def listed(viewer: Client, model: type[Model], **query: str) -> list[Any]:
    """Return the rows of a list page in their order, or the only match of a search, which opens itself."""
    response = viewer.get(address(model, "changelist"), query)
    if response.status_code == HTTPStatus.FOUND:
        return [model._default_manager.get(pk=response.headers["Location"].split("/")[-3])]
    assert response.status_code == HTTPStatus.OK
    assert response.context is not None
    return list(response.context["cl"].result_list)
