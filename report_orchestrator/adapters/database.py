"""The database's clock, which decides leases: all clusters share it, however wrong their own clocks are."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from django.db import connections, router

from report_orchestrator.models import ReportRun

TRUSTED = 1.0
"""Seconds for which an answer of the database is carried on by this process's own steady clock."""


class DatabaseClock:
    """Now, aware UTC, by the clock of the database that holds the runs. On SQLite that is this machine's.

    The database is asked about once a second; in between the time moves on with the monotonic clock, which nobody can set.
    """

    def __init__(self) -> None:
        self._read: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        """The time."""
        connection = connections[router.db_for_write(ReportRun)]
        if connection.vendor != "postgresql":
            return datetime.now(UTC)
        since, answer = self._carried_on()
        if answer is not None and since < TRUSTED:
            return answer + timedelta(seconds=since)
        asked = time.monotonic()
        with connection.cursor() as cursor:
            # As a wall clock of UTC: what the driver makes of a time with a zone depends on the host's USE_TZ.
            cursor.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'")
            now: datetime = cursor.fetchone()[0]
        self._read = (now.replace(tzinfo=UTC), asked)
        return self._read[0]

    def _carried_on(self) -> tuple[float, datetime | None]:
        if self._read is None:
            return 0.0, None
        return time.monotonic() - self._read[1], self._read[0]


database_clock = DatabaseClock()
