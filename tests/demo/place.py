"""A demo's own corner of `var/`: its databases, lake, logs and environment, apart from everything else."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[2]
GRACE = 15  # seconds for a process to end by itself
PATIENCE = 30  # seconds for a server to answer


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class Place:
    """A folder and an environment in which the example host runs with a local Fireant."""

    folder: Path
    fireant_port: int = field(default_factory=free_port)
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    queue: str = field(default_factory=lambda: f"place-{secrets.token_hex(4)}")
    """The queue's name: of its own, so that no other cluster on the same Redis takes its messages."""
    overrides: dict[str, str] = field(default_factory=dict)

    def empty(self) -> None:
        """Removes what an earlier demo left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    @property
    def environment(self) -> dict[str, str]:
        """The process environment; nothing of the caller's own settings comes through but PATH and the like."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.host.settings",
            "APP_ENV": "dev",
            "DATABASE_URL": f"sqlite:///{self.folder / 'default.sqlite3'}",
            "REPORTS_DATABASE_URL": f"sqlite:///{self.folder / 'reports.sqlite3'}",
            "CACHE_DIR": str(self.folder / "cache"),
            "RESULT_ROOT": str(self.folder / "lake"),
            "Q_BROKER": "orm",
            "Q_NAME": self.queue,
            "SCHEDULING_APPROACH": os.environ.get("SCHEDULING_APPROACH", "sensor"),
            "FIREANT_API_URL": f"http://127.0.0.1:{self.fireant_port}",
            "FIREANT_API_KEY": self.key,
            "POLL_INTERVAL_SECONDS": "1",
            "CRON_SENSOR_INTERVAL_SECONDS": "5",
            "RETRY_BACKOFF_SECONDS": "1",
            **self.overrides,
        }

    def manage(self, *arguments: str, expected_status: int = 0) -> str:
        """Runs one command to its end, its output in `commands.log`; returns what it wrote to standard output.

        Where it ends with another status than the expected one, shows the output and exits.
        """
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        with (self.folder / "commands.log").open("a") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
        if done.returncode != expected_status:
            sys.stderr.write(done.stdout + done.stderr)
            raise SystemExit(f"{' '.join(arguments)} ended with status {done.returncode}")
        return done.stdout

    @contextmanager
    def running(self, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command in the background, its output in `<name>.log`, ended with everything that it started."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            end_group(process)

    @contextmanager
    def fireant(self, *options: str) -> Iterator[None]:
        """The local Fireant, answering."""
        arguments = ("fireant_sandbox", "--port", str(self.fireant_port), *options)
        with self.running("fireant", *arguments) as process:
            await_answer(
                f"http://127.0.0.1:{self.fireant_port}/sandbox/health",
                process,
                {"Authorization": f"Bearer {self.key}"},
            )
            yield


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Asks a process to end, and after a while ends its whole group."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        kill_group(process.pid)
        process.wait()


def kill_group(leader: int) -> None:
    """Ends what is left of a process group, if anything is."""
    try:
        os.killpg(leader, 9)
    except ProcessLookupError:
        return


def await_answer(url: str, process: subprocess.Popen[bytes], headers: dict[str, str] | None = None) -> None:
    """Waits until a server of ours answers at all."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with status {process.returncode}")
        try:
            with urlopen(Request(url, headers=headers or {}), timeout=2):
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise SystemExit(f"{url} did not answer within {PATIENCE} s")
