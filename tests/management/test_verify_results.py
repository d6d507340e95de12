"""Stored results are read again and compared with the SHA-256 of their runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from report_orchestrator.models import ReportRun
from report_orchestrator.testing import FakeClock
from tests.support.commands import cells, manage
from tests.support.seeded_host import WINDSTORM, id_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


@pytest.fixture
def run() -> ReportRun:
    manage("run_report", id_of(WINDSTORM), "--now")
    return ReportRun.objects.get()


def test_an_intact_result_ends_with_0(run: ReportRun) -> None:
    answer = manage("verify_results")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == "1 result: 1 intact, 0 changed, 0 unreadable, 0 no SHA-256.\n"


def test_a_changed_result_is_listed_and_ends_with_1(run: ReportRun) -> None:
    path = Path(run.results_path)
    path.chmod(0o600)
    path.write_text(path.read_text().replace("0", "1", 1))
    answer = manage("verify_results", run.pk)
    assert answer.status == 1
    assert cells(answer.out.splitlines()[1])[:4] == [str(run.pk), run.report, "changed", run.results_path]
    assert manage("verify_results", "--format", "json").json == [
        {"run_id": run.pk, "report_id": run.report_key, "path": run.results_path, "state": "changed", "problem": None}
    ]


def test_a_missing_result_is_listed_with_the_reason(run: ReportRun) -> None:
    Path(run.results_path).unlink()
    [result] = manage("verify_results", "--format", "json").json
    assert result["state"] == "unreadable"
    assert result["problem"] == f"The result at {run.results_path} no longer exists."


def test_a_result_of_before_the_hash_is_counted_and_is_no_failure(run: ReportRun) -> None:
    ReportRun.objects.update(result_sha256="")
    answer = manage("verify_results")
    assert (answer.status, answer.out) == (0, "1 result: 0 intact, 0 changed, 0 unreadable, 1 no SHA-256.\n")


def test_older_results_are_left_out(run: ReportRun, clock: FakeClock) -> None:
    clock.advance(minutes=8 * 24 * 60)
    assert manage("verify_results").out.startswith("0 results: ")
    assert manage("verify_results", "--days", "9").out.startswith("1 result: 1 intact")


def test_a_run_without_a_result_is_named() -> None:
    answer = manage("verify_results", "999")
    assert (answer.status, "Without a stored result: run 999." in answer.err) == (2, True)
