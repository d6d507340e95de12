"""Times of the past, run on purpose."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.exceptions import InvalidReportError, NotPossibleError
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling.backfill import (
    Days,
    Occurrence,
    find_schedules,
    open_backfill,
    plan_backfill,
)
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.testing import START, FakePorts, geo_report, make_runtime
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
YESTERDAY = START.date() - DAY


@pytest.fixture
def hourly(fakes: FakePorts) -> FakePorts:
    fakes.reports.add(geo_report("1"))
    discover(runtime=fakes.runtime(get_settings()))
    return fakes


def plan(
    fakes: FakePorts, since: date = YESTERDAY, until: date = YESTERDAY, *, reverse: bool = False
) -> list[Occurrence]:
    days = Days(since=since, until=until, now=fakes.clock())
    return plan_backfill(find_schedules(["1"], fakes.runtime()), days, reverse=reverse)


def test_it_runs_the_times_that_the_cron_names_the_first_one_included(hourly: FakePorts) -> None:
    opened = open_backfill(plan(hourly), actor="ann", runtime=make_runtime(hourly.ports))
    assert opened.runs == 24
    runs = ReportRun.objects.order_by("scheduled_for").values_list("scheduled_for", "trigger", "triggered_by")
    midnight = datetime.combine(YESTERDAY, time(), tzinfo=UTC)
    assert list(runs) == [(midnight + timedelta(hours=hour), "backfill", "ann") for hour in range(24)]
    assert len(hourly.queue.notified) == 24


@pytest.mark.parametrize("days", [(date.min, date(2026, 1, 1)), (date(2026, 1, 1), date.max)])
def test_days_that_nobody_can_have_meant_are_refused(days: tuple[date, date]) -> None:
    with pytest.raises(NotPossibleError, match="is more than 10 years away"):
        Days(since=days[0], until=days[1], now=START)


def test_the_last_day_is_whole_and_no_future_is_planned(hourly: FakePorts) -> None:
    today = START.date()
    assert len(plan(hourly, today - 3 * DAY, today - 2 * DAY)) == 48
    assert len(plan(hourly, today, today + DAY)) == START.hour


@pytest.mark.parametrize(
    ("cron", "zone", "now", "days", "times"),
    [
        ("0 6 * * *", "Pacific/Auckland", (2026, 11, 28), ("11-20", "11-21"), ["11-19 17:00", "11-20 17:00"]),
        ("30 6 * * *", "Pacific/Kiritimati", (2026, 7, 10), ("07-01", "07-02"), ["06-30 16:30", "07-01 16:30"]),
        ("0 6 * * *", "", (2026, 7, 10), ("07-01", "07-02"), ["07-01 06:00", "07-02 06:00"]),
        # the clock goes from Saturday 23:00 to Sunday 00:00
        ("30 23 * * *", "America/Nuuk", (2026, 4, 10), ("03-28", "03-28"), ["03-29 01:00"]),
        ("30 23 * * *", "America/Nuuk", (2026, 4, 10), ("03-29", "03-29"), ["03-30 00:30"]),
        ("0 0 * * *", "America/Nuuk", (2026, 4, 10), ("03-28", "03-28"), ["03-28 02:00"]),
        ("0 0 * * *", "America/Nuuk", (2026, 4, 10), ("03-29", "03-29"), ["03-29 01:00"]),
        ("0 0 * * *", "Africa/Cairo", (2026, 5, 10), ("04-24", "04-24"), ["04-23 22:00"]),
        ("30 23 * * *", "Africa/Cairo", (2026, 5, 10), ("04-23", "04-23"), ["04-23 21:30"]),
    ],
)
def test_days_are_days_of_the_reports_zone(
    fakes: FakePorts, cron: str, zone: str, now: tuple[int, int, int], days: tuple[str, str], times: list[str]
) -> None:
    fakes.clock.now = datetime(*now, tzinfo=UTC)
    fakes.reports.add(geo_report("1"), cron=cron, timezone=zone)
    discover(runtime=fakes.runtime(get_settings()))
    since, until = (date.fromisoformat(f"2026-{day}") for day in days)
    planned = plan(fakes, since, until)
    assert [f"{one.scheduled_for:%m-%d %H:%M}" for one in planned] == times
    assert {one.run_date for one in planned} == {since, until}


def test_the_newest_come_first_in_reverse(hourly: FakePorts) -> None:
    assert [one.scheduled_for for one in plan(hourly, reverse=True)] == [
        one.scheduled_for for one in reversed(plan(hourly))
    ]


def test_what_has_run_is_left_out_so_that_a_second_time_goes_on(hourly: FakePorts) -> None:
    planned = plan(hourly)
    open_backfill(planned[:3], actor="ann", runtime=make_runtime(hourly.ports))
    assert plan(hourly) == planned[3:]
    assert open_backfill(planned, actor="ann", runtime=make_runtime(hourly.ports)).runs == 21
    assert ReportRun.objects.count() == 24


def test_a_skipped_time_is_taken_up(hourly: FakePorts) -> None:
    hourly.clock.advance(hours=4)
    open_due_runs(runtime=make_runtime(hourly.ports, SettingsFactory.make(MISSED_RUNS="none")))
    skipped = ReportRun.objects.filter(status=Status.SKIPPED).count()
    planned = plan(hourly, START.date(), START.date())
    taken_up = [one for one in planned if one.skipped_run is not None]
    assert len(taken_up) == skipped > 0
    open_backfill(taken_up, actor="ann", runtime=make_runtime(hourly.ports))
    assert not ReportRun.objects.filter(status=Status.SKIPPED).exists()
    assert ReportRun.objects.filter(trigger="backfill", status=Status.QUEUED).count() == skipped


def test_a_report_without_a_cron_has_nothing_to_backfill(hourly: FakePorts) -> None:
    ReportSchedule.objects.update(cron="")
    with pytest.raises(InvalidReportError, match="has no cron"):
        plan(hourly)


def test_a_report_that_is_not_there_is_named(hourly: FakePorts) -> None:
    with pytest.raises(NotPossibleError, match="Report 99 does not exist"):
        find_schedules(["1", "99"], make_runtime(hourly.ports))


def test_a_scheduled_tick_does_not_run_a_backfilled_time_again(hourly: FakePorts) -> None:
    hourly.clock.advance(minutes=59)
    hourly.clock.advance(minutes=2)
    open_backfill(plan(hourly, START.date(), START.date()), actor="ann", runtime=make_runtime(hourly.ports))
    open_due_runs(runtime=make_runtime(hourly.ports, SettingsFactory.make(OVERLAP="allow")))
    assert ReportRun.objects.filter(scheduled_for=START + timedelta(hours=1)).count() == 1


def test_the_record_of_many_times_moves_on_to_those_that_are_left(fakes: FakePorts) -> None:
    fakes.clock.now = datetime(2026, 7, 1, 5, tzinfo=UTC)
    fakes.reports.add(geo_report("1"), cron="0 6 * * *")
    discover(runtime=fakes.runtime(get_settings()))
    fakes.clock.now = datetime(2026, 7, 20, 5, 30, tzinfo=UTC)
    open_due_runs(runtime=fakes.runtime())

    def backfill(first: int, last: int) -> None:
        open_backfill(
            plan(fakes, date(2026, 7, first), date(2026, 7, last)), actor="ann", runtime=make_runtime(fakes.ports)
        )

    def records() -> list[tuple[int, str]]:
        skips = ReportRun.objects.filter(status=Status.SKIPPED).order_by("scheduled_for")
        return [(at.day, error) for at, error in skips.values_list("scheduled_for", "error")]

    [(day, error)] = records()
    assert (day, "2026-07-19" in error) == (1, True)
    backfill(1, 1)
    assert records() == [(2, error)]
    backfill(5, 5)
    backfill(2, 4)
    assert records() == [(6, error)]
    backfill(6, 18)
    assert records() == []
    assert ReportRun.objects.count() == 19
