"""Writes of many reports take time in proportion: no statement names each row for each of its fields."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from report_orchestrator.adapters.queue.django_q import DjangoQ
from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportSchedule
from report_orchestrator.ports import QueueSchedule
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling.clock_leaps import follow_clock
from report_orchestrator.services.scheduling.open_due_runs import MOST_UPDATES, open_due_runs
from report_orchestrator.services.scheduling.pausing import pause, resume
from report_orchestrator.services.scheduling.scheduling_start import schedule_from_now
from report_orchestrator.services.scheduling.switch import switch_to_shadow
from report_orchestrator.testing import START, FakePorts, geo_report

pytestmark = pytest.mark.django_db
KEYS = [str(number) for number in range(1, MOST_UPDATES + 10)]


def _pause_and_resume(fakes: FakePorts) -> None:
    for change in (pause, resume):
        assert len(change(KEYS, actor="ann", reason="", runtime=fakes.runtime())) == len(KEYS)
    assert ReportSchedule.objects.filter(next_run_at__gt=START, pause_reason="").count() == len(KEYS)


def _switch(fakes: FakePorts) -> None:
    switch_to_shadow(None, actor="ann", runtime=fakes.runtime())
    assert ReportSchedule.objects.filter(live_until=START).count() == len(KEYS)


def _open_due_runs(fakes: FakePorts) -> None:
    now = fakes.clock.advance(hours=25)
    assert open_due_runs(runtime=fakes.runtime()).runs == len(KEYS)
    assert ReportSchedule.objects.filter(decided_until=now, next_run_at__gt=now).count() == len(KEYS)


def _schedule_from_now(fakes: FakePorts) -> None:
    now = fakes.clock.advance(hours=25)
    schedule_from_now(actor="ann", runtime=fakes.runtime())
    assert ReportSchedule.objects.filter(decided_until=now, next_run_at__gt=now).count() == len(KEYS)


def _undo_a_leap(fakes: FakePorts) -> None:
    follow_clock(runtime=fakes.runtime())
    fakes.clock.advance(days=30)
    open_due_runs(runtime=fakes.runtime())
    now = fakes.clock.advance(days=-29)
    follow_clock(runtime=fakes.runtime())
    assert ReportSchedule.objects.filter(next_run_at__lte=now).count() == len(KEYS)


def _sync_the_queue(fakes: FakePorts) -> None:
    for cron in ("0 * * * *", "5 * * * *"):
        synced = DjangoQ().sync_schedules(
            QueueSchedule(name=key, task="report_orchestrator.tasks.run_report", args=(int(key),), cron=cron)
            for key in KEYS
        )
    assert len(synced.updated) == len(KEYS)


@pytest.mark.parametrize(
    "write", [_pause_and_resume, _switch, _open_due_runs, _schedule_from_now, _undo_a_leap, _sync_the_queue]
)
def test_no_statement_names_each_row_for_each_field(fakes: FakePorts, write: Callable[[FakePorts], None]) -> None:
    for key in KEYS:
        fakes.reports.add(geo_report(key), cron=f"{key} 0 * * *")
    discover(runtime=fakes.runtime(get_settings()))
    with CaptureQueriesContext(connection) as statements:
        write(fakes)
    assert [statement["sql"][:100] for statement in statements if "CASE WHEN" in statement["sql"]] == []


def test_a_leap_is_undone_only_after_all_its_reports_are_locked_in_the_order_of_their_keys(fakes: FakePorts) -> None:
    """An UPDATE locks its rows in any order, and two of them may deadlock."""
    for key in KEYS:
        fakes.reports.add(geo_report(key), cron=f"{key} 0 * * *")
    discover(runtime=fakes.runtime(get_settings()))
    with CaptureQueriesContext(connection) as statements:
        _undo_a_leap(fakes)
    table = ReportSchedule._meta.db_table
    ahead = [sql for statement in statements if f'"{table}"."decided_until" >' in (sql := statement["sql"])]
    assert ahead[0].startswith("SELECT")
    assert ahead[0].endswith("ORDER BY 1 ASC")  # the only column is the key
