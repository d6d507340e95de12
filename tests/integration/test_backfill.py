"""Times of the past, run on purpose."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.utils import timezone

from report_orchestrator.domain.runs import Status
from report_orchestrator.exceptions import InvalidReportError, NotPossibleError
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.backfill import (
    Occurrence,
    open_backfill,
    plan_backfill,
    schedules_of,
    span_of_days,
)
from report_orchestrator.services.discovery import discover
from report_orchestrator.services.scheduling import open_due_runs
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.conftest import SettingsFactory

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def hourly(fakes: FakePorts) -> FakePorts:
    fakes.reports.add(geo_report("1"))
    discover(ports=fakes.ports)
    return fakes


def plan(fakes: FakePorts, *, hours: int = 4, reverse: bool = False) -> list[Occurrence]:
    return plan_backfill(
        schedules_of(["1"], fakes.ports),
        since=START - DAY,
        until=START - DAY + timedelta(hours=hours),
        reverse=reverse,
    )


def test_it_runs_the_times_that_the_cron_names_the_first_one_included(hourly: FakePorts) -> None:
    opened = open_backfill(plan(hourly), actor="ann", ports=hourly.ports)
    assert opened.runs == 4
    runs = ReportRun.objects.order_by("scheduled_for").values_list("scheduled_for", "trigger", "triggered_by")
    assert list(runs) == [(START - DAY + timedelta(hours=hour), "backfill", "ann") for hour in range(4)]
    assert len(hourly.queue.rung) == 4


@pytest.mark.parametrize("days", [(date.min, date(2026, 1, 1)), (date(2026, 1, 1), date.max)])
def test_days_that_nobody_can_have_meant_are_refused(days: tuple[date, date]) -> None:
    with pytest.raises(NotPossibleError, match="is more than 10 years away"):
        span_of_days(*days, now=START)


def test_a_span_has_its_last_day_whole_and_no_future() -> None:
    today = START.astimezone(timezone.get_default_timezone()).date()
    since, until = span_of_days(today - 3 * DAY, today - 2 * DAY, now=START)
    assert until - since == 2 * DAY
    assert span_of_days(today, today + DAY, now=START)[1] == START


def test_the_newest_come_first_in_reverse(hourly: FakePorts) -> None:
    assert [one.nominal for one in plan(hourly, reverse=True)] == [
        one.nominal for one in reversed(plan(hourly))
    ]


def test_what_has_run_is_left_out_so_that_a_second_time_goes_on(hourly: FakePorts) -> None:
    planned = plan(hourly)
    open_backfill(planned[:3], actor="ann", ports=hourly.ports)
    assert plan(hourly) == planned[3:]
    assert open_backfill(planned, actor="ann", ports=hourly.ports).runs == 1
    assert ReportRun.objects.count() == 4


def test_a_skipped_time_is_taken_up(hourly: FakePorts) -> None:
    hourly.clock.advance(hours=4)
    open_due_runs(ports=hourly.ports, settings=SettingsFactory.make(MISSED_RUNS="none"))
    skipped = ReportRun.objects.filter(status=Status.SKIPPED).count()
    planned = plan_backfill(schedules_of(["1"], hourly.ports), since=START, until=START + DAY)
    taken_up = [one for one in planned if one.skipped_run is not None]
    assert len(taken_up) == skipped > 0
    open_backfill(taken_up, actor="ann", ports=hourly.ports)
    assert not ReportRun.objects.filter(status=Status.SKIPPED).exists()
    assert ReportRun.objects.filter(trigger="backfill", status=Status.QUEUED).count() == skipped


def test_a_report_without_a_cron_has_nothing_to_backfill(hourly: FakePorts) -> None:
    ReportSchedule.objects.update(cron="")
    with pytest.raises(InvalidReportError, match="has no cron"):
        plan(hourly)


def test_a_report_that_is_not_there_is_named(hourly: FakePorts) -> None:
    with pytest.raises(NotPossibleError, match="no report 99"):
        schedules_of(["1", "99"], hourly.ports)


def test_a_scheduled_tick_does_not_run_a_backfilled_time_again(hourly: FakePorts) -> None:
    hourly.clock.advance(minutes=59)
    planned = plan_backfill(
        schedules_of(["1"], hourly.ports), since=START, until=START + timedelta(hours=1, minutes=1)
    )
    open_backfill(planned, actor="ann", ports=hourly.ports)
    hourly.clock.advance(minutes=2)
    open_due_runs(ports=hourly.ports, settings=SettingsFactory.make(OVERLAP="allow"))
    assert ReportRun.objects.filter(scheduled_for=START + timedelta(hours=1)).count() == 1
