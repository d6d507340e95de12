"""The timeline: which runs and due times of many reports lie in its hours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.monitoring import timeline
from report_orchestrator.services.monitoring.forecast import cron_times
from report_orchestrator.services.monitoring.timeline import Timeline, read_timeline
from tests.support.admin_pages import make_run, make_schedule, make_step

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def drawn(*reports: ReportSchedule, **given: Any) -> Timeline:
    return read_timeline(reports, ReportRun.objects.all(), NOW, settings=get_settings(), **given)


def ended(schedule: ReportSchedule, due_ago: timedelta, *, took: timedelta = MINUTE, **given: Any) -> ReportRun:
    due = NOW - due_ago
    times = {"scheduled_for": due, "created_at": due, "started_at": due, "ended_at": due + took}
    return make_run(schedule, **times | given)


def test_two_thirds_of_the_hours_lie_behind_and_one_ahead() -> None:
    shown = drawn()

    assert (NOW - shown.start, shown.end - NOW) == (24 * HOUR, 12 * HOUR)


def test_runs_of_the_reports_are_drawn_from_the_oldest_on() -> None:
    report = make_schedule()
    newer, older = ended(report, HOUR), ended(report, 2 * HOUR)
    ended(report, 25 * HOUR)
    ended(make_schedule(), HOUR)

    assert [run.pk for run in drawn(report).runs[report.pk]] == [older.pk, newer.pk]


def test_older_times_are_drawn_if_they_ran_lately() -> None:
    report = make_schedule()
    backfilled = ended(report, 90 * HOUR, ended_at=NOW - HOUR)
    unfinished = make_run(report, status=Status.DEFERRED, scheduled_for=NOW - 80 * HOUR)

    assert [run.pk for run in drawn(report).runs[report.pk]] == [backfilled.pk, unfinished.pk]


def test_only_runs_long_enough_show_their_steps() -> None:
    report = make_schedule()
    short, long = ended(report, 2 * HOUR), ended(report, HOUR, took=30 * MINUTE)
    steps = [make_step(run) for run in (short, long)]

    shown = drawn(report)

    assert {run: list(attempts) for run, attempts in shown.attempts.items()} == {long.pk: steps[1:]}


def test_due_times_are_those_of_the_cron_and_the_late_one() -> None:
    report = make_schedule(cron="30 * * * *", timezone="UTC", next_run_at=NOW - HOUR)

    due = drawn(report, hours=9).due[report.pk]

    assert due == [NOW - HOUR, *(NOW + hours * HOUR + 30 * MINUTE for hours in range(3))]


@pytest.mark.parametrize(
    "given", [{"next_run_at": None, "paused_at": NOW}, {"live_from": NOW + HOUR}, {"next_run_at": NOW + 13 * HOUR}]
)
def test_no_due_times_are_drawn_of_reports_that_do_not_run_here(given: dict[str, Any]) -> None:
    report = make_schedule(**{"next_run_at": NOW + HOUR, **given})

    assert not drawn(report).due


def test_too_much_is_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MAX_RUNS", 1)
    monkeypatch.setattr(timeline, "MAX_TIMES", 10)
    report = make_schedule(cron="* * * * *", timezone="UTC", next_run_at=NOW + MINUTE)
    others = [make_schedule(cron="* * * * *", timezone="UTC", next_run_at=NOW + MINUTE) for _ in range(5)]
    ended(report, 2 * HOUR)
    newest = ended(report, HOUR)

    shown = drawn(report, *others)

    assert [run.pk for run in shown.runs[report.pk]] == [newest.pk]
    assert shown.runs_from == newest.scheduled_for
    assert sum(map(len, shown.due.values())) == 10
    assert shown.due_until == NOW + 2 * MINUTE


def test_nothing_is_said_to_be_cut_if_all_is_drawn() -> None:
    report = make_schedule(next_run_at=NOW + HOUR)
    ended(report, HOUR)

    shown = drawn(report)

    assert (shown.runs_from, shown.due_until) == (None, None)


def test_all_due_times_of_a_frequent_report_are_drawn() -> None:
    report = make_schedule(cron="* * * * *", next_run_at=NOW + MINUTE)

    shown = drawn(report)

    assert shown.due[report.pk][-1] == shown.end - MINUTE
    assert shown.due_until is None


def test_only_due_times_that_are_drawn_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    def counted(*args: Any, **given: Any) -> Iterator[datetime]:
        for at in cron_times(*args, **given):
            computed.append(at)
            yield at

    monkeypatch.setattr(timeline, "cron_times", counted)
    monkeypatch.setattr(timeline, "MAX_TIMES", 10)
    drawn(*(make_schedule(cron="* * * * *", next_run_at=NOW + MINUTE) for _each in range(20)))

    assert len(computed) <= 10 + 1
