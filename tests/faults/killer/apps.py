"""Kill points around the five steps.

`before:<step>` dies when the step is about to be tried, `inside:<step>` when it has acted and nothing is committed,
`after:<step>` when its result has just been committed. Which run dies where is read from `KILL_PLAN`, a JSON file of
report names to points; each point leaves a file in `KILL_MARKS`, which proves that it fired and keeps it from firing again.
A report whose point is `always:<step>` dies inside that step every time: it is poison.
One whose point is `hold:<step>` does not die: it stays inside that step until the file `go` is among the marks.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.apps import AppConfig


class KillerConfig(AppConfig):
    """Wrap the steps if the environment variables require it."""

    name = "tests.faults.killer"
    label = "killer"

    def ready(self) -> None:
        """Install the kill points."""
        if "KILL_PLAN" not in os.environ:
            return
        from report_orchestrator import signals
        from report_orchestrator.services.running import steps as pipeline

        for step, function in list(pipeline.STEPS.items()):
            pipeline.STEPS[step] = deadly(step.value, function)  # type: ignore[index]  # a dict, for tests
        signals.run_event.connect(die_after, weak=False)


def deadly(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the step with a kill point before it and one inside."""

    def perform(run: Any, context: Any) -> Any:
        die_at(f"before:{step}", run.report_name)
        outcome = function(run, context)
        die_at(f"inside:{step}", run.report_name)
        die_if_poison(step, run.report_name)
        stay_if_held(step, run.report_name)
        return outcome

    return perform


def die_after(*, event: str, fields: dict[str, Any], **_kwargs: Any) -> None:
    """Kill the process right after the commit of a step."""
    if event in {"step_completed", "run_succeeded"}:
        name = fields["report"].partition(" (")[2].removesuffix(")")
        die_at(f"after:{fields['step']}", name)


def die_if_poison(step: str, report_name: str) -> None:
    """Kill the process every time, with a numbered mark for each."""
    plan = json.loads(Path(os.environ["KILL_PLAN"]).read_text())
    if plan.get(report_name) != f"always:{step}":
        return
    marks = Path(os.environ["KILL_MARKS"])
    (marks / f"poison-{len(list(marks.glob('poison-*'))) + 1}").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def stay_if_held(step: str, report_name: str) -> None:
    """Leave a mark and wait for the file `go`."""
    plan = json.loads(Path(os.environ["KILL_PLAN"]).read_text())
    if plan.get(report_name) != f"hold:{step}":
        return
    marks = Path(os.environ["KILL_MARKS"])
    (marks / f"held-{step}").touch()
    while not (marks / "go").exists():
        time.sleep(0.02)


def die_at(point: str, report_name: str) -> None:
    """Kill this process if the plan requires it and the point has not fired yet."""
    plan = json.loads(Path(os.environ["KILL_PLAN"]).read_text())
    if plan.get(report_name) != point:
        return
    try:
        mark = os.open(Path(os.environ["KILL_MARKS"]) / point.replace(":", "-"), os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    os.close(mark)
    os.kill(os.getpid(), signal.SIGKILL)
