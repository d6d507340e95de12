"""Steps of a worker, for tests of runs."""

from __future__ import annotations

from datetime import timedelta

from report_orchestrator.conf import Settings
from report_orchestrator.models import ReportRun
from report_orchestrator.services.running.poller import poll_due
from report_orchestrator.services.running.worker import advance
from report_orchestrator.testing import FakePorts
from tests.support.settings_factory import SettingsFactory

SETTINGS = SettingsFactory.make(FIREANT_API_KEY="s3cr3t")


def steps_of(run: ReportRun) -> list[tuple[str, int, str]]:
    return list(run.steps.order_by("pk").values_list("step", "attempt", "result"))


def go(run: ReportRun, fakes: FakePorts, settings: Settings = SETTINGS) -> ReportRun:
    advance(run.pk, runtime=fakes.runtime(settings))
    run.refresh_from_db()
    return run


def poll(run: ReportRun, fakes: FakePorts, settings: Settings = SETTINGS) -> ReportRun:
    poll_due(runtime=fakes.runtime(settings), until=fakes.clock.now + timedelta(seconds=1))
    run.refresh_from_db()
    return run
