"""Run management commands, in this process or in their own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """The result of a command: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def manage(command: str, *arguments: object) -> CommandResult:
    """Run a command as `manage.py` does, in this process."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    try:
        call_command(command, *map(str, arguments), stdout=out, stderr=err, no_color=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except CommandError as error:
        status = error.returncode
        err.write(str(error))
    return CommandResult(status=status, out=out.getvalue(), err=err.getvalue())


def as_process(*arguments: str, **environment: str) -> CommandResult:
    """Run `manage.py` in its own process."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.host.settings", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return CommandResult(status=done.returncode, out=done.stdout, err=done.stderr)


def cells(line: str) -> list[str]:
    """Return the columns of a line of a table."""
    return [cell.strip() for cell in line.split(" | ")]
