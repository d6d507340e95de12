"""The database's clock, shared by all clusters: it decides leases, however wrong a machine's own clock is."""

import time
from datetime import UTC, datetime, timedelta

from django.db import connections, router

from report_orchestrator.models import ReportRun

QUERIES = {"postgresql": "SELECT clock_timestamp() AT TIME ZONE 'UTC'", "mysql": "SELECT UTC_TIMESTAMP(6)"}
"""As a wall clock of UTC: what the driver makes of a time with a zone depends on the host's USE_TZ."""
TRUSTED = 1.0
"""Seconds for which the database's answer is extended by this process's monotonic clock."""


class DatabaseClock:
    """The current time by the clock of the runs' database, aware UTC; on SQLite, this machine's clock.

    The database is queried about once a second; in between, the monotonic clock adds the elapsed time.
    """

    def __init__(self) -> None:
        self._read: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        connection = connections[router.db_for_write(ReportRun)]
        query = QUERIES.get(connection.vendor)
        if query is None:
            return datetime.now(UTC)
        since, answer = self._carried_on()
        if answer is not None and since < TRUSTED:
            return answer + timedelta(seconds=since)
        started = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(query)
            now: datetime = cursor.fetchone()[0]
        self._read = (now.replace(tzinfo=UTC), started)
        return self._read[0]

    def _carried_on(self) -> tuple[float, datetime | None]:
        if self._read is None:
            return 0.0, None
        return time.monotonic() - self._read[1], self._read[0]


database_clock = DatabaseClock()
