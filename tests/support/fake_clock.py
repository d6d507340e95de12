"""A clock of a PostgreSQL database that a test moves while a cluster runs. The machine's clock runs on.

libfaketime would not do: with a faked clock and a real monotonic one, Python's `time.sleep` fails.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

from tests.support.database_servers import connected, select

FUNCTION = """
    CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM fake.clock'
"""


class FakeDatabaseClock:
    """The `clock_timestamp()` of a database, for all connections that are opened from now on."""

    def __init__(self, url: str) -> None:
        self._url = url
        name = url.rpartition("/")[2]
        self._execute("CREATE SCHEMA fake")
        self._execute("CREATE TABLE fake.clock AS SELECT interval '0' AS ahead")
        self._execute(FUNCTION)
        self._execute(f"ALTER DATABASE {name} SET search_path TO public, fake, pg_catalog")

    @property
    def now(self) -> datetime:
        now: datetime = select(self._url, "SELECT clock_timestamp()")[0]
        return now.astimezone(UTC)

    @now.setter
    def now(self, instant: datetime) -> None:
        self._execute("UPDATE fake.clock SET ahead = %s - pg_catalog.clock_timestamp()", instant)

    def _execute(self, statement: str, *values: datetime) -> None:
        with closing(connected(self._url)) as database, database.cursor() as cursor:
            cursor.execute(statement, values)
