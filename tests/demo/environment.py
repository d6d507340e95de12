"""The demo's folder in `var/`: its databases, results, logs and environment."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[2]
GRACE = 15  # seconds for a process to end by itself
PATIENCE = 120  # seconds for a server to answer on a busy machine; one that ended is noticed at once


def free_port() -> int:
    """Return a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class Environment:
    """A folder and the variables with which the example host runs with a local Fireant."""

    folder: Path
    fireant_port: int = field(default_factory=free_port)
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    queue: str = field(default_factory=lambda: f"environment-{secrets.token_hex(4)}")
    """The queue's name: of its own, so that no other cluster on the same Redis takes its messages."""
    overrides: dict[str, str] = field(default_factory=dict)

    def empty(self) -> None:
        """Remove the remains of an earlier demo."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    @property
    def variables(self) -> dict[str, str]:
        """Return the process environment, without the caller's settings except PATH and the like."""
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

    def manage(self, *arguments: str, statuses: Collection[int] = (0,)) -> str:
        """Run a command to its end, with its output in `commands.log`; return its standard output.

        An exit status other than these shows the output and exits.
        """
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.variables, capture_output=True, text=True, check=False)
        with (self.folder / "commands.log").open("a") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
        if done.returncode not in statuses:
            sys.stderr.write(done.stdout + done.stderr)
            raise SystemExit(f"{' '.join(arguments)} ended with status {done.returncode}")
        return done.stdout

    @contextmanager
    def running(self, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command in the background, with its output in `<name>.log`; end it with its children."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT,
                env=self.variables,
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
        """Run the local Fireant until it responds."""
        arguments = ("fireant_sandbox", "--port", str(self.fireant_port), *options)
        with self.running("fireant", *arguments) as process:
            await_answer(
                f"http://127.0.0.1:{self.fireant_port}/sandbox/health", process, {"Authorization": f"Bearer {self.key}"}
            )
            yield


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, and after a while kill its group."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        kill_group(process.pid)
        process.wait()


def kill_group(leader: int) -> None:
    """Kill the rest of a process group, if there is any."""
    try:
        os.killpg(leader, 9)
    except ProcessLookupError:
        return


def await_answer(url: str, process: subprocess.Popen[bytes], headers: dict[str, str] | None = None) -> None:
    """Wait until the server responds."""
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
