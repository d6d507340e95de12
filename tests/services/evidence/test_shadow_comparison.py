"""Scheduled times in shadow, compared with the jobs that another system recorded."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.payload import Payload
from report_orchestrator.models import ReportRun, SharedState, StateName
from report_orchestrator.ports import RecordedJob
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.evidence.shadow_comparison import (
    ComparedTime,
    SentPayload,
    compare_with_recorded_jobs,
    compared_span,
)
from report_orchestrator.services.running.worker import run_due
from report_orchestrator.services.scheduling.open_due_runs import open_due_runs
from report_orchestrator.services.scheduling.switch import switch_to_live
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db
SHADOW = SettingsFactory.make(FIREANT_API_KEY="s3cr3t", SHADOW=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def fakes(fakes: FakePorts) -> FakePorts:
    """One hourly report in shadow, whose times of the last three hours are decided, at ten to four."""
    fakes.reports.add(geo_report("1"))
    discover(runtime=fakes.runtime(get_settings()))
    SharedState.objects.record(StateName.SCHEDULING, now=START)
    for _hour in range(3):
        work(fakes, hours=1)
    fakes.clock.advance(minutes=50)
    return fakes


def work(fakes: FakePorts, *, hours: float) -> None:
    fakes.clock.advance(hours=hours)
    open_due_runs(runtime=fakes.runtime(SHADOW))
    run_due(None, runtime=fakes.runtime(SHADOW), until=fakes.clock.now + timedelta(seconds=1))


def recorded(fakes: FakePorts, *hours: float, report: str = "1", **dates: date) -> None:
    """Record a job of the other system so many hours after noon."""
    for hour in hours:
        number = 900 + len(fakes.jobs.of_others)
        at = START + hour * HOUR + timedelta(seconds=40)
        fakes.jobs.of_others.append(RecordedJob(report_key=report, fireant_job_id=str(number), created_at=at, **dates))


def compare(fakes: FakePorts, *, sent: SentPayload | None = None) -> list[ComparedTime]:
    options = {} if sent is None else {"sent": sent}
    runtime = fakes.runtime(SHADOW)
    span = compared_span(since=START - 24 * HOUR, runtime=runtime)
    return compare_with_recorded_jobs(span=span, runtime=runtime, **options)


def matches(compared: list[ComparedTime]) -> list[tuple[datetime, str]]:
    return [(time.at, time.match.value) for time in compared]


def test_times_that_both_served_agree(fakes: FakePorts) -> None:
    recorded(fakes, 1, 2, 3)
    compared = compare(fakes)
    assert matches(compared) == [(START + hour * HOUR, "both") for hour in (1, 2, 3)]
    assert all(time.agrees for time in compared)
    assert [time.fireant_job_id for time in compared] == ["900", "901", "902"]


def test_times_that_one_system_alone_has_are_named(fakes: FakePorts) -> None:
    recorded(fakes, 1, 1.5, 3)
    assert matches(compare(fakes)) == [
        (START + HOUR, "both"),
        (START + 1.5 * HOUR + timedelta(seconds=40), "there_only"),
        (START + 2 * HOUR, "here_only"),
        (START + 3 * HOUR, "both"),
    ]


def test_a_second_job_of_one_time_is_named(fakes: FakePorts) -> None:
    recorded(fakes, 1, 1, 2, 3)
    assert [match for _at, match in matches(compare(fakes))] == ["both", "there_only", "both", "both"]


def test_a_report_that_cannot_run_here_is_named_with_the_reason(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("2"), enabled=False)
    discover(runtime=fakes.runtime(get_settings()))
    recorded(fakes, 1, 2, 3)
    recorded(fakes, 1, report="2")
    recorded(fakes, 1, report="77")
    differing = [time for time in compare(fakes) if not time.agrees]
    assert [(time.report_key, time.match.value, list(time.differences)) for time in differing] == [
        ("2", "there_only", ["here: disabled in the project"]),
        ("77", "there_only", ["here: unknown report"]),
    ]


def test_jobs_before_scheduling_began_and_times_that_may_still_be_recorded_are_left_out(fakes: FakePorts) -> None:
    recorded(fakes, -5, 0, 1, 2, 3)
    work(fakes, hours=0.25)
    assert [match for _at, match in matches(compare(fakes))] == ["both"] * 3


def test_a_live_time_that_the_other_system_served_too_ran_twice(fakes: FakePorts) -> None:
    switch_to_live(None, actor="ann", runtime=fakes.runtime(SHADOW))
    work(fakes, hours=0.5)
    work(fakes, hours=0.5)
    recorded(fakes, 1, 2, 3, 4)
    assert matches(compare(fakes))[-1] == (START + 4 * HOUR, "twice")
    fakes.jobs.of_others.pop()
    assert len(compare(fakes)) == 3, "a live time that runs here alone is as it should be"


def test_other_dates_of_the_modifier_are_a_difference(fakes: FakePorts) -> None:
    recorded(fakes, 1, as_at_date=date(2026, 7, 1), fx_date=date(2026, 6, 30))
    time, *_others = compare(fakes)
    assert (time.match.value, list(time.differences)) == ("both", ["fx_date: 2026-07-01 here, 2026-06-30 there"])
    assert not time.agrees


def test_payloads_are_compared_where_the_other_system_kept_them(fakes: FakePorts) -> None:
    recorded(fakes, 1, 2, 3)
    ours: Payload = ReportRun.objects.order_by("pk")[0].payload.body
    kept = {
        "900": {**ours, "meta": {**ours["meta"], "modifier_id": 7}},  # type: ignore[dict-item]  # it is a dict
        "901": {"geos": [], **{name: value for name, value in ours.items() if name not in {"geos", "peril"}}},
    }

    def sent(job: RecordedJob) -> tuple[Payload | None, str]:
        return kept.get(job.fireant_job_id), "" if job.fireant_job_id in kept else "no file of the job"

    assert [list(time.differences) for time in compare(fakes, sent=sent)] == [
        [],
        ["geos: differs", "peril: only here"],
        ["no file of the job"],
    ]


def test_a_payload_that_could_not_be_built_is_a_difference(fakes: FakePorts) -> None:
    fakes.reports.reports["1"] = geo_report("1", events=())
    work(fakes, hours=0.5)
    fakes.clock.advance(hours=0.5)
    recorded(fakes, 1, 2, 3, 4)
    *_others, last = compare(fakes)
    assert list(last.differences) == ["no payload here: empty_event_group"]
