"""A PostgreSQL server of its own, with a streaming replica that can be kept behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.demo.environment import end_group, free_port
from tests.support.cluster_state import await_that
from tests.support.database_servers import connected, select

OPTIONS = ("-c", "fsync=off", "-c", "max_connections=200", "-c", "unix_socket_directories=")
STALE_READS = (
    "SELECT count(*) FROM pg_stat_activity WHERE query_start > %s AND datname IS NOT NULL AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True, kw_only=True)
class Replicated:
    """The addresses of a server and of its replica."""

    server: str
    replica: str

    def await_replay(self) -> None:
        """Wait until the replica has everything that was written so far."""
        [written] = select(self.server, "SELECT pg_current_wal_lsn()::text")
        query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        await_that(lambda: select(self.replica, query, [written])[0], "the replica has replayed", 60)

    def stop_replay(self) -> object:
        """Keep the replica as it is; return the instant."""
        return select(self.replica, "SELECT pg_wal_replay_pause(), clock_timestamp()")[1]

    def resume_replay(self, since: object) -> int:
        """Let the replica go on; return the number of connections whose reads it answered from old rows."""
        [written] = select(self.server, "SELECT pg_current_wal_lsn()::text")
        [behind] = select(self.replica, "SELECT pg_last_wal_replay_lsn() < %s::pg_lsn", [written])
        [reads] = select(self.replica, STALE_READS, [since])
        select(self.replica, "SELECT pg_wal_replay_resume()")
        return int(reads) if behind else 0


@contextmanager
def replicated_server() -> Iterator[Replicated]:
    """Yield a new server with a replica; both are gone afterwards."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="replicated-"))
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user:
        shutil.chown(folder, user)
    try:
        with ExitStack() as stack:
            _run([programs / "initdb", "--auth=trust", "--username=postgres", "-D", folder / "server"], user)
            server = stack.enter_context(_running(programs, folder / "server", user))
            _run(
                [programs / "pg_basebackup", "-R", "-C", "-S", "replica", "-D", folder / "replica", "-d", server], user
            )
            replica = stack.enter_context(_running(programs, folder / "replica", user))
            yield Replicated(server=server.removesuffix("/postgres"), replica=replica.removesuffix("/postgres"))
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs: Debian has them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    initdb = shutil.which("initdb") or (found[-1] if found else None)
    if initdb is None:
        raise SystemExit("PostgreSQL's initdb was not found: install its server, or choose other setups by --on.")
    return Path(initdb).resolve().parent


def _run(command: list[object], user: str | None) -> None:
    done = subprocess.run(
        [str(part) for part in command], user=user, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def _running(programs: Path, data: Path, user: str | None) -> Iterator[str]:
    """Run a server on this folder until it responds; yield its address."""
    port = free_port()
    url = f"postgres://postgres@127.0.0.1:{port}/postgres"
    with data.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), *OPTIONS],
            user=user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await_that(lambda: process.poll() is not None or _responds(url), "PostgreSQL responds", 60)
        assert process.poll() is None, data.with_suffix(".log").read_text()
        yield url
    finally:
        process.send_signal(2)  # without waiting for the clients to leave
        end_group(process)


def _responds(url: str) -> bool:
    try:
        connected(url).close()
    except psycopg.OperationalError:
        time.sleep(0.1)
        return False
    return True
