"""Rows at which Django-Q's scheduler fails are told from those that it reads or skips, by its own verdict."""

from __future__ import annotations

from datetime import timedelta

import django_q.brokers
import pytest
from django.utils import timezone
from django_q.models import Schedule
from django_q.scheduler import scheduler

from report_orchestrator.adapters.queue.unreadable_rows import probe_schedules
from report_orchestrator.exceptions import ConfigurationError

pytestmark = pytest.mark.django_db(transaction=True)


def scheduler_fails(caplog: pytest.LogCaptureFixture) -> bool:
    caplog.clear()
    scheduler(broker=django_q.brokers.get_broker())
    return "Could not create task from schedule" in caplog.text


def host_row(**columns: object) -> None:
    given = {"schedule_type": Schedule.DAILY, "next_run": timezone.now() - timedelta(days=1)}
    row = Schedule.objects.create(name="nightly\x1b[2J", func="math.floor", **given)
    Schedule.objects.filter(pk=row.pk).update(**columns)


@pytest.mark.parametrize(
    ("columns", "column"),
    [
        ({"args": "('hunter22'"}, "args"),
        ({"args": "(hunter22,)"}, "args"),
        ({"kwargs": "'hunter22'"}, "kwargs"),
        ({"kwargs": "{'q_options': 'hunter22'}"}, "kwargs"),
        ({"schedule_type": Schedule.CRON, "cron": "61 * * * *"}, "cron"),
        ({"schedule_type": "?"}, "schedule_type"),
    ],
)
def test_a_row_at_which_the_queues_scheduler_fails_is_named_without_its_values(
    columns: dict[str, str], column: str, caplog: pytest.LogCaptureFixture
) -> None:
    host_row(**columns)
    assert scheduler_fails(caplog)
    with pytest.raises(ConfigurationError, match=r"cannot read") as raised:
        probe_schedules()
    assert rf"'nightly\u001b[2J' ({column})" in raised.value.message
    assert "hunter22" not in raised.value.message


@pytest.mark.parametrize(
    "columns",
    [
        {"args": "1.5"},
        {"args": ""},
        {"kwargs": "x=1"},
        {"kwargs": "{'x': 1, 'q_options': {'timeout': 5}}"},
        {"kwargs": "("},
        {"args": "(", "repeats": 0},
        {"args": "(", "next_run": None},
    ],
)
def test_a_row_that_the_queues_scheduler_reads_or_skips_is_well(
    columns: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    host_row(**columns)
    assert not scheduler_fails(caplog)
    assert probe_schedules().detail.startswith("readable rows")


def test_of_many_unreadable_rows_the_first_are_named() -> None:
    for _ in range(7):
        host_row(args="(")
    with pytest.raises(ConfigurationError, match="and 2 more") as raised:
        probe_schedules()
    assert raised.value.message.count("(args)") == 5
