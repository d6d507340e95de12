"""A Django process of an environment that answers questions and runs preparing commands.

A process for each of them would need more time than the question, on the cores of the cluster under test.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

from tests.demo.environment import ROOT, Environment

LISTEN = """
import json, os, sys, traceback
from collections import Counter
from datetime import datetime, timedelta
from django.core.management import call_command
from django.db import connections
from django.db.models import F
from django.utils.timezone import now
from django_q.models import Schedule
from report_orchestrator.models import *
from tests.acceptance.outage import make_all_due
from tests.faults import many_reports
from tests.host.api.models import *

replies = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what commands print goes to the log
for line in sys.stdin:
    expression, command = json.loads(line)
    try:
        if command:
            call_command(*command)
        reply = json.dumps([eval(expression), ""])
    except BaseException:
        reply = json.dumps([None, traceback.format_exc()])
    connections.close_all()  # as a new process finds them: at the server that is there then
    print(reply, file=replies, flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Console:
    """The process, and the environment with which it was started."""

    environment: Environment
    process: subprocess.Popen[str]

    @classmethod
    def of(cls, environment: Environment) -> Console:
        """Start a process; its errors go to `console.log`."""
        with (environment.folder / "console.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "shell", "-v0", "-c", LISTEN],
                cwd=ROOT,
                env=environment.variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return cls(environment=replace(environment, overrides=dict(environment.overrides)), process=process)

    def result(self, expression: str, *command: str) -> Any:
        """Return the JSON value of an expression, after a command if there is one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([expression, command]), file=self.process.stdin, flush=True)
        value, error = json.loads(self.process.stdout.readline() or '[null, "The console ended: see console.log."]')
        assert not error, error
        return value

    def close(self) -> None:
        self.process.communicate()


_open: list[Console] = []


def _console(environment: Environment) -> Console:
    """Return the console of the environment as it is now. One is open at a time: tests rarely change back and forth."""
    if not _open or _open[0].environment != environment or _open[0].process.poll() is not None:
        close_console()
        _open.append(Console.of(environment))
    return _open[0]


@atexit.register
def close_console() -> None:
    while _open:
        _open.pop().close()


def ask(environment: Environment, expression: str) -> Any:
    """Return the JSON value of an expression, evaluated in a process of the environment."""
    return _console(environment).result(expression)


def run_command(environment: Environment, *command: str) -> None:
    """Run a command that is not itself under test, in a process of the environment."""
    _console(environment).result("None", *command)
