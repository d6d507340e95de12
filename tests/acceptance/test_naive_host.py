"""A host without time zones: the tests of the tables once more, and real clusters, on each kind of database."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.test_main_job import (
    assert_all_right,
    assert_nothing_was_done_twice,
    in_django,
    prepared,
    wait_for_the_end,
)
from tests.demo.place import ROOT, Place
from tests.places import place_on_postgres

pytestmark = pytest.mark.acceptance

NAIVE = "tests.host.naive_settings"
EVERYWHERE = ("instants", "naive_hosts", "clock_changes", "scheduling")
PAGES = ("acts::TestReports", "reading::TestTheSentence", "reading::TestTheReportPage", "run_page::TestLines")
"""The tests of the admin that read a clock on a page; the others would tell nothing more here."""
ON_SQLITE = (
    *EVERYWHERE,
    *(f"admin_{page}" for page in PAGES),
    "admin",
    "django_q",
    "host_adapters",
    "pruning",
)
ON_POSTGRES = (*EVERYWHERE, "checks", "execution")
HOURLY = "Terrorism accumulation Europe"
"""A seeded report of every hour."""
HERE = "Asia/Kolkata"
"""A zone that is neither the host's nor UTC."""


def run_again(modules: tuple[str, ...], database_url: str, reports_url: str) -> None:
    """Runs modules of the integration tests, or one class of a module (`admin::TestLists`), in a host without time zones."""
    chosen = [module.partition("::") for module in modules]
    files = [f"tests/integration/test_{name}.py{colons}{group}" for name, colons, group in chosen]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov", f"--ds={NAIVE}", *files],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url, "REPORTS_DATABASE_URL": reports_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]


def test_the_tables_hold_without_time_zones_on_sqlite(tmp_path: Path) -> None:
    run_again(ON_SQLITE, f"sqlite:///{tmp_path / 'd.sqlite3'}", f"sqlite:///{tmp_path / 'r.sqlite3'}")


def test_the_tables_hold_without_time_zones_on_postgresql(postgres_url: str) -> None:
    suffix = secrets.token_hex(4)
    run_again(ON_POSTGRES, f"{postgres_url}/ro_d_{suffix}", f"{postgres_url}/ro_r_{suffix}")


def test_a_cluster_works_where_clocks_host_and_database_have_three_zones(
    tmp_path: Path, postgres_url: str
) -> None:
    """Django-Q's own scheduler starts the reports, and a backfill runs all 25 hours of the day on which the clocks go back."""
    with place_on_postgres(tmp_path, postgres_url) as place:
        place.overrides |= {"DJANGO_SETTINGS_MODULE": NAIVE, "SESSION_TIME_ZONE": HERE}
        for name in ("DATABASE_URL", "REPORTS_DATABASE_URL"):
            live_elsewhere(place.overrides[name])
        with prepared(place, "pipeline"), place.running("qcluster", "qcluster"):
            assert session_zone(place) == HERE
            wait_for_the_end(place)
            assert_all_right(place)
            assert_nothing_was_done_twice(place)
            assert backfilled(place) == hours_of_the_longest_day()
            assert lines_out_of_step(place) == 0
            place.manage("orchestrator_health")
        assert "Traceback" not in (tmp_path / "qcluster.log").read_text()


def live_elsewhere(url: str) -> None:
    """Gives a database a zone of its own."""
    with psycopg.connect(url.replace("postgres://", "postgresql://"), autocommit=True) as database:
        database.execute(f"ALTER DATABASE \"{database.info.dbname}\" SET timezone TO '{HERE}'")


def session_zone(place: Place) -> str:
    """The zone of the host's database sessions."""
    ask = "from django.db import connection as c; d = c.cursor(); d.execute('SHOW timezone'); print(d.fetchone()[0])"
    return place.manage("shell", "-v0", "-c", ask).strip()


def backfilled(place: Place) -> list[str]:
    """Runs that day's hours of one report; gives their instants as the table has them, if they succeeded."""
    key = str(in_django(place, f"Report.objects.get(name={HOURLY!r}).pk"))
    place.manage("backfill_reports", key, "--from", "2025-11-02", "--to", "2025-11-02")
    runs = "ReportRun.objects.filter(trigger='backfill', status='succeeded').order_by('scheduled_for')"
    found: list[str] = in_django(place, f"[str(run.scheduled_for) for run in {runs}]")
    return found


def hours_of_the_longest_day() -> list[str]:
    """2 November 2025 in New York."""
    midnight = datetime(2025, 11, 2, 4, tzinfo=UTC)
    return [str(midnight + timedelta(hours=hour)) for hour in range(25)]


def lines_out_of_step(place: Place) -> int:
    """How many of Django-Q's lines lie where no line's next time can lie: hours behind, or days ahead of the host's clock."""
    lines = "Schedule.objects.filter(func__startswith='report_orchestrator.')"
    count: int = in_django(
        place,
        f"{lines}.filter(next_run__lt=datetime.now() - timedelta(minutes=5)).count()"
        f" + {lines}.filter(minutes__isnull=False, next_run__gt=datetime.now() + timedelta(days=1)).count()",
    )
    return count
