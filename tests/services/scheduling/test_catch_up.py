"""A catch-up cut into pieces, by size, by time or by a kill, decides as one that is not."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from report_orchestrator import tasks
from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState, SharedState
from report_orchestrator.models.runs import RunQuerySet
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.scheduling import open_due_runs as engine
from report_orchestrator.services.scheduling.clock_leaps import follow_clock
from report_orchestrator.services.scheduling.create_runs import Created
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.services.scheduling.scheduling_start import start_scheduling
from report_orchestrator.services.timetable import due_times
from report_orchestrator.services.timetable.queue_sync import sync_schedules
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db


def discovered(fakes: FakePorts, cron: str = "* * * * *") -> ReportSchedule:
    fakes.reports.add(geo_report("1"), cron=cron)
    discover(runtime=fakes.runtime(get_settings()))
    return ReportSchedule.objects.get(report_key="1")


def tick(fakes: FakePorts, until: datetime | None = None, **settings: object) -> Created:
    return open_due_runs(runtime=fakes.runtime(SettingsFactory.make(**settings)), until=until)


def end_all(fakes: FakePorts) -> None:
    ReportRun.objects.unfinished().update(status=Status.SUCCEEDED, wake_at=None, ended_at=fakes.clock())


def outcomes() -> dict[str, int]:
    codes = ReportRun.objects.values_list("status", "error_code")
    return {f"{status} {code}".strip(): list(codes).count((status, code)) for status, code in set(codes)}


def test_one_tick_decides_a_long_outage(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(minutes=1200)
    created = tick(fakes)
    assert (created.runs, created.skipped, created.is_complete) == (2, 1198, True)
    assert ReportSchedule.objects.get().next_run_at == fakes.clock() + timedelta(minutes=1)


def test_all_missed_times_of_a_long_outage_run_in_line(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(minutes=1200)
    assert tick(fakes, MISSED_RUNS="all").runs == 1200
    assert outcomes() == {"queued": 1200}
    assert ReportRun.objects.filter(in_line=False).count() == 0


def test_a_window_after_an_outage_decides_everything_up_to_now(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(hours=24)
    tick(fakes, SCHEDULING_APPROACH="schedule")
    assert ReportSchedule.objects.get().decided_until == fakes.clock()
    end_all(fakes)
    for _ in range(4):
        fakes.clock.advance(hours=1)
        assert tick(fakes, SCHEDULING_APPROACH="schedule").runs == 60
        end_all(fakes)
    later = ReportRun.objects.filter(scheduled_for__gt=START + timedelta(hours=24))
    assert list(later.values_list("status", flat=True)) == [Status.SUCCEEDED] * 240


def test_a_daily_window_runs_all_its_times(fakes: FakePorts) -> None:
    fakes.clock.now = START.replace(hour=6)
    discovered(fakes, cron="*/2 * * * *")
    for _ in range(3):
        fakes.clock.advance(days=1)
        created = tick(
            fakes,
            SCHEDULING_APPROACH="schedule",
            SCHEDULE_CRON_EXPRESSION="0 6 * * *",
            SCHEDULE_INTERVAL_SECONDS=86400,
            OVERLAP="queue",
        )
        assert (created.runs, created.skipped) == (720, 0)
        end_all(fakes)


def test_a_tick_whose_time_is_up_leaves_the_rest_to_the_next(fakes: FakePorts) -> None:
    discovered(fakes)
    fakes.clock.advance(minutes=1200)
    first = tick(fakes, until=fakes.clock())
    assert (first.runs, first.skipped, first.is_complete) == (0, 500, False)
    fakes.clock.advance(seconds=30)
    second = tick(fakes)
    assert (second.runs, second.skipped, second.is_complete) == (2, 698, True)


def test_a_catch_up_that_a_clock_which_was_ahead_began_ends_at_the_real_time(fakes: FakePorts) -> None:
    discovered(fakes)
    follow_clock(runtime=fakes.runtime())
    fakes.clock.advance(minutes=1320)  # an outage of 20 hours, and a clock that is 2 hours ahead
    assert not tick(fakes, until=fakes.clock(), MAX_LOOKBACK_SECONDS=864000).is_complete
    fakes.clock.advance(minutes=-119)
    tick(fakes, MAX_LOOKBACK_SECONDS=864000)
    times = ReportRun.objects.order_by("scheduled_for").values_list("scheduled_for", flat=True)
    assert list(times) == [START + timedelta(minutes=minute) for minute in range(1, 1202)]


class StuckDueTimes(due_times.DueTimes):
    """Decides no time of report 1, as by a fault in the search for its times."""

    decisions = 0

    def decide(self, schedule: ReportSchedule, *, is_busy: bool) -> due_times.Decision:
        decision = super().decide(schedule, is_busy=is_busy)
        if schedule.report_key != "1":
            return decision
        StuckDueTimes.decisions += 1
        assert StuckDueTimes.decisions < 5, "it is decided without end"
        until, next_run_at = schedule.decided_until, schedule.next_run_at
        return replace(decision, until=until, next_run_at=next_run_at, run_for=[], skip_for=[])


@pytest.fixture
def stuck(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two due reports, of which the first makes no progress."""
    fakes.reports.add(geo_report("2"))
    discovered(fakes)
    start_scheduling(runtime=fakes.runtime())
    monkeypatch.setattr(engine, "DueTimes", StuckDueTimes)
    monkeypatch.setattr(StuckDueTimes, "decisions", 0)
    fakes.clock.advance(hours=1)


def test_a_report_whose_decision_makes_no_progress_is_quarantined_and_stops_no_other(
    fakes: FakePorts, stuck: None
) -> None:
    assert tick(fakes).runs == 1
    assert ReportRun.objects.get().report_key == "2"
    schedule = ReportSchedule.objects.get(report_key="1")
    assert (schedule.state, schedule.problem_code) == (ScheduleState.QUARANTINED, "unexpected")
    assert "report 1 (Windstorm accumulation)" in schedule.problem
    assert tick(fakes).runs == 0


def test_an_edit_of_a_report_whose_decision_makes_no_progress_ends(fakes: FakePorts, stuck: None) -> None:
    fakes.reports.change("1", cron="30 * * * *")
    discover(runtime=fakes.runtime(get_settings()))
    assert ReportSchedule.objects.get(report_key="1").next_run_at == fakes.clock() + timedelta(minutes=30)


@pytest.mark.parametrize("task", ["cron_sensor", "decide_window"])
def test_the_next_tick_follows_at_once_if_the_time_of_one_was_up(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    approach = {"cron_sensor": "sensor", "decide_window": "schedule"}[task]
    runtime = fakes.runtime(SettingsFactory.make(SCHEDULING_APPROACH=approach))
    sent: list[str] = []
    monkeypatch.setattr(tasks, "get_runtime", lambda: runtime)
    monkeypatch.setattr(tasks, "DECIDE_FOR", timedelta(0))
    monkeypatch.setattr(tasks, "send", lambda dotted, name: sent.append(dotted))
    discovered(fakes)
    start_scheduling(runtime=runtime)
    sync_schedules(runtime=runtime)
    now = fakes.clock.advance(minutes=1200)
    dotted = f"report_orchestrator.tasks.{task}"
    getattr(tasks, task)()
    assert sent == [dotted]  # no cluster ticks by itself
    SharedState.objects.claim_turn(f"bell: {dotted}", now=now, until=now + timedelta(minutes=1))
    getattr(tasks, task)()
    assert sent == [dotted]
    assert SharedState.objects.claim_turn(f"bell: {dotted}", now=now, until=now + timedelta(minutes=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A report with an undecided past. `ends_after` is the piece after which its run from before ends."""

    settings: Settings
    cron: str
    outage: timedelta
    is_busy: bool
    ends_after: int

    @classmethod
    def drawn(cls, source: random.Random) -> Case:
        approach = source.choice(["sensor", "schedule", "pipeline"])
        return cls(
            settings=SettingsFactory.make(
                SCHEDULING_APPROACH=approach,
                SCHEDULE_CRON_EXPRESSION=source.choice(["0 * * * *", "0 6 * * *", "*/15 * * * *"]),
                MISSED_RUNS=source.choice(["latest", "all", "none"]),
                OVERLAP=source.choice(["skip", "queue", "allow"]),
                MAX_LOOKBACK_SECONDS=source.choice([600, 5400, 86400]),
            ),
            cron=source.choice(["*/5 * * * *", "*/20 * * * *", "7 * * * *", "0 */3 * * *", "30 5 * * *"]),
            outage=timedelta(minutes=source.choice([1, 9, 47, 200, 700]), seconds=source.randrange(60)),
            is_busy=source.random() < 0.5,
            ends_after=source.randrange(5),
        )


Row = tuple[datetime, str, str, bool]


@pytest.mark.parametrize("is_cut_by_time", [False, True], ids=["one tick", "a tick for each piece"])
@pytest.mark.parametrize("size", [1, 7, 500])
def test_the_size_of_a_piece_decides_nothing(
    fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, size: int, is_cut_by_time: bool
) -> None:
    for seed in range(60):
        case = Case.drawn(random.Random(seed))
        monkeypatch.setattr(due_times, "TIMES_AT_ONCE", 10_000)
        whole = decided(case, fakes, key=f"{seed}", is_cut_by_time=False)
        monkeypatch.setattr(due_times, "TIMES_AT_ONCE", size)
        monkeypatch.setattr(engine, "ROWS_AT_ONCE", size)
        assert whole == decided(case, fakes, key=f"{seed} in pieces", is_cut_by_time=is_cut_by_time), (seed, case)


def decided(case: Case, fakes: FakePorts, *, key: str, is_cut_by_time: bool) -> list[Row]:
    """Return the rows of a report after its outage. A tick that is cut by time is followed by another, 40 s later."""
    fakes.clock.now = START
    schedule = ReportSchedule.objects.create(
        report_model=fakes.reports.label,
        report_key=key,
        cron=case.cron,
        state=ScheduleState.ACTIVE,
        next_run_at=START,
        decided_until=START - timedelta(seconds=1),
        discovered_at=START,
        changed_at=START,
    )
    if case.is_busy:
        ReportRun.objects.create(
            schedule=schedule, trigger=Trigger.SCHEDULED, scheduled_for=START - timedelta(days=1),
            run_date=START.date(), created_at=START, wake_at=START,
        )  # fmt: skip
    fakes.clock.now = START + case.outage
    end = fakes.clock.now
    chosen = ReportSchedule.objects.filter(pk=schedule.pk)
    pieces = 0
    while fakes.clock.now < end + timedelta(days=2):
        until = fakes.clock() if is_cut_by_time else None
        if open_due_runs(runtime=fakes.runtime(case.settings), schedules=chosen, until=until).is_complete:
            break
        if pieces == case.ends_after:
            runs_of(schedule).filter(scheduled_for__lt=START).update(
                status=Status.SUCCEEDED, wake_at=None, ended_at=fakes.clock()
            )
        pieces += 1
        fakes.clock.advance(seconds=40)
    rows = runs_of(schedule).filter(scheduled_for__gte=START, scheduled_for__lte=end).order_by("scheduled_for")
    return list(rows.values_list("scheduled_for", "status", "error_code", "in_line"))


def runs_of(schedule: ReportSchedule) -> RunQuerySet:
    return ReportRun.objects.filter(schedule=schedule)
