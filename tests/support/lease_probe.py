"""Hold a run inside each step until it is released, so that a fault meets runs in every step."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from report_orchestrator.domain.runs import Step
from tests.demo.environment import Environment


def hold_in_each_step(environment: Environment, names: Sequence[str]) -> Path:
    """Hold the first five reports in one step each; return the folder of `held-<step>` and `go`.

    Starts one worker for each of them, and one more.
    """
    marks = Path(tempfile.mkdtemp(dir=environment.folder, prefix="marks-"))
    plan = marks.with_suffix(".json")
    plan.write_text(json.dumps({name: f"hold:{step.value}" for name, step in zip(names, Step, strict=False)}))
    environment.overrides |= {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "KILL_PLAN": str(plan),
        "KILL_MARKS": str(marks),
        "LEASE_SECONDS": "60",  # nobody renews it while the run is held
        "TIMEOUT_SECONDS": "2",
        "POLL_INTERVAL_SECONDS": "1",
        "Q_WORKERS": str(len(Step) + 1),
    }
    return marks


def held(marks: Path) -> int:
    """Return the number of runs inside their step."""
    return len(list(marks.glob("held-*")))
