"""A `qcluster` under a supervisor."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import psutil

from tests.demo.environment import PATIENCE, ROOT, Environment, end_group

CHILDREN = 5  # of eight that its main process and sentinel start
STARTED = re.compile(rb"child started role='(\w+)' pid=(\d+)")


class Supervised:
    """A qcluster that is started again whenever it has ended, as by systemd."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.starts = 0
        self._path = environment.folder / "qcluster.log"
        self._log = self._path.open("ab")
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

    def processes_once_started(self) -> list[psutil.Process]:
        """Wait for its children; return all its processes, or none if there are no children in time."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if len(processes := self.processes()) > CHILDREN:
                return processes
            self.keep_running(0.05)
        return []

    def role(self, pid: int) -> str:
        """Return the role of one of its processes, as its log says."""
        if pid == self.process.pid:
            return "main"
        started = STARTED.findall(self._path.read_bytes())
        return next((role.decode() for role, child in reversed(started) if int(child) == pid), "starting")

    def stop(self) -> None:
        end_group(self.process)
        self._log.close()
