"""Many reports that are due at once send few messages, and all get their runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler

from report_orchestrator import tasks
from report_orchestrator.adapters.queue.django_q import TASKS, DjangoQ
from report_orchestrator.cluster.scheduler_broker import MESSAGES_PER_WORKER, SchedulerBroker
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.timetable.queue_sync import sync_if_stale, sync_schedules
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True)
PIPELINE = SettingsFactory.make(SCHEDULING_APPROACH="pipeline")
MANY = 30


def test_a_burst_sends_few_messages_and_leaves_out_no_report(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "WORKERS", 2)
    fakes.clock.now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
    for number in range(MANY):
        fakes.reports.add(geo_report(str(number)), cron="*/5 * * * *")
    runtime = replace(fakes.runtime(PIPELINE), queue=DjangoQ())
    monkeypatch.setattr(tasks, "get_runtime", lambda: runtime)
    SharedState.objects.record(StateName.SCHEDULING, now=fakes.clock.now)
    discover(runtime=runtime)
    sync_schedules(runtime=runtime)
    fakes.clock.now += timedelta(minutes=10)
    host = Schedule.objects.create(name="host", func="math.floor", args="1.5", next_run=fakes.clock.now)

    scheduler(broker=SchedulerBroker(get_broker()))

    functions = [message.func() for message in OrmQ.objects.all()]
    assert functions.count(f"{TASKS}run_report") == 2 * MESSAGES_PER_WORKER
    assert functions.count(host.func) == 1
    first = ReportSchedule.objects.order_by("pk")[0]
    tasks.run_report(first.pk)
    assert set(ReportRun.objects.values_list("schedule", flat=True)) == set(
        ReportSchedule.objects.values_list("pk", flat=True)
    )
    others = Schedule.objects.filter(func=f"{TASKS}run_report").exclude(args=f"({first.pk},)")
    assert others.update(next_run=fakes.clock.now - timedelta(days=1)) == MANY - 1
    sync_if_stale(runtime=runtime)
    assert not others.filter(next_run__lte=fakes.clock.now).exists()
