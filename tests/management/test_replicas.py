"""A host whose router reads from replicas: nothing of ours is read where it is not yet written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connections
from django.test import Client
from pytest_django import Settings as DjangoSettings

from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.testing import FakeClock
from tests.host.api.models import Job, Report, ReportModifier
from tests.host.routers import ReportsRouter
from tests.support.commands import manage
from tests.support.seeded_host import WINDSTORM, a_worker_works, change, id_of, sleep_is

if TYPE_CHECKING:
    from django.db.models import Model

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

REPLICA = "replica"


class ReplicaRouter(ReportsRouter):
    """Reads our tables, the queue's, modifiers and jobs from a replica that has received nothing yet, not even tables."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        lags = model._meta.app_label in {"report_orchestrator", "django_q"} or model in (Job, ReportModifier)
        return REPLICA if lags else super().db_for_read(model, **hints)

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool:
        return True


@pytest.fixture(autouse=True)
def _replica(clock: FakeClock, settings: DjangoSettings) -> Iterator[None]:
    settings.DATABASE_ROUTERS = [ReplicaRouter()]
    connections.settings[REPLICA] = {
        **connections.settings["default"],
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "OPTIONS": {},
    }
    yield
    connections[REPLICA].close()
    del connections[REPLICA]
    del connections.settings[REPLICA]


def test_a_run_of_all_steps_succeeds_before_the_command_ends() -> None:
    answer = manage("run_report", id_of(WINDSTORM), "--now")
    assert (answer.status, "succeeded" in answer.out) == (0, True)
    assert ReportRun.objects.get().status == Status.SUCCEEDED
    assert Job.objects.using("reports").count() == 1


def test_a_run_is_watched_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep_is(a_worker_works(), monkeypatch)
    answer = manage("run_report", id_of(WINDSTORM), "--wait")
    assert (answer.status, "succeeded" in answer.out) == (0, True)


def test_reports_of_one_date_share_one_modifier() -> None:
    ReportModifier.objects.using("reports").all().delete()
    keys = list(
        Report.objects.filter(name__in=[WINDSTORM, "Terrorism live watch Manhattan"]).values_list("pk", flat=True)
    )
    assert manage("run_report", *keys, "--now").status == 0
    modifier = ReportModifier.objects.using("reports").get()
    assert set(modifier.reports.using("reports").values_list("pk", flat=True)) == set(keys)


@pytest.mark.parametrize("approach", ["sensor", "schedule", "pipeline"])
def test_reports_are_discovered_scheduled_and_run(approach: str, clock: FakeClock, settings: DjangoSettings) -> None:
    change(settings, SCHEDULING_APPROACH=approach)
    assert manage("discover_reports").status == 0
    clock.advance(minutes=61)
    assert manage("run_due_reports", "--now").status in {0, 1}  # one of the seeded reports fails on purpose
    assert manage("orchestrator_status").status == 0
    assert ReportRun.objects.filter(trigger="scheduled", status=Status.SUCCEEDED).exists()


def test_commands_of_operators_see_what_they_wrote() -> None:
    manage("discover_reports")
    key = id_of(WINDSTORM)
    assert manage("pause_reports", key, "--reason", "wrong treaty").status == 0
    assert ReportSchedule.objects.get(report_key=key).paused_at is not None
    assert manage("resume_reports", "--reason", "tests", key).status == 0
    assert manage("sync_schedules").status == 0
    assert manage("orchestrator_doctor").out


def test_the_admin_shows_rows_that_were_just_written(admin_client: Client) -> None:
    manage("run_report", id_of(WINDSTORM), "--now")
    run = ReportRun.objects.get()
    for page in (
        "",
        "reportrun/",
        f"reportrun/{run.pk}/change/",
        "reportschedule/",
        f"reportschedule/{run.schedule_id}/change/",
    ):
        assert admin_client.get(f"/admin/report_orchestrator/{page}").status_code == 200


def test_related_rows_and_reloads_are_read_from_the_primary() -> None:
    manage("run_report", id_of(WINDSTORM), "--now")
    run = ReportRun.objects.get()
    run.refresh_from_db()
    assert (run.schedule.name, run.steps.count(), bool(run.payload.body)) == (WINDSTORM, 5, True)


def test_a_run_that_was_deleted_meanwhile_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def delete(_seconds: float) -> None:
        ReportRun.objects.all().delete()

    sleep_is(delete, monkeypatch)
    answer = manage("run_report", id_of(WINDSTORM), "--wait")
    assert answer.status == 1
    assert "Deleted before it ended, so its result is unknown: run " in answer.err


def test_a_save_in_the_project_is_noticed() -> None:
    manage("discover_reports")
    report = Report.objects.get(name=WINDSTORM)
    report.cron = "5 5 * * *"
    report.save()
    assert manage("discover_reports").status == 0
    assert ReportSchedule.objects.get(report_key=report.pk).cron == "5 5 * * *"
