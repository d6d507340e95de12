"""Rows for the services to work on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.opening import open_manual_run
from report_orchestrator.testing import FakePorts, geo_report

NewRun = Callable[[], ReportRun]


@pytest.fixture
def new_run(fakes: FakePorts, db: None) -> NewRun:
    """Opens manual runs of one good report, which the host has and discovery has seen."""
    fakes.reports.add(geo_report("1"))
    discover(ports=fakes.ports)

    def open_one() -> ReportRun:
        schedule = ReportSchedule.objects.get(report_key="1")
        return open_manual_run(schedule, run_date=None, asked_by="test", ports=fakes.ports)

    return open_one
