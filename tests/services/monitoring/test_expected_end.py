"""When runs in progress are expected to end, and queued ones to start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.services.reports.expected_end import ExpectedEnd, expected_end, fireant_progress, place_in_line
from report_orchestrator.services.reports.run_history import recent_runs
from report_orchestrator.services.reports.runs_under_way import runs_under_way
from tests.support.admin_pages import make_run, make_schedule, make_step

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def took(schedule: ReportSchedule, *minutes: int, status: Status = Status.SUCCEEDED) -> None:
    for position, span in enumerate(minutes):
        due = NOW - (100 - position) * HOUR
        make_run(schedule, status=status, scheduled_for=due, started_at=due, ended_at=due + span * MINUTE)


def expected(run: ReportRun) -> ExpectedEnd | None:
    return expected_end(run, recent_runs(run.schedule_id), NOW)


def running(schedule: ReportSchedule, ago: timedelta, **given: Any) -> ReportRun:
    return make_run(schedule, status=Status.DEFERRED, scheduled_for=NOW - ago, started_at=NOW - ago, **given)


def test_a_run_ends_as_the_last_successes_of_its_report() -> None:
    report = make_schedule()
    took(report, *range(1, 11))
    took(make_schedule(), 500)
    run = running(report, 2 * MINUTE)

    end = expected(run)

    assert end is not None
    assert end.typical == 5.5 * MINUTE
    assert (end.at, end.at_latest) == (NOW + 3.5 * MINUTE, NOW + 7 * MINUTE)
    assert not end.is_slow


def test_failures_tell_nothing_of_the_end() -> None:
    report = make_schedule()
    took(report, 1, 2, status=Status.FAILED)

    end = expected(running(report, HOUR))

    assert end is not None
    assert (end.typical, end.at, end.at_latest, end.is_slow) == (None, None, None, False)


def test_work_counts_from_the_last_retry_by_a_person() -> None:
    report = make_schedule()
    took(report, 4)

    end = expected(running(report, 9 * HOUR, idle=9 * HOUR - MINUTE))

    assert end is not None
    assert (end.so_far, end.at, end.is_slow) == (MINUTE, NOW + 3 * MINUTE, False)


@pytest.mark.parametrize(("minutes", "is_slow"), [(8, False), (9, True)])
def test_a_run_is_slow_from_twice_the_typical_duration_on(minutes: int, is_slow: bool) -> None:
    report = make_schedule()
    took(report, 4)

    end = expected(running(report, minutes * MINUTE))

    assert end is not None
    assert end.is_slow is is_slow


def test_nothing_is_expected_of_runs_that_ended_or_have_not_begun() -> None:
    assert expected(make_run()) is None
    assert expected(make_run(status=Status.QUEUED, started_at=None)) is None


@pytest.mark.parametrize(
    ("details", "share"),
    [({"progress": 0.25}, 0.25), ({"progress": 7}, None), ({"progress": "half"}, None), ({}, None), (None, None)],
)
def test_fireants_progress_is_a_share_or_nothing(details: object, share: float | None) -> None:
    assert fireant_progress(details) == share


def test_the_longest_under_way_come_first_with_fireants_last_word() -> None:
    report = make_schedule()
    took(report, 4)
    newer, older = running(report, MINUTE), running(report, HOUR, step=Step.JOB_COMPLETION_STATUS.value)
    make_step(older, step=Step.JOB_COMPLETION_STATUS, attempt=1, metadata={"progress": 0.1})
    make_step(older, step=Step.JOB_COMPLETION_STATUS, attempt=2, metadata={"progress": 0.5})
    make_run(status=Status.QUEUED, started_at=None)

    found = runs_under_way(ReportRun.objects.all(), NOW)

    assert [(shown.run.pk, shown.progress, shown.expected.is_slow) for shown in found] == [
        (older.pk, 0.5, True),
        (newer.pk, None, False),
    ]


class TestPlaceInLine:
    def queued(self, **given: Any) -> ReportRun:
        return make_run(**{"status": Status.QUEUED, "started_at": None} | given)

    def submitted(self, count: int, ago: timedelta = MINUTE) -> None:
        for _ in range(count):
            make_step(make_run(), step=Step.EXTERNAL_JOB_SUBMISSION, started_at=NOW - ago)

    def test_the_start_is_told_from_the_pace_of_submissions(self) -> None:
        self.queued(priority=9)
        run = self.queued()
        self.queued(created_at=NOW + HOUR)
        self.submitted(5)

        line = place_in_line(run, NOW)

        assert line is not None
        assert (line.place, line.starts_at) == (2, NOW + 4 * MINUTE)

    def test_without_a_pace_the_start_is_unknown(self) -> None:
        run = self.queued()
        self.submitted(5, ago=HOUR)

        line = place_in_line(run, NOW)

        assert line is not None
        assert line.starts_at is None

    def test_while_fireant_is_down_the_start_is_unknown(self) -> None:
        run = self.queued()
        self.submitted(5)
        SharedState.objects.create(name=StateName.CIRCUIT, due_at=NOW)

        line = place_in_line(run, NOW)

        assert line is not None
        assert line.starts_at is None

    def test_a_run_behind_its_reports_earlier_run_has_no_start(self) -> None:
        report = make_schedule()
        running(report, HOUR)
        run = self.queued(schedule=report, in_line=True)
        self.submitted(5)

        line = place_in_line(run, NOW)

        assert line is not None
        assert line.is_behind_its_report
        assert line.starts_at is None

    def test_a_run_that_is_not_queued_has_no_place(self) -> None:
        assert place_in_line(make_run(), NOW) is None
