"""A dashboard's values and rows, for its tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun, SharedState
from report_orchestrator.services.monitoring.dashboard import Dashboard, read_dashboard
from tests.support.admin_pages import make_run

NOW = datetime(2026, 7, 1, 9, 0, 30, tzinfo=UTC)
QUERIES_AT_MOST = 12 + (connection.vendor != "sqlite")  # a server is also asked for its clock
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SignIn = Callable[..., Client]


def dashboard_address() -> str:
    return reverse("admin:app_list", args=["report_orchestrator"])


def clock(at: datetime) -> str:
    """A time of day in the host's zone."""
    return f"{at.astimezone(timezone.get_default_timezone()):%H:%M}"


def picture(now: datetime = NOW, settings: Settings | None = None) -> Dashboard:
    return read_dashboard(now, ZoneInfo("UTC"), settings or get_settings(), report_model="api.Report")


def work_was_done(now: datetime) -> None:
    for name in ("tick", "bell: report_orchestrator.tasks.tick"):
        SharedState.objects.record(name, now=now)


def due_run(ago: timedelta, status: Status = Status.SUCCEEDED, **given: Any) -> ReportRun:
    at = NOW - ago
    return make_run(status=status, scheduled_for=at, created_at=at, started_at=at, **given)


def failed_run(ago: timedelta, code: str, step: Step, error: str = "") -> ReportRun:
    return due_run(ago, Status.FAILED, step=step.value, error_code=code, error=error, ended_at=NOW - ago + MINUTE)
