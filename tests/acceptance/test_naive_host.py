"""A host without time zones: the tests of the tables once more, and real clusters, on each kind of database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.demo.environment import Environment
from tests.support.console import ask
from tests.support.database_servers import connected
from tests.support.environments import environment_on_server
from tests.support.main_job import assert_all_right, assert_nothing_was_done_twice, prepared, wait_for_the_end
from tests.support.rerun import run_again, unused_urls

pytestmark = pytest.mark.slow

NAIVE = "tests.host.naive_settings"
EVERYWHERE = (
    "models/test_instants.py",
    "adapters/host/test_naive_hosts.py",
    "services/upkeep/test_clock_rollback.py",
    "services/scheduling/test_open_due_runs.py",
)
PAGES = (
    "admin/actions/test_report_actions.py",
    "admin/test_dashboard.py::TestTheSentence",
    "admin/test_report_pages.py::TestTheReportPage",
    "admin/test_log_lines.py",
)
"""The tests of the admin that read a clock on a page; the others would tell nothing more here."""
ON_SQLITE = (
    *EVERYWHERE,
    *PAGES,
    "admin/test_read_only.py",
    "admin/test_lists.py",
    "admin/test_report_list.py",
    "admin/test_runs.py",
    "admin/test_changes.py",
    "models/test_shared_state.py",
    "adapters/queue",
    "test_brokers.py",
    "adapters/host/test_reports.py",
    "adapters/host/test_modifiers.py",
    "adapters/host/test_jobs.py",
    "adapters/host/test_names.py",
    "adapters/host/test_saves.py",
    "services/upkeep/test_pruning.py",
)
ON_POSTGRES = (
    *EVERYWHERE,
    "checks",
    "services/running/test_worker.py",
    "services/running/test_failures.py",
    "services/running/test_commit.py",
)
HOURLY = "Terrorism accumulation Europe"
"""A seeded report of every hour."""
HERE = "Asia/Kolkata"
"""A zone that is neither the host's nor UTC."""


def test_the_tables_hold_without_time_zones_on_sqlite(tmp_path: Path) -> None:
    urls = f"sqlite:///{tmp_path / 'd.sqlite3'}", f"sqlite:///{tmp_path / 'r.sqlite3'}"
    run_again(ON_SQLITE, urls, settings=NAIVE)


def test_the_tables_hold_without_time_zones_on_postgresql(postgres_url: str) -> None:
    run_again(ON_POSTGRES, unused_urls(postgres_url), settings=NAIVE)


def test_a_cluster_works_where_clocks_host_and_database_have_three_zones(tmp_path: Path, postgres_url: str) -> None:
    """Django-Q's own scheduler starts the reports, and a backfill runs all 25 hours of the day on which the clocks go back."""
    with environment_on_server(tmp_path, postgres_url) as environment:
        environment.overrides |= {"DJANGO_SETTINGS_MODULE": NAIVE, "SESSION_TIME_ZONE": HERE}
        for name in ("DATABASE_URL", "REPORTS_DATABASE_URL"):
            live_elsewhere(environment.overrides[name])
        with prepared(environment, "pipeline"), environment.running("qcluster", "qcluster"):
            assert session_zone(environment) == HERE
            wait_for_the_end(environment)
            assert_all_right(environment)
            assert_nothing_was_done_twice(environment)
            assert backfilled(environment) == hours_of_the_longest_day()
            assert lines_out_of_step(environment) == 0
            environment.manage("orchestrator_health")
        assert "Traceback" not in (tmp_path / "qcluster.log").read_text()


def live_elsewhere(url: str) -> None:
    """Give a database its own time zone."""
    with connected(url) as database:
        database.execute(f"ALTER DATABASE \"{database.info.dbname}\" SET timezone TO '{HERE}'")


def session_zone(environment: Environment) -> str:
    """Return the zone of the host's database sessions."""
    ask = "from django.db import connection as c; d = c.cursor(); d.execute('SHOW timezone'); print(d.fetchone()[0])"
    return environment.manage("shell", "-v0", "-c", ask).strip()


def backfilled(environment: Environment) -> list[str]:
    """Backfill that day's hours of one report; return their instants as stored, if they succeeded."""
    key = str(ask(environment, f"Report.objects.get(name={HOURLY!r}).pk"))
    environment.manage("backfill_reports", key, "--from", "2025-11-02", "--to", "2025-11-02", "--reason", "tests")
    runs = "ReportRun.objects.filter(trigger='backfill', status='succeeded').order_by('scheduled_for')"
    found: list[str] = ask(environment, f"[str(run.scheduled_for) for run in {runs}]")
    return found


def hours_of_the_longest_day() -> list[str]:
    """2 November 2025 in New York."""
    midnight = datetime(2025, 11, 2, 4, tzinfo=UTC)
    return [str(midnight + timedelta(hours=hour)) for hour in range(25)]


def lines_out_of_step(environment: Environment) -> int:
    """Return the number of Django-Q lines with an impossible next time: hours behind, or days ahead of the host's
    clock.
    """
    lines = "Schedule.objects.filter(func__startswith='report_orchestrator.')"
    count: int = ask(
        environment,
        f"{lines}.filter(next_run__lt=datetime.now() - timedelta(minutes=5)).count()"
        f" + {lines}.filter(minutes__isnull=False, next_run__gt=datetime.now() + timedelta(days=1)).count()",
    )
    return count
