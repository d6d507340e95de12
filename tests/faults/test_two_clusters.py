"""Two clusters with different approaches, and people who tick manually: no duplicates, no deadlocks."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from tests.demo.environment import ROOT, Environment
from tests.support.cluster_state import assert_done_once, await_ends
from tests.support.console import ask

pytestmark = pytest.mark.slow

QUARREL, LONGEST = 8.0, 60.0  # seconds, the latter until each of the clusters has worked
YEARS = "157680000"  # seconds: what runs on a leap day only is due too
TROUBLE = re.compile(r"deadlock|database is locked|Traceback|IntegrityError", re.IGNORECASE)
MAKE_DUE = "from tests.acceptance.outage import make_all_due; print(make_all_due())"
OCCURRENCES = "list(ReportRun.objects.values_list('report_key', 'scheduled_for__minute', 'scheduled_for__hour'))"


def start(environment: Environment, *arguments: str) -> subprocess.Popen[str]:
    """Start a command without waiting for it."""
    command = [sys.executable, "manage.py", *arguments]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment.variables, **streams)


def test_two_clusters_with_two_approaches_open_every_time_once(seeded_environment: Environment) -> None:
    environment = seeded_environment
    environment.overrides |= {
        "CRON_SENSOR_INTERVAL_SECONDS": "1",
        "MISSED_RUNS": "all",  # a slow machine may tick once for two times of a report
        "MAX_LOOKBACK_SECONDS": YEARS,
        "OVERLAP": "allow",
    }
    approaches = [
        replace(environment, overrides=environment.overrides | {"SCHEDULING_APPROACH": approach})
        for approach in ("sensor", "pipeline")
    ]
    said = []
    with ExitStack() as stack:
        stack.enter_context(environment.fireant("--seconds-queued", "0", "--seconds-running", "0.2", "--quiet"))
        for number, one in enumerate(approaches):
            stack.enter_context(one.running(f"cluster{number}", "qcluster"))
        environment.manage("resume_reports", "--reason", "tests", "--all")
        due = int(environment.manage("shell", "-v0", "-c", MAKE_DUE))
        logs = [environment.folder / f"cluster{number}.log" for number in range(len(approaches))]
        began_at = time.monotonic()
        while time.monotonic() - began_at < QUARREL or (
            time.monotonic() - began_at < LONGEST and not all("step started" in log.read_text() for log in logs)
        ):
            commands = [start(one, "sync_schedules") for one in approaches]
            commands += [start(environment, "run_due_reports"), start(environment, "shell", "-v0", "-c", MAKE_DUE)]
            said += [command.communicate()[0] for command in commands]
            assert [command.returncode for command in commands] == [0] * len(commands), said[-len(commands) :]
        environment.manage("pause_reports", "--all", "--reason", "the quarrel is over")
        runs = await_ends(environment, due, 60)
        failures = ask(environment, "__import__('django_q').models.Failure.objects.count()")
        assert_done_once(environment, runs)
    logged = [log.read_text() for log in logs]
    assert [trouble for text in (*logged, *said) for trouble in TROUBLE.findall(text)] == []
    assert failures == 0
    assert all("step started" in log for log in logged), "each of the clusters has worked"
    opened = Counter(map(tuple, ask(environment, OCCURRENCES)))
    assert set(opened.values()) == {1}
    assert len({key for key, *_time in opened}) == due
