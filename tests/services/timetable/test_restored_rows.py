"""Rows of Django-Q's table that somebody deleted, damaged or doubled are right again within a minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django_q.models import Schedule

from report_orchestrator.adapters.queue.django_q import TASKS, DjangoQ
from report_orchestrator.conf import Settings
from report_orchestrator.models import SharedState, StateName
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.timetable.queue_sync import CHECK_EVERY, sync_if_stale, sync_schedules
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
SENSOR = SettingsFactory.make()
SCHEDULE = SettingsFactory.make(SCHEDULING_APPROACH="schedule", SCHEDULE_CRON_EXPRESSION="5 * * * *")
PIPELINE = SettingsFactory.make(SCHEDULING_APPROACH="pipeline")
Columns = tuple[object, ...]
HOSTS = "host's backup"


def ours() -> list[Columns]:
    columns = ("func", "args", "kwargs", "hook", "schedule_type", "minutes", "cron", "repeats", "cluster")
    return list(Schedule.objects.filter(func__startswith=TASKS).order_by("name").values_list("name", *columns))


def delete_all() -> None:
    Schedule.objects.filter(func__startswith=TASKS).delete()


def delete_last() -> None:
    Schedule.objects.filter(func__startswith=TASKS).order_by("-name")[0].delete()


def spoil(**columns: object) -> Callable[[], None]:
    def update() -> None:
        last = Schedule.objects.filter(func__startswith=TASKS).order_by("-pk")[0]
        Schedule.objects.filter(pk=last.pk).update(**columns)

    return update


def double() -> None:
    row = Schedule.objects.filter(func__startswith=TASKS).order_by("name")[0]
    row.pk = None
    row.save()


@pytest.fixture(params=[SENSOR, SCHEDULE, PIPELINE], ids=["sensor", "schedule", "pipeline"])
def runtime(request: pytest.FixtureRequest, fakes: FakePorts) -> Runtime:
    settings: Settings = request.param
    for key in ("1", "2"):
        fakes.reports.add(geo_report(key))
    runtime = replace(fakes.runtime(settings), queue=DjangoQ())
    Schedule.objects.create(name=HOSTS, func="host.tasks.backup", args="(", next_run=START)
    discover(runtime=runtime)
    sync_schedules(runtime=runtime)
    sync_if_stale(runtime=runtime)
    return runtime


@pytest.mark.parametrize(
    "damage",
    [
        delete_all,
        delete_last,
        double,
        spoil(args="("),
        spoil(kwargs="5"),
        spoil(func="host.tasks.other"),
        spoil(repeats=0),
        spoil(hook="host.tasks.hook"),
        spoil(cluster="elsewhere"),
        spoil(schedule_type=Schedule.ONCE),
    ],
    ids=["all", "one", "doubled", "args", "kwargs", "func", "repeats", "hook", "cluster", "type"],
)
def test_they_are_right_again_after_a_minute(runtime: Runtime, fakes: FakePorts, damage: Callable[[], None]) -> None:
    before = ours()
    damage()
    assert ours() != before
    fakes.clock.advance(seconds=CHECK_EVERY.total_seconds() - 1)
    assert sync_if_stale(runtime=runtime) is None
    fakes.clock.advance(seconds=1)
    synced = sync_if_stale(runtime=runtime)
    assert synced is not None
    assert synced.changed
    assert ours() == before
    assert Schedule.objects.get(name=HOSTS).args == "("


@pytest.mark.parametrize("columns", [{"minutes": 900}, {"next_run": None}])
@pytest.mark.parametrize("runtime", [SENSOR], indirect=True)
def test_an_edited_interval_is_undone_too(runtime: Runtime, fakes: FakePorts, columns: dict[str, object]) -> None:
    before = ours()
    spoil(**columns)()
    fakes.clock.advance(seconds=60)
    assert sync_if_stale(runtime=runtime) is not None
    assert ours() == before
    assert not Schedule.objects.filter(func__startswith=TASKS, next_run=None).exists()


def test_a_table_that_is_right_costs_one_statement_and_a_few_once_a_minute(runtime: Runtime, fakes: FakePorts) -> None:
    counts = []
    for _ in range(3):
        with CaptureQueriesContext(connections["default"]) as captured:
            assert sync_if_stale(runtime=runtime) is None
        counts.append(len(captured))
        fakes.clock.advance(seconds=30)
    assert counts[:2] == [1, 1]
    assert 1 < counts[2] < 10


def test_of_many_clusters_one_checks(runtime: Runtime, fakes: FakePorts) -> None:
    stale = SharedState.objects.get(name=StateName.SCHEDULES)
    fakes.clock.advance(seconds=60)
    sync_if_stale(runtime=runtime)
    delete_all()
    assert SharedState.objects.get(name=StateName.SCHEDULES).due_at == fakes.clock.now + CHECK_EVERY
    assert stale.due_at is not None
    assert sync_if_stale(runtime=runtime) is None
    assert ours() == []


def test_after_a_clock_was_set_back_the_check_does_not_wait_for_it(runtime: Runtime, fakes: FakePorts) -> None:
    before = ours()
    delete_all()
    fakes.clock.now -= timedelta(days=2)
    assert sync_if_stale(runtime=runtime) is not None
    assert ours() == before
