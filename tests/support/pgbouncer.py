"""A PgBouncer in transaction mode before a PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.demo.environment import end_group, free_port
from tests.support.cluster_state import await_that
from tests.support.database_servers import connected

SERVERS = 5
"""Connections to each database; fewer than a cluster's processes, so that they take turns on them."""


@contextmanager
def pgbouncer(program: str, server_url: str) -> Iterator[str]:
    """Yield the URL of a PgBouncer before this server; it is stopped afterwards."""
    server, port = urlsplit(server_url), free_port()
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    folder.chmod(0o755)  # it refuses to run as root, and another user has to read its files
    (folder / "users.txt").write_text(f'"{server.username}" "{server.password or ""}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server.hostname} port={server.port or 5432}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {folder}/users.txt\n"
        f"pool_mode = transaction\ndefault_pool_size = {SERVERS}\nmax_client_conn = 200\n"
    )
    url = f"{server.scheme}://{server.username}@127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, str(folder / "pgbouncer.ini")],
            user="nobody" if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await_that(lambda: process.poll() is not None or _responds(url), "PgBouncer responds")
        assert process.poll() is None, (folder / "log").read_text()
        yield url
    finally:
        end_group(process)
        shutil.rmtree(folder)


def _responds(url: str) -> bool:
    try:
        connected(url).close()
    except psycopg.OperationalError:
        return False
    return True
