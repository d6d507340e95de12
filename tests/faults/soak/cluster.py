"""A `qcluster` under a supervisor."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

from tests.demo.environment import ROOT, Environment, end_group


class Supervised:
    """A qcluster that is started again whenever it has ended, as by systemd."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.starts = 0
        self._log = (environment.folder / "qcluster.log").open("ab")
        self._start()

    def _start(self) -> None:
        self.starts += 1
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=ROOT,
            env=self.environment.variables,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def restart_if_ended(self) -> None:
        if self.process.poll() is not None:
            self._start()

    def keep_running(self, seconds: float) -> None:
        """Wait, and start the cluster again whenever it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.restart_if_ended()
            time.sleep(0.05)

    def processes(self) -> list[psutil.Process]:
        """Return all its processes by ID, so that a seed chooses the same ones."""
        try:
            main = psutil.Process(self.process.pid)
            return sorted([main, *main.children(recursive=True)], key=lambda process: process.pid)
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        end_group(self.process)
        self._log.close()
