"""New databases on the PostgreSQL and MariaDB servers that tests use."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql

PATIENCE = 3  # seconds for a server to answer


def connected(url: str) -> Any:
    """A connection that commits each statement, to the address of a database, or of a server."""
    parts = urlsplit(url)
    name = parts.path.removeprefix("/")
    if parts.scheme == "mysql":
        return pymysql.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=parts.username,
            password=parts.password or "",
            database=name or None,
            autocommit=True,
            connect_timeout=PATIENCE,
        )
    address = parts._replace(scheme="postgresql", path=f"/{name or 'postgres'}").geturl()
    return psycopg.connect(address, autocommit=True, connect_timeout=PATIENCE)


def select(url: str, query: str, values: Sequence[object] = ()) -> Any:
    """The first row of a statement's result."""
    with closing(connected(url)) as server, server.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchone()


def set_read_only(urls: Collection[str], *, read_only: bool) -> None:
    """Make PostgreSQL databases read-only, or no longer, for connections that are made from now on."""
    for url in urls:
        with closing(connected(url)) as database:
            database.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
            database.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = {read_only}")


@contextmanager
def new_databases(server_url: str, *roles: str) -> Iterator[list[str]]:
    """The addresses of new, empty databases, which are gone afterwards."""
    suffix = secrets.token_hex(4)
    names = [f"ro_{role}_{suffix}" for role in roles]
    force = "" if server_url.startswith("mysql") else " WITH (FORCE)"
    with closing(connected(server_url)) as server, server.cursor() as cursor:
        for name in names:
            cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield [f"{server_url}/{name}" for name in names]
    finally:
        with closing(connected(server_url)) as server, server.cursor() as cursor:
            for name in names:
                cursor.execute(f"DROP DATABASE {name}{force}")
