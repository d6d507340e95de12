"""Due times become runs, once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from report_orchestrator import signals
from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.exceptions import InvalidReportError, NotPossibleError, ReportNotFoundError
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling.create_runs import Created, open_manual_run
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
SETTINGS = SettingsFactory.make()


def discovered(fakes: FakePorts, cron: str = "*/10 * * * *", **summary: object) -> ReportSchedule:
    fakes.reports.add(geo_report("1"), cron=cron, **summary)
    discover(runtime=fakes.runtime(get_settings()))
    return ReportSchedule.objects.get(report_key="1")


def tick(fakes: FakePorts, settings: Settings = SETTINGS) -> Created:
    return open_due_runs(runtime=fakes.runtime(settings))


def times(*statuses: Status) -> list[datetime]:
    runs = ReportRun.objects.filter(status__in=statuses).order_by("scheduled_for")
    return list(runs.values_list("scheduled_for", flat=True))


def minutes(*after: float) -> list[datetime]:
    return [START + timedelta(minutes=minute) for minute in after]


def test_nothing_is_due_before_its_time(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(minutes=9, seconds=59)
    assert tick(fakes).runs == 0


def test_a_due_time_becomes_one_run_however_often_it_is_requested(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(minutes=10)
    assert [tick(fakes).runs for _ in range(3)] == [1, 0, 0]
    run = ReportRun.objects.get()
    assert (run.scheduled_for, run.status, run.trigger) == (
        START + timedelta(minutes=10),
        Status.QUEUED,
        Trigger.SCHEDULED,
    )
    assert fakes.queue.notified == [run.pk]


def test_the_database_refuses_a_second_run_of_one_time(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(minutes=10)
    tick(fakes)
    run = ReportRun.objects.get()
    run.pk, run.reference = None, uuid4()
    with pytest.raises(IntegrityError), transaction.atomic():
        run.save(force_insert=True)


def test_after_an_outage_the_latest_missed_time_runs_and_the_others_are_recorded(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(minutes=45)
    opened = tick(fakes)
    assert (opened.runs, opened.skipped) == (1, 3)
    assert times(Status.QUEUED) == minutes(40)
    assert times(Status.SKIPPED) == minutes(10, 20, 30)
    assert ReportRun.objects.filter(status=Status.SKIPPED).first().error_code == "missed"  # type: ignore[union-attr]


@pytest.mark.parametrize(("policy", "run", "skipped"), [("all", [10, 20, 30, 40], []), ("none", [], [10, 20, 30, 40])])
def test_the_policy_says_which_missed_times_run(
    fakes: FakePorts, policy: str, run: list[float], skipped: list[float]
) -> None:
    discovered(fakes)
    fakes.clock.advance(minutes=45)
    tick(fakes, SettingsFactory.make(MISSED_RUNS=policy))
    assert times(Status.QUEUED) == minutes(*run)
    assert times(Status.SKIPPED) == minutes(*skipped)


def test_all_times_within_the_window_of_the_schedule_approach_run(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(minutes=60)
    tick(fakes, SettingsFactory.make(SCHEDULING_APPROACH="schedule"))
    assert times(Status.QUEUED) == minutes(10, 20, 30, 40, 50, 60)


def test_the_lookback_bounds_what_is_caught_up(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(days=3)
    tick(fakes, SettingsFactory.make(MAX_LOOKBACK_SECONDS=3600))
    within = ReportRun.objects.exclude(error_code="beyond_lookback")
    assert within.count() == 6
    assert all(run.scheduled_for > fakes.clock.now - timedelta(hours=1) for run in within)


def test_times_beyond_the_lookback_are_recorded_by_one_skip_that_stands_for_all_of_them(
    fakes: FakePorts, django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]]
) -> None:
    reported: list[tuple[str, dict[str, object]]] = []

    def listen(*, event: str, fields: dict[str, object], **_kwargs: object) -> None:
        reported.append((event, fields))

    discovered(fakes)
    fakes.clock.advance(days=3)
    signals.schedule_event.connect(listen)
    with django_capture_on_commit_callbacks(execute=True):
        tick(fakes, SettingsFactory.make(MAX_LOOKBACK_SECONDS=3600))
        tick(fakes, SettingsFactory.make(MAX_LOOKBACK_SECONDS=3600))
    signals.schedule_event.disconnect(listen)
    skipped = ReportRun.objects.get(error_code="beyond_lookback")
    assert (skipped.status, skipped.scheduled_for) == (Status.SKIPPED, START + timedelta(minutes=10))
    last = datetime(2026, 7, 4, 11, 0, tzinfo=UTC).astimezone(ZoneInfo(settings.TIME_ZONE))
    assert f"from this time until {last:%Y-%m-%d %H:%M %Z}," in skipped.error
    assert reported == [
        (
            "times_beyond_lookback",
            {
                "report": "report 1 (Windstorm accumulation)",
                "since": (START + timedelta(minutes=10)).isoformat(),
                "until": (fakes.clock.now - timedelta(hours=1)).isoformat(),
            },
        )
    ]


def test_times_that_fall_on_the_edge_of_the_lookback_are_reported_once(fakes: FakePorts) -> None:
    """Every time in (last decision, now] is a row of its own, or is covered by the row of the oldest times."""
    discovered(fakes)
    fakes.clock.advance(hours=2)
    tick(fakes, SettingsFactory.make(MAX_LOOKBACK_SECONDS=3600))
    assert times(Status.SKIPPED, Status.QUEUED) == minutes(10, 70, 80, 90, 100, 110, 120)


def test_a_clock_that_was_set_back_opens_nothing_twice(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(minutes=10)
    tick(fakes)
    fakes.clock.advance(hours=-1)
    tick(fakes)
    fakes.clock.advance(hours=1)
    tick(fakes)
    assert times(Status.QUEUED) == minutes(10)


def test_an_edited_cron_never_fires_for_times_before_the_edit(fakes: FakePorts) -> None:
    discovered(fakes, cron="0 18 * * *")
    fakes.clock.advance(minutes=25)
    fakes.reports.change("1", cron="*/10 * * * *")
    discover(runtime=fakes.runtime(get_settings()))
    tick(fakes)
    assert times(Status.QUEUED) == []
    fakes.clock.advance(minutes=5)
    tick(fakes)
    assert times(Status.QUEUED) == minutes(30)


def test_the_run_date_is_the_date_in_the_reports_own_zone(fakes: FakePorts) -> None:
    discovered(fakes, cron="30 0 * * *", timezone="Pacific/Auckland")
    fakes.clock.advance(minutes=30)
    tick(fakes)
    run = ReportRun.objects.get()
    assert (run.scheduled_for, run.run_date) == (fakes.clock.now, date(2026, 7, 2))


def test_a_broken_row_sets_only_its_own_report_aside(fakes: FakePorts) -> None:
    broken = discovered(fakes)
    fakes.reports.add(geo_report("2"), cron="*/10 * * * *")
    discover(runtime=fakes.runtime(get_settings()))
    ReportSchedule.objects.filter(pk=broken.pk).update(cron="nonsense")
    fakes.clock.advance(minutes=10)
    assert tick(fakes).runs == 1
    broken.refresh_from_db()
    assert (broken.state, broken.problem_code) == (ScheduleState.QUARANTINED, "invalid_cron")
    change = ReportChange.objects.get(kind=ChangeKind.QUARANTINED)
    assert (change.schedule, change.source) == (broken, ChangeSource.TICK)
    assert change.after == {"problem_code": "invalid_cron", "problem": broken.problem}
    assert ReportRun.objects.get().report_key == "2"


def test_more_reports_than_a_batch_are_all_decided(fakes: FakePorts) -> None:
    for number in range(1, 1203):
        fakes.reports.add(geo_report(str(number)), cron="*/10 * * * *")
    discover(runtime=fakes.runtime(get_settings()))
    fakes.clock.advance(minutes=10)
    assert tick(fakes).runs == 1202
    assert len(fakes.queue.notified) == 24  # a few messages for each batch: a notified worker goes on with the rest


@pytest.mark.parametrize("day", [date.min, date(2015, 12, 31), date(2037, 1, 1), date.max])
def test_a_date_that_must_be_a_typing_error_creates_nothing(fakes: FakePorts, day: date) -> None:
    schedule = discovered(fakes)
    with pytest.raises(NotPossibleError, match=f"{day} is more than 10 years away"):
        open_manual_run(schedule, run_date=day, requested_by="ann", runtime=fakes.runtime())
    assert ReportRun.objects.count() == 0


def test_two_manual_runs_of_one_date_are_two_runs(fakes: FakePorts) -> None:
    schedule = discovered(fakes)
    for _ in range(2):
        open_manual_run(schedule, run_date=date(2026, 1, 2), requested_by="ann", runtime=fakes.runtime())
    assert (
        list(ReportRun.objects.values_list("run_date", "trigger", "triggered_by"))
        == [(date(2026, 1, 2), "manual", "ann")] * 2
    )


@pytest.mark.parametrize(("state", "error"), [("disabled", InvalidReportError), ("removed", ReportNotFoundError)])
def test_a_report_that_may_not_run_is_refused_by_name(fakes: FakePorts, state: str, error: type[Exception]) -> None:
    schedule = discovered(fakes)
    schedule.state = ScheduleState(state)
    with pytest.raises(error, match="report 1"):
        open_manual_run(schedule, run_date=None, requested_by="ann", runtime=fakes.runtime())
    assert not ReportRun.objects.exists()


def test_a_long_outage_is_caught_up_in_pieces_and_nothing_is_lost(fakes: FakePorts) -> None:
    discovered(fakes, cron="* * * * *")
    fakes.clock.advance(minutes=1300)
    settings = SettingsFactory.make()
    while tick(fakes, settings).skipped:
        pass
    assert times(Status.QUEUED) == minutes(1299, 1300)  # those on time
    assert len(times(Status.SKIPPED)) == 1298
    assert ReportSchedule.objects.get().decided_until == fakes.clock.now


def test_each_date_has_one_run_date_where_a_gap_crosses_midnight(fakes: FakePorts) -> None:
    fakes.clock.now = datetime(2026, 3, 26, 12, tzinfo=UTC)
    discovered(fakes, cron="30 23 * * *", timezone="America/Nuuk")
    for _day in range(5):
        fakes.clock.advance(days=1)
        tick(fakes)
    dates = ReportRun.objects.order_by("scheduled_for").values_list("run_date", flat=True)
    assert list(dates) == [date(2026, 3, day) for day in range(26, 31)]


@pytest.mark.parametrize("policy", ["latest", "all", "none"])
def test_an_outage_a_switch_of_approach_and_a_clock_set_back_lose_no_time_and_double_none(
    fakes: FakePorts, policy: str
) -> None:
    sensor, schedule, pipeline = (
        SettingsFactory.make(SCHEDULING_APPROACH=approach, MISSED_RUNS=policy, OVERLAP="allow")
        for approach in ("sensor", "schedule", "pipeline")
    )
    discovered(fakes)
    for approach, passed in [
        (sensor, 20),
        (sensor, 180),  # an outage of three hours
        (schedule, 25),  # a switch in mid-hour, with the window's first tick late
        (pipeline, 10),
        (sensor, -60),  # the clock set back
        (pipeline, 30),
        (schedule, 45),
    ]:
        fakes.clock.advance(minutes=passed)
        tick(fakes, approach)
        tick(fakes, approach)
    assert times(Status.QUEUED, Status.SKIPPED) == minutes(*range(10, 251, 10))


@pytest.mark.parametrize("interval", [600, 3600, 7200], ids=["gapped", "fitting", "overlapping"])
def test_windows_that_overlap_or_leave_gaps_are_harmless(fakes: FakePorts, interval: int) -> None:
    settings = SettingsFactory.make(
        SCHEDULING_APPROACH="schedule", SCHEDULE_INTERVAL_SECONDS=interval, MISSED_RUNS="all", OVERLAP="allow"
    )
    discovered(fakes)
    for _hour in range(3):
        fakes.clock.advance(hours=1)
        tick(fakes, settings)
    assert times(Status.QUEUED) == minutes(*range(10, 181, 10))
