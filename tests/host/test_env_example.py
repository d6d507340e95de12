"""A fresh copy of the example host works with `cp env.example .env`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from report_orchestrator.conf import OPERATIONAL
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("report_orchestrator", "tests/host"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("manage.py", "env.example", "tests/__init__.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copy(tmp_path / "env.example", tmp_path / ".env")
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def manage(copy: Path, *arguments: str, **variables: str) -> str:
    foreign = {*OPERATIONAL, "DATABASE_URL", "REPORTS_DATABASE_URL", "DEBUG", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in foreign} | variables
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_report_runs_with_the_example_as_it_is(copy: Path) -> None:
    manage(copy, "migrate", "-v0")
    manage(copy, "migrate", "-v0", "--database", "reports")
    manage(copy, "seed_reports")
    with FireantSandbox(SandboxOptions()) as fireant:
        # Not the sandbox's usual port, which may be in use here, and no minute's wait.
        variables = {"FIREANT_API_URL": fireant.url, "POLL_INTERVAL_SECONDS": "1"}
        [run] = json.loads(manage(copy, "run_report", "1", "--now", "--format", "json", **variables))
    assert run["status"] == "succeeded"
    assert Path(run["results_path"]).is_relative_to(copy / "var" / "lake" / "report_results")
    assert [path.name for path in copy.iterdir() if path.name.startswith("lake")] == []


@pytest.mark.parametrize("line", ["APP_ENV=prod", "APP_ENV=prod   # JSON lines"])
def test_production_is_one_line(copy: Path, line: str) -> None:
    example = (copy / ".env").read_text()
    assert "\nAPP_ENV=dev\n" in example
    (copy / ".env").write_text(example.replace("\nAPP_ENV=dev\n", f"\n{line}\n"))
    code = (
        "from django.conf import settings; from report_orchestrator.conf import load_settings; "
        "print(settings.DEBUG, load_settings()[0].app_env)"
    )
    assert manage(copy, "shell", "-v0", "-c", code) == "False prod\n"
