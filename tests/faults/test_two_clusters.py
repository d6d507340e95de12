"""Two clusters at once, each of which wants another approach, and people who tick by hand: no duplicate, no deadlock."""

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

from tests.demo.place import ROOT, Place
from tests.faults.watching import ask, assert_done_once, await_ends

pytestmark = pytest.mark.acceptance

QUARREL = 8.0  # seconds
YEARS = "157680000"  # seconds: what runs on a leap day only is due too
TROUBLE = re.compile(r"deadlock|database is locked|Traceback|IntegrityError", re.IGNORECASE)
MAKE_DUE = "from tests.acceptance.outage import make_all_due; print(make_all_due())"
OCCURRENCES = (
    "list(ReportRun.objects.values_list('report_key', 'scheduled_for__minute', 'scheduled_for__hour'))"
)


def start(place: Place, *arguments: str) -> subprocess.Popen[str]:
    """A command, not waited for."""
    command = [sys.executable, "manage.py", *arguments]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=place.environment, **streams)


def test_two_clusters_with_two_approaches_open_every_time_once(seeded_place: Place) -> None:
    place = seeded_place
    place.overrides |= {
        "CRON_SENSOR_INTERVAL_SECONDS": "1",
        "MISSED_RUNS": "latest",
        "MAX_LOOKBACK_SECONDS": YEARS,
        "OVERLAP": "allow",
    }
    approaches = [
        replace(place, overrides=place.overrides | {"SCHEDULING_APPROACH": approach})
        for approach in ("sensor", "pipeline")
    ]
    said = []
    with ExitStack() as stack:
        stack.enter_context(place.fireant("--seconds-queued", "0", "--seconds-running", "0.2", "--quiet"))
        for number, one in enumerate(approaches):
            stack.enter_context(one.running(f"cluster{number}", "qcluster"))
        place.manage("resume_reports", "--all")
        due = int(place.manage("shell", "-v0", "-c", MAKE_DUE))
        until = time.monotonic() + QUARREL
        while time.monotonic() < until:
            commands = [start(one, "sync_schedules") for one in approaches]
            commands += [start(place, "run_due_reports"), start(place, "shell", "-v0", "-c", MAKE_DUE)]
            said += [command.communicate()[0] for command in commands]
            assert [command.returncode for command in commands] == [0] * len(commands), said[-len(commands) :]
        place.manage("pause_reports", "--all", "--reason", "the quarrel is over")
        runs = await_ends(place, due, 60)
        failures = ask(place, "__import__('django_q').models.Failure.objects.count()")
        assert_done_once(place, runs)
    logs = [(place.folder / f"cluster{number}.log").read_text() for number in range(len(approaches))]
    assert [trouble for text in (*logs, *said) for trouble in TROUBLE.findall(text)] == []
    assert failures == 0
    assert all("step started" in log for log in logs), "each of the clusters has worked"
    opened = Counter(map(tuple, ask(place, OCCURRENCES)))
    assert set(opened.values()) == {1}
    assert len({key for key, *_time in opened}) == due
