"""The tests of the database once more, on PostgreSQL and on MariaDB."""

from __future__ import annotations

import pytest

from tests.support.rerun import run_again, unused_urls

pytestmark = pytest.mark.slow

ON_POSTGRES = ("models/test_database_promises.py",)
"""`test_naive_host` takes more of them there."""
ON_MARIADB = (
    *ON_POSTGRES,
    "models/test_instants.py",
    "checks/test_requirements.py",
    "services/scheduling/test_open_due_runs.py",
    "services/running/test_worker.py",
    "services/running/test_commit.py",
    "services/upkeep/test_pruning.py",
    "models/test_shared_state.py",
    "adapters/queue",
    "test_brokers.py",
)


def test_the_database_keeps_its_promises_on_postgresql(postgres_url: str) -> None:
    run_again(ON_POSTGRES, unused_urls(postgres_url))


def test_the_database_keeps_its_promises_on_mariadb(mariadb_url: str) -> None:
    run_again(ON_MARIADB, unused_urls(mariadb_url))
