"""The database of this app's tables: server, driver and options."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections, router

from report_orchestrator.models import ReportRun

OLDEST_MARIADB, OLDEST_MYSQL = (10, 6), (8, 0, 17)
"""MariaDB 10.6 and MySQL 8.0.1 skip locked rows; MySQL 8.0.17 has a collation for keys that differ in trailing spaces."""


def check_server(
    app_configs: Sequence[AppConfig] | None, databases: Collection[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the MySQL or MariaDB server of our tables, if it is one of the `databases` that may be queried."""
    connection = connections[router.db_for_write(ReportRun)]
    if connection.vendor != "mysql" or connection.alias not in (databases or ()):
        return []
    return [*_old_server(connection), *_narrow_characters(connection)]


def _old_server(connection: Any) -> Iterator[CheckMessage]:
    oldest = OLDEST_MARIADB if connection.mysql_is_mariadb else OLDEST_MYSQL
    if connection.mysql_version < oldest:
        version, least = (".".join(map(str, numbers)) for numbers in (connection.mysql_version, oldest))
        yield Error(
            f"DATABASES['{connection.alias}'] is {connection.display_name} {version}, and this app needs {least}.",
            hint="Upgrade the server: this version cannot skip locked rows or distinguish trailing spaces in keys.",
            id="report_orchestrator.E012",
        )


def _narrow_characters(connection: Any) -> Iterator[CheckMessage]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@character_set_database")
        [characters] = cursor.fetchone()
    if characters != "utf8mb4":
        yield Warning(
            f"DATABASES['{connection.alias}'] has the character set {characters}: a name with other characters, such as "
            "an emoji, would be refused.",
            hint=f"Before 'migrate', run: ALTER DATABASE {connection.settings_dict['NAME']} CHARACTER SET utf8mb4",
            id="report_orchestrator.W110",
        )


def inexact_times() -> Iterator[CheckMessage]:
    """In the hour that repeats in autumn, psycopg2 does not tell which of two equal wall times it has read."""
    if django_settings.USE_TZ or connections[router.db_for_write(ReportRun)].vendor != "postgresql":
        return
    from django.db.backends.postgresql import psycopg_any  # needs a driver, which other databases' hosts lack

    if not psycopg_any.is_psycopg3:
        yield Error(
            "USE_TZ is False, but psycopg2 cannot distinguish the two times of a repeated hour.",
            hint="Install psycopg 3 (the extra 'postgres'), or set USE_TZ = True.",
            id="report_orchestrator.E009",
        )


def stale_reads() -> Iterator[CheckMessage]:
    """Under REPEATABLE READ a transaction that waited for a lock still reads the rows as they were before."""
    connection = connections[router.db_for_write(ReportRun)]
    level = connection.settings_dict["OPTIONS"].get("isolation_level", "read committed")
    if connection.vendor == "mysql" and (level or "").lower() != "read committed":
        yield Error(
            f"DATABASES['{connection.alias}'] has the isolation level {level!r}: workers would act on outdated rows.",
            hint="Remove 'isolation_level' from OPTIONS, or set it to 'read committed', Django's default.",
            id="report_orchestrator.E011",
        )


def frequent_conflicts() -> Iterator[CheckMessage]:
    """Under a stricter level PostgreSQL ends one of two transactions that want the same row, where the other could wait."""
    connection = connections[router.db_for_write(ReportRun)]
    level = connection.settings_dict["OPTIONS"].get("isolation_level")
    if connection.vendor != "postgresql" or level is None:
        return
    from django.db.backends.postgresql import psycopg_any  # needs a driver, which other databases' hosts lack

    name = psycopg_any.IsolationLevel(level).name
    if name not in {"READ_COMMITTED", "READ_UNCOMMITTED"}:
        yield Warning(
            f"DATABASES['{connection.alias}'] has the isolation level {name}: workers that want the same run end each other's "
            "transactions and try again, so reports start late under load.",
            hint="Remove 'isolation_level' from OPTIONS, or set it to IsolationLevel.READ_COMMITTED, Django's default. A project "
            "that needs the level for its own tables can route this app's tables to a second alias of the same database.",
            id="report_orchestrator.W120",
        )


def sqlite_options() -> Iterator[CheckMessage]:
    for alias, database in django_settings.DATABASES.items():
        options = database.get("OPTIONS") or {}
        if database.get("ENGINE", "").endswith("sqlite3") and options.get("transaction_mode") != "IMMEDIATE":
            yield Warning(
                f"DATABASES['{alias}'] is SQLite without transaction_mode IMMEDIATE, so workers get "
                "'database is locked'.",
                hint=f"Add to your settings: DATABASES['{alias}']['OPTIONS'] = {{'transaction_mode': 'IMMEDIATE', 'timeout': 20, "
                "'init_command': 'PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;'}",
                id="report_orchestrator.W107",
            )
