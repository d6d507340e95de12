"""Reports that stay inside a step each until they are let go, so that a fault meets runs in every step."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from report_orchestrator.domain.runs import Step
from tests.demo.place import Place


def hold_in_each_step(place: Place, names: Sequence[str]) -> Path:
    """Has the first five reports stay inside a step each. Returns the folder where each leaves `held-<step>`, and looks for `go`.

    One worker is there for each of them, and one more.
    """
    marks = Path(tempfile.mkdtemp(dir=place.folder, prefix="marks-"))
    plan = marks.with_suffix(".json")
    plan.write_text(json.dumps({name: f"hold:{step.value}" for name, step in zip(names, Step, strict=False)}))
    place.overrides |= {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "KILL_PLAN": str(plan),
        "KILL_MARKS": str(marks),
        "LEASE_SECONDS": "20",
        "TIMEOUT_SECONDS": "2",
        "POLL_INTERVAL_SECONDS": "1",
        "Q_WORKERS": str(len(Step) + 1),
    }
    return marks


def held(marks: Path) -> int:
    """How many are inside their step."""
    return len(list(marks.glob("held-*")))
