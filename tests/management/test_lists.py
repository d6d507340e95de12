"""`list_runs`, `list_reports` and `list_changes`: the admin's lists, filters and columns."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest

from report_orchestrator.domain.runs import Status, Step, Trigger
from report_orchestrator.models import ReportRun, ScheduleState
from report_orchestrator.models.changes import ChangeKind
from report_orchestrator.wiring import get_ports
from tests.support.admin_pages import make_change, make_run, make_schedule
from tests.support.commands import manage

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


def runs(*options: str) -> list[int]:
    return [row["run_id"] for row in json.loads(manage("list_runs", *options, "--format", "json").out)]


@pytest.fixture
def known() -> ReportRun:
    """A failed run of report 19, two days old, among others."""
    now = get_ports().clock()
    make_run(created_at=now, results_path="lake/1.json")
    return make_run(
        make_schedule(report_key="19", name="Flood"),
        status=Status.FAILED,
        step=Step.EXTERNAL_JOB_SUBMISSION.value,
        trigger=Trigger.BACKFILL.value,
        error_code="fireant_503",
        fireant_job_id="861164",
        created_at=now - timedelta(days=2),
        ended_at=now - timedelta(days=2),
    )


class TestRuns:
    @pytest.mark.parametrize(
        "options",
        [
            ["--status", "failed"],
            ["--status", "stopped"],
            ["--report", "19"],
            ["--error", "fireant_503"],
            ["--step", "external_job_submission"],
            ["--trigger", "backfill"],
            ["--search", "job 861164"],
            ["--search", "flood"],
            ["--status", "failed", "--since", "7d", "--report", "19", "--error", "fireant_503"],
            ["--status", "failed", "--ended-since", "3d"],
        ],
    )
    def test_the_filters_are_those_of_the_admin(self, known: ReportRun, options: list[str]) -> None:
        assert runs(*options) == [known.pk]

    @pytest.mark.parametrize("since", ["1d", "24h", "1w"])
    def test_a_span_counts_back_from_now(self, known: ReportRun, since: str) -> None:
        assert (known.pk in runs("--since", since)) == (since == "1w")

    def test_a_beginning_may_be_a_date(self, known: ReportRun) -> None:
        assert known.pk in runs("--since", str((known.created_at - timedelta(days=1)).date()))
        assert known.pk not in runs("--since", str((known.created_at + timedelta(days=1)).date()))

    def test_runs_with_a_result_are_listed(self, known: ReportRun) -> None:
        assert len(runs("--stored")) == 1

    def test_the_newest_are_first_and_a_limit_cuts(self, known: ReportRun) -> None:
        assert runs()[0] == known.pk
        assert runs("--limit", "1") == [known.pk]

    def test_people_get_a_table(self, known: ReportRun) -> None:
        text = manage("list_runs", "--report", "19").out

        assert "failed" in text
        assert "Fireant 503" in text

    def test_a_long_table_says_that_it_is_cut(self, known: ReportRun) -> None:
        shown = manage("list_runs", "--limit", "1")

        assert "Only the first 1 are listed." in shown.err
        assert len(shown.out.splitlines()) == 2

    def test_csv_has_every_column_with_the_zone_of_times(self, known: ReportRun) -> None:
        [row] = csv.DictReader(io.StringIO(manage("list_runs", "--report", "19", "--format", "csv").out))

        assert row["cause"] == "Fireant 503"
        assert row["ended_at"].endswith("+00:00")
        assert row["advice"].startswith("The report is fine.")

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (["--since", "yesterday"], "is neither a span such as"),
            (["--since", "7y"], "is neither a span such as"),
            (["--limit", "0"], "is not a number from 1 on"),
            (["--status", "lost"], "invalid choice"),
            (["--report", "20"], "Report 20 is not known."),
        ],
    )
    def test_wrong_usage_is_said(self, known: ReportRun, options: list[str], says: str) -> None:
        shown = manage("list_runs", *options)

        assert shown.status != 0
        assert says in shown.err


class TestReports:
    def test_they_are_filtered_by_state_condition_error_and_words(self) -> None:
        make_schedule(name="Wind")
        broken = make_schedule(
            name="Flood Europe", state=ScheduleState.QUARANTINED, problem_code="invalid_cron", problem="Correct it."
        )
        chosen: Any = (
            ["--state", "quarantined"],
            ["--condition", "invalid"],
            ["--error", "invalid_cron"],
            ["--search", "flood europe"],
        )
        for options in chosen:
            [row] = json.loads(manage("list_reports", *options, "--format", "json").out)
            assert (row["report_key"], row["error"]) == (broken.report_key, "Correct it.")

    def test_nothing_found_is_said(self) -> None:
        assert manage("list_reports").out == "Nothing found.\n"


class TestChanges:
    def test_they_are_filtered_by_report_kind_source_and_time(self) -> None:
        make_change(kind=ChangeKind.NEW, source="signal", noticed_at=get_ports().clock() - timedelta(days=40))
        change = make_change(make_schedule(report_key="19"), noticed_at=get_ports().clock())
        chosen: Any = (["--report", "19"], ["--kind", "retimed"], ["--source", "discovery"], ["--since", "30d"])
        for options in chosen:
            [row] = json.loads(manage("list_changes", *options, "--format", "json").out)
            assert (row["report_key"], row["before"], row["after"]) == ("19", change.before, change.after)
