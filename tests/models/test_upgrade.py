"""A database of version 0.1.0 keeps its rows and its unfinished runs through an upgrade."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import load_backend
from pytest_django import DjangoDbBlocker

from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.services.running.worker import run_due
from report_orchestrator.services.upkeep.tick import tick
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.host.settings import database_config
from tests.support.database_servers import new_databases
from tests.support.settings_factory import SettingsFactory

APP = "report_orchestrator"
VERSION_0_1_0 = (APP, "0001_initial")
HOUR = timedelta(hours=1)
SETTINGS = SettingsFactory.make()


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def empty_database(
    request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> Iterator[BaseDatabaseWrapper]:
    """The default connection, to a new database of its own."""
    tests_own = connections["default"]
    if request.param == "sqlite":
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "upgrade.sqlite3")}
        with django_db_blocker.unblock():
            yield from _as_default({**tests_own.settings_dict, "OPTIONS": {}, **database})
        return
    with (
        new_databases(request.getfixturevalue(f"{request.param}_url"), "upgrade") as [url],
        django_db_blocker.unblock(),
    ):
        yield from _as_default({**tests_own.settings_dict, "OPTIONS": {}, **database_config(url)})


def _as_default(settings: dict[str, Any]) -> Iterator[BaseDatabaseWrapper]:
    tests_own = connections["default"]
    connection: BaseDatabaseWrapper = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, "default")
    connections["default"] = connection
    try:
        yield connection
    finally:
        connection.close()
        connections["default"] = tests_own


def migrate(connection: BaseDatabaseWrapper, target: tuple[str, str]) -> Any:
    """Migrate, and return the models of that state."""
    executor = MigrationExecutor(connection)
    executor.migrate([target])
    return MigrationExecutor(connection).loader.project_state([target]).apps


def fill_0_1_0(connection: BaseDatabaseWrapper, fakes: FakePorts) -> None:
    """One report with a run whose worker was lost, and a run that waits for Fireant's job 77; and a mark."""
    apps = migrate(connection, VERSION_0_1_0)
    schedule = apps.get_model(APP, "ReportSchedule").objects.create(
        report_model=fakes.reports.label,
        report_key="1",
        name="Windstorm accumulation",
        cron="0 * * * *",
        state="active",
        next_run_at=START + HOUR,
        decided_until=START,
        discovered_at=START,
        changed_at=START,
    )
    common = {
        "schedule": schedule,
        "report_key": "1",
        "report_name": "Windstorm accumulation",
        "trigger": "scheduled",
        "run_date": START.date(),
        "created_at": START - HOUR,
        "started_at": START - HOUR,
        "wake_at": START,
        "attempt": 1,
        "version": 1,
    }
    runs = apps.get_model(APP, "ReportRun").objects
    lost = runs.create(scheduled_for=START - HOUR, status="running", worker="lost", **common)
    lost.steps.create(step="report_data", attempt=1, started_at=START - HOUR)
    waiting = runs.create(
        scheduled_for=START,
        status="deferred",
        step="job_completion_status",
        job_kind="geo",
        fireant_job_id="77",
        modifier_key="1",
        **common,
    )
    waiting.steps.create(step="job_completion_status", attempt=1, result="waiting", started_at=START - HOUR)
    apps.get_model(APP, "Mark").objects.create(
        name="discovery", marked_at=START, detail={"examined": 1, "held_removals": 0}
    )


def test_the_rows_of_0_1_0_stay_and_its_unfinished_runs_succeed(
    empty_database: BaseDatabaseWrapper, fakes: FakePorts
) -> None:
    fakes.reports.add(geo_report("1"))
    fakes.fireant.answer("77")
    fakes.jobs.record(report_key="1", modifier_key="1", fireant_job_id="77")
    fill_0_1_0(empty_database, fakes)
    [newest] = MigrationExecutor(empty_database).loader.graph.leaf_nodes(APP)
    migrate(empty_database, newest)

    assert ReportSchedule.objects.get().next_run_at == START + HOUR
    discovery = SharedState.objects.get(name=StateName.DISCOVERY)
    assert (discovery.marked_at, discovery.detail["examined"]) == (START, 1)
    assert list(ReportRun.objects.order_by("pk").values_list("status", "version")) == [("running", 1), ("deferred", 1)]

    fakes.clock.advance(minutes=5)
    until = fakes.clock() + HOUR
    tick(runtime=fakes.runtime(SETTINGS), until=until)
    run_due(None, runtime=fakes.runtime(SETTINGS), until=until)

    statuses = ReportRun.objects.order_by("pk").values_list("status", "fireant_job_id")
    assert list(statuses) == [(Status.SUCCEEDED, "101"), (Status.SUCCEEDED, "77")]
