"""The database's clock, which decides leases: all clusters share it, however wrong their own clocks are."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connections, router

from report_orchestrator.models import ReportRun


def database_clock() -> datetime:
    """Now, aware UTC, by the clock of the database that holds the runs. On SQLite that is this machine's."""
    connection = connections[router.db_for_write(ReportRun)]
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now.astimezone(UTC)
