"""What commands write where there is no terminal, and how they say if all is well and how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from report_orchestrator.management.commands import backfill_reports
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState, StateName
from report_orchestrator.testing import FakeClock
from tests.host.api.models import Report
from tests.support.commands import manage
from tests.support.seeded_host import WINDSTORM, a_worker_works, id_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "reports"])

FAILING = "Winter storm Central Europe"
DAYS = ("--from", "2026-06-25", "--to", "2026-06-30", "--reason", "corrected")


def positions(line: str) -> list[int]:
    """Return the cells of a terminal in which the separators stand."""
    return [cell_len(line[:index]) for index in range(len(line)) if line.startswith(" | ", index)]


def tables(text: str) -> list[list[str]]:
    """Return the tables, which differ in their number of columns or have other lines between them."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if found[-1] and positions(line)[:1] != positions(found[-1][-1])[:1]:
            found.append([])
        found[-1] += [line] if positions(line) else []
    return [table for table in found if table]


def interrupt(_seconds: float) -> None:
    raise KeyboardInterrupt


def backfill_sleeps(sleeps: Sequence[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the backfill do these instead of sleeping."""
    left = iter(sleeps)
    clock = iter(range(0, 100_000, 60))
    time = SimpleNamespace(sleep=lambda seconds: next(left)(seconds), monotonic=lambda: next(clock))  # type: ignore[operator]
    monkeypatch.setattr(backfill_reports, "time", time)


class TestColumns:
    @pytest.mark.parametrize("command", [("discover_reports",), ("orchestrator_status",), ("orchestrator_health",)])
    def test_the_columns_of_a_table_stand_below_each_other(self, command: tuple[str, ...]) -> None:
        Report.objects.filter(name=WINDSTORM).update(name="A report with a name of more than thirty-two letters")
        Report.objects.filter(name=FAILING).update(name="Storm 🌊 and 暴風")
        manage("discover_reports")
        text = manage(*command).out
        assert text
        for table in tables(text):
            assert {tuple(positions(line)) for line in table} == {tuple(positions(table[0]))}, "\n".join(table)

    def test_lines_of_the_queue_are_not_among_them(self) -> None:
        manage("discover_reports")
        answer = manage("run_report", id_of(WINDSTORM))
        assert "Enqueued" not in answer.out + answer.err


class TestVerdict:
    def test_the_first_line_says_what_is_wrong_and_each_problem_what_to_do(self) -> None:
        manage("discover_reports")
        manage("run_report", id_of(FAILING), "--now")
        lines = manage("orchestrator_status").out.splitlines()
        assert lines[0].startswith("No worker was ever active: nothing runs. 1 run failed in the last 24 hours.")
        rows = [[cell.strip() for cell in line.split(" | ")] for line in lines[1:]]
        assert rows[0] == ["problem", "what to do"]
        assert rows[1][1] == "start manage.py qcluster"
        failed = "1 run failed at job_completion_status: fireant job failed"
        assert [failed, "retry_run --cause fireant_job_failed --reason TEXT"] in rows
        assert [
            "1 report cannot run as defined: no event group",
            "discover_reports names them; correct them in the project",
        ] in rows

    def test_all_is_well_with_a_worker_and_no_problem(self, clock: FakeClock) -> None:
        Report.objects.exclude(name=WINDSTORM).delete()
        manage("discover_reports")
        SharedState.objects.record(StateName.TICK, now=clock.now)
        answer = manage("orchestrator_status", "--format", "json").json
        assert (answer["verdict"], answer["problems"]) == ("All is well. No runs were due today so far.", [])

    def test_reports_paused_together_are_one_row_and_come_last(self) -> None:
        manage("discover_reports")
        keys = list(ReportSchedule.objects.filter(state="active").values_list("report_key", flat=True)[:9])
        manage("pause_reports", *keys[:8], "--reason", "the move")
        manage("pause_reports", keys[8], "--reason", "its data")
        lines = manage("orchestrator_status").out.splitlines()
        last = [[cell.strip() for cell in line.split(" | ")] for line in lines[-3:]]
        assert [row[0] for row in last] == ["paused", "8 reports", str(ReportSchedule.objects.get(report_key=keys[8]))]
        assert last[1][3] == "the move"


class TestRemedies:
    def test_all_runs_of_one_cause_are_retried(self, clock: FakeClock) -> None:
        manage("discover_reports")
        for _ in range(2):
            manage("run_report", id_of(FAILING), "--now")
        old = ReportRun.objects.latest("pk")
        ReportRun.objects.filter(pk=old.pk).update(ended_at=clock.now - timedelta(days=2))
        answer = manage("retry_run", "--cause", "fireant_job_failed", "--reason", "Fireant is back")
        assert (answer.status, answer.out.count("queued again")) == (0, 1)
        assert list(ReportRun.objects.order_by("pk").values_list("status", flat=True)) == ["queued", "failed"]
        assert manage("retry_run", "--cause", "no_such_cause", "--reason", "x").out.startswith(
            "There are no such runs."
        )

    @pytest.mark.parametrize("arguments", [(), ("12", "--cause", "fireant_503")])
    def test_runs_are_named_in_one_way(self, arguments: tuple[str, ...]) -> None:
        answer = manage("retry_run", *arguments, "--reason", "x")
        assert (answer.status, answer.err) == (2, "Name the runs, or use --cause.")

    def test_a_backfill_that_is_stopped_says_how_to_end_what_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        manage("discover_reports")
        key = id_of(WINDSTORM)
        backfill_sleeps([interrupt], monkeypatch)

        answer = manage("backfill_reports", key, *DAYS, "--limit-in-flight", "2")

        rest = int(answer.err.split("ends them. ")[1].split(" ")[0].replace(",", ""))
        command = f"'cancel_run --backfill {key} --reason TEXT' ends them."
        assert f"Stopped watching. What was queued goes on: 2 runs. {command}" in answer.err
        assert (answer.status, rest > 0) == (1, True)
        manage("run_report", key)
        assert manage("cancel_run", "--backfill", key, "--reason", "enough").out.count("canceled") == 2
        statuses = ReportRun.objects.values_list("trigger", "status").distinct()
        assert set(statuses) == {("backfill", "canceled"), ("manual", "queued")}

    def test_a_backfill_shows_its_progress_without_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        manage("discover_reports")
        backfill_sleeps([a_worker_works(), a_worker_works(), interrupt], monkeypatch)
        answer = manage("backfill_reports", id_of(WINDSTORM), *DAYS, "--limit-in-flight", "2")
        progress = [line for line in answer.err.splitlines() if line.endswith(" ended")]
        assert [line.split(" ")[0] for line in progress] == ["2", "4"]
