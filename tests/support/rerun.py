"""Test modules once more, in a process of their own with other settings or databases."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Sequence

from tests.demo.environment import ROOT

NOT_SYNCED = {"PGOPTIONS": "-c synchronous_commit=off"}
"""Lets PostgreSQL commit before its disk has: no test cuts the server's power."""


def run_again(modules: Sequence[str], urls: tuple[str, str], *, settings: str = "tests.host.settings") -> None:
    """Run test modules, or one class of a module, with these addresses of the two databases."""
    files = [f"tests/{module}" for module in modules]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-cov", f"--ds={settings}", *files],
        cwd=ROOT,
        env=os.environ | NOT_SYNCED | dict(zip(("DATABASE_URL", "REPORTS_DATABASE_URL"), urls, strict=True)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]


def unused_urls(server_url: str) -> tuple[str, str]:
    """Addresses of databases that pytest makes and removes, on a server that others use too."""
    suffix = secrets.token_hex(4)
    return f"{server_url}/ro_d_{suffix}", f"{server_url}/ro_r_{suffix}"
