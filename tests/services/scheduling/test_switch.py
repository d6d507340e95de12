"""Reports in shadow submit nothing, and switches of single reports lose and double no scheduled time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.exceptions import FireantError, InvalidReportError, NotPossibleError
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.models.schedules import ScheduleQuerySet
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.monitoring.hourly_outcomes import read_hours
from report_orchestrator.services.running.worker import run_due
from report_orchestrator.services.scheduling import switch as switch_module
from report_orchestrator.services.scheduling.backfill import Days, open_backfill, plan_backfill
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.services.scheduling.pausing import pause, pause_all, resume, resume_all
from report_orchestrator.services.scheduling.scheduling_start import start_scheduling
from report_orchestrator.services.scheduling.switch import switch_to_live, switch_to_shadow
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
LIVE = SettingsFactory.make(FIREANT_API_KEY="s3cr3t")
SHADOW = SettingsFactory.make(FIREANT_API_KEY="s3cr3t", SHADOW=True)
HOUR = timedelta(hours=1)
TODAY = Days(since=START.date(), until=START.date(), now=START + 9 * HOUR)


@pytest.fixture
def fakes(fakes: FakePorts) -> FakePorts:
    """Two hourly reports, discovered at noon, when a cluster starts."""
    for key in ("1", "2"):
        fakes.reports.add(geo_report(key))
    discover(runtime=fakes.runtime(get_settings()))
    start_scheduling(runtime=fakes.runtime(get_settings()))
    return fakes


def work(fakes: FakePorts, settings: Settings, *, hours: int = 1) -> None:
    """Let a cluster decide and work at each of the next hours."""
    for _hour in range(hours):
        fakes.clock.advance(hours=1)
        open_due_runs(runtime=fakes.runtime(settings))
        run_due(None, runtime=fakes.runtime(settings), until=fakes.clock.now + timedelta(seconds=1))


def submitted(fakes: FakePorts) -> list[str]:
    return [str(payload["meta"]["report_id"]) for _kind, payload, _reference in fakes.fireant.submitted]  # type: ignore[index,call-overload]  # of a geo report


def switch(
    fakes: FakePorts, mode: str, *keys: str, at: datetime | None = None, settings: Settings = SHADOW
) -> list[str]:
    change = switch_to_live if mode == "live" else switch_to_shadow
    switched = change(keys or None, at=at, actor="ann", reason="week 27", runtime=fakes.runtime(settings))
    return [row.report_key for row in switched.reports]


class TestShadow:
    def test_each_time_keeps_its_payload_and_nothing_leaves_this_app(self, fakes: FakePorts) -> None:
        work(fakes, SHADOW, hours=2)
        assert [str(run.run_date) for run in ReportRun.objects.all()] == ["2026-07-01"] * 4
        for run in ReportRun.objects.all():
            assert (run.status, run.trigger, run.error_code) == (Status.SKIPPED, Trigger.SHADOW, "shadow")
            assert run.payload.body["as_at_date"] == "2026-07-01"
            assert run.payload_digest
            assert list(run.steps.values_list("step", "result")) == [("report_data", "completed")]
        assert (fakes.fireant.submitted, fakes.jobs.rows, fakes.store.files) == ([], {}, {})
        assert fakes.reports.modifiers == {}, "no modifier was created in the project"

    def test_a_payload_that_cannot_be_built_fails(self, fakes: FakePorts) -> None:
        fakes.reports.reports["1"] = geo_report("1", events=())
        work(fakes, SHADOW)
        assert dict(ReportRun.objects.values_list("report_key", "status")) == {"1": "failed", "2": "skipped"}

    def test_a_shadow_run_is_no_promise_and_occupies_nothing(self, fakes: FakePorts) -> None:
        fakes.clock.advance(hours=1)
        open_due_runs(runtime=fakes.runtime(SHADOW))  # no worker comes
        fakes.clock.advance(hours=1)
        assert open_due_runs(runtime=fakes.runtime(SHADOW)).skipped == 0
        assert set(ReportRun.objects.values_list("status", "in_line")) == {("queued", False)}
        hours = read_hours(fakes.clock.now, START.tzinfo)  # type: ignore[arg-type]  # it is aware
        assert {hour.expected for hour in hours} == {0}

    def test_people_cannot_run_it_here_by_mistake(self, fakes: FakePorts) -> None:
        schedule = ReportSchedule.objects.get(report_key="1")
        with pytest.raises(InvalidReportError, match="is in shadow: another system runs it"):
            open_manual_run(schedule, run_date=None, requested_by="ann", runtime=fakes.runtime(SHADOW))
        fakes.clock.advance(hours=1, minutes=10)
        times = plan_backfill([schedule], TODAY)
        with pytest.raises(InvalidReportError, match="is in shadow"):
            open_backfill(times, actor="ann", runtime=fakes.runtime(SHADOW))

    def test_times_that_the_other_system_served_are_not_backfilled(self, fakes: FakePorts) -> None:
        work(fakes, SHADOW)
        shadowed = START + HOUR
        planned = plan_backfill(list(ReportSchedule.objects.all()), TODAY)
        assert shadowed - HOUR in {occurrence.scheduled_for for occurrence in planned}
        assert shadowed not in {occurrence.scheduled_for for occurrence in planned}


class TestSwitch:
    def test_one_report_at_a_time_becomes_live(self, fakes: FakePorts) -> None:
        work(fakes, SHADOW)
        assert switch(fakes, "live", "1") == ["1"]
        work(fakes, SHADOW)
        assert submitted(fakes) == ["1"]
        assert switch(fakes, "live") == ["2"]
        assert switch(fakes, "live") == []
        work(fakes, SHADOW)
        assert submitted(fakes) == ["1", "1", "2"]
        work(fakes, LIVE)  # the setting no longer matters
        assert submitted(fakes) == ["1", "1", "2", "1", "2"]

    def test_times_since_the_other_system_stopped_run_once(self, fakes: FakePorts) -> None:
        work(fakes, SHADOW, hours=3)
        fakes.clock.advance(minutes=10)
        assert switch(fakes, "live", "1", at=START + HOUR) == ["1"]
        assert switch(fakes, "live", "1", at=START + HOUR) == []
        run_due(None, runtime=fakes.runtime(SHADOW), until=fakes.clock.now + HOUR)
        served = ReportRun.objects.filter(fireant_job_id__gt="").order_by("scheduled_for")
        assert list(served.values_list("report_key", "scheduled_for", "trigger", "in_line")) == [
            ("1", START + hours * HOUR, "scheduled", True) for hours in (2, 3)
        ]
        assert submitted(fakes) == ["1", "1"]

    def test_times_that_were_missed_since_the_other_system_stopped_can_be_backfilled(self, fakes: FakePorts) -> None:
        fakes.clock.advance(hours=2)  # without a cluster: of two missed times the latest counts
        work(fakes, SHADOW)
        switch(fakes, "live", at=START)
        fakes.clock.advance(minutes=1)
        missed = ReportRun.objects.filter(status=Status.SKIPPED)
        assert set(missed.values_list("trigger", "error_code")) == {("scheduled", "missed")}
        planned = plan_backfill(list(ReportSchedule.objects.all()), TODAY)
        assert set(missed.values_list("pk", flat=True)) <= {occurrence.skipped_run for occurrence in planned}

    def test_a_time_of_the_other_system_stays_its_own_although_it_is_decided_late(self, fakes: FakePorts) -> None:
        fakes.clock.advance(hours=1)  # it is one o'clock, and no tick has come
        switch(fakes, "live")
        work(fakes, SHADOW)
        assert (
            list(ReportRun.objects.order_by("pk").values_list("trigger", flat=True))
            == ["shadow"] * 2 + ["scheduled"] * 2
        )

    def test_a_switch_may_be_planned(self, fakes: FakePorts) -> None:
        switch(fakes, "live", at=START + HOUR)
        work(fakes, SHADOW, hours=2)
        assert submitted(fakes) == ["1", "2"]

    def test_a_report_whose_planned_end_is_ahead_goes_on_until_then(self, fakes: FakePorts) -> None:
        switch(fakes, "shadow", "1", at=START + 2 * HOUR, settings=LIVE)
        for planned in (START + HOUR, START + 3 * HOUR):
            with pytest.raises(NotPossibleError, match=r"is live until 2026-.* Leave out --at"):
                switch(fakes, "live", at=planned, settings=LIVE)
        work(fakes, LIVE)
        assert switch(fakes, "live", settings=LIVE) == ["1"]  # takes the planned end back
        work(fakes, LIVE, hours=2)
        assert submitted(fakes) == ["1", "2"] * 3

    @pytest.mark.parametrize("settings", [LIVE, SHADOW])
    @pytest.mark.parametrize("live_from", [None, START])
    def test_a_planned_end_that_is_taken_back_leaves_undecided_times_live(
        self, fakes: FakePorts, live_from: datetime | None, settings: Settings
    ) -> None:
        ReportSchedule.objects.update(live_from=live_from, live_until=START + 6 * HOUR)
        pause_all(actor="ann", reason="", runtime=fakes.runtime(settings))
        fakes.clock.advance(hours=2, minutes=10)
        assert switch(fakes, "live", settings=settings) == ["1", "2"]
        resume_all(actor="ann", runtime=fakes.runtime(settings))
        open_due_runs(runtime=fakes.runtime(replace(settings, missed_runs="all")))
        times = ReportRun.objects.filter(trigger=Trigger.SCHEDULED).values_list("scheduled_for", flat=True)
        assert sorted(times) == [START + HOUR] * 2 + [START + 2 * HOUR] * 2
        fakes.clock.advance(hours=6)
        assert ReportSchedule.objects.live(fakes.clock.now, unless_switched=not settings.shadow).count() == 2

    @pytest.mark.parametrize("keys", [("1",), ()])
    def test_times_of_a_pause_before_a_past_planned_end_are_recorded_when_the_report_is_live_again(
        self, fakes: FakePorts, keys: tuple[str, ...]
    ) -> None:
        runtime = fakes.runtime(replace(LIVE, missed_runs="all"))
        switch(fakes, "shadow", "1", at=START + 2 * HOUR, settings=LIVE)
        if keys:
            pause(keys, actor="ann", reason="", runtime=runtime)
        else:
            pause_all(actor="ann", reason="", runtime=runtime)
        fakes.clock.advance(hours=4, minutes=10)
        assert switch(fakes, "live", "1", settings=LIVE) == ["1"]
        if keys:
            resume(keys, actor="ann", runtime=runtime)
        else:
            resume_all(actor="ann", runtime=runtime)
        open_due_runs(runtime=runtime)
        own = ReportRun.objects.filter(report_key="1").order_by("scheduled_for")
        assert (
            list(own.values_list("trigger", "error_code")) == [("scheduled", "missed")] * 2 + [("shadow", "missed")] * 2
        )
        work(fakes, LIVE)
        assert own.filter(status=Status.SUCCEEDED).count() + own.unfinished().count() == 1

    def test_the_way_back_leaves_the_later_times_to_the_other_system(self, fakes: FakePorts) -> None:
        work(fakes, LIVE)
        assert switch(fakes, "shadow", "1", settings=LIVE) == ["1"]
        assert switch(fakes, "shadow", "1", settings=LIVE) == []
        assert switch(fakes, "shadow", at=START + 2 * HOUR, settings=LIVE) == ["2"]
        work(fakes, LIVE, hours=3)
        assert submitted(fakes) == ["1", "2", "2"]
        assert switch(fakes, "live", settings=LIVE) == ["1", "2"]
        work(fakes, LIVE)
        assert submitted(fakes) == ["1", "2", "2", "1", "2"]

    def test_the_way_back_cannot_begin_in_the_past(self, fakes: FakePorts) -> None:
        work(fakes, LIVE)
        with pytest.raises(NotPossibleError, match="cannot take over in the past"):
            switch(fakes, "shadow", at=START, settings=LIVE)
        with pytest.raises(NotPossibleError, match="4711 does not exist"):
            switch(fakes, "live", "4711")

    def test_a_time_that_a_tick_decides_before_the_rows_are_locked_stays_here(
        self, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chosen = switch_module._chosen
        calls = iter(["to decide", "to lock"])

        def chosen_after_a_tick(keys: Sequence[str] | None, runtime: Runtime) -> ScheduleQuerySet:
            if next(calls) == "to lock":
                work(fakes, LIVE)
            return chosen(keys, runtime)

        monkeypatch.setattr(switch_module, "_chosen", chosen_after_a_tick)
        switch(fakes, "shadow", settings=LIVE)
        assert submitted(fakes) == ["1", "2"]
        run = ReportRun.objects.filter(report_key="1").get()
        assert run.schedule.is_live_at(run.scheduled_for, unless_switched=True)

    def test_a_run_under_way_ends_where_it_began(self, fakes: FakePorts) -> None:
        fakes.fireant.fail("submit", FireantError("rejected", code="fireant_422"))
        work(fakes, LIVE)
        switch(fakes, "shadow", settings=LIVE)
        assert set(ReportRun.objects.values_list("trigger", flat=True)) == {"scheduled"}

    def test_it_is_recorded_with_its_reason(self, fakes: FakePorts) -> None:
        switch(fakes, "live", "1")
        change = ReportChange.objects.latest("pk")
        assert (change.kind, change.source) == ("switched", "person")
        assert change.before == {"live_from": None, "live_until": None}
        assert change.after == {"live_from": START.isoformat(), "live_until": None, "actor": "ann", "reason": "week 27"}


@pytest.mark.parametrize("unless_switched", [True, False])
@pytest.mark.parametrize("live_from", [None, START, START + 2 * HOUR])
@pytest.mark.parametrize("live_until", [None, START, START + 2 * HOUR])
def test_the_query_and_the_row_agree_on_what_is_live(
    live_from: datetime | None, live_until: datetime | None, unless_switched: bool, fakes: FakePorts
) -> None:
    ReportSchedule.objects.update(live_from=live_from, live_until=live_until)
    for now in (START - HOUR, START, START + HOUR, START + 2 * HOUR, START + 3 * HOUR):
        live = ReportSchedule.objects.live(now, unless_switched=unless_switched)
        row = ReportSchedule.objects.get(report_key="1")
        assert live.filter(report_key="1").exists() == row.is_live_at(now, unless_switched=unless_switched)
