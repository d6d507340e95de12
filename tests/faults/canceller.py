"""Cancel runs from several threads while clusters complete them, and check that ended runs stay unchanged.

Imported in a process of the environment.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from django.db import connections

from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import ReportRun
from report_orchestrator.services.operator_actions import cancel_run
from report_orchestrator.wiring import get_runtime

HANDS = 3
AT_ONCE = 4  # live runs that the hands choose from: few, so that they meet each other and the workers
End: TypeAlias = tuple[str, int, str]


def cancel_while_they_run(most: int, seconds: float, seed: int) -> str:
    """Cancel up to `most` runs; return JSON: the canceled IDs per thread, the refusals, and the ended runs that
    changed.
    """
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(HANDS + 1) as pool:
        hands = [pool.submit(_cancel, most // HANDS, until, random.Random(f"{seed} {n}")) for n in range(HANDS)]
        watcher = pool.submit(_watch, until)
        results = [hand.result() for hand in hands]
        reported = {
            "canceled": [pk for won, _refused in results for pk in won],
            "refused": dict(sum((refused for _won, refused in results), Counter())),
            "changed": watcher.result(),
        }
    return json.dumps(reported)


def _cancel(most: int, until: float, chance: random.Random) -> tuple[list[int], Counter[str]]:
    won: list[int] = []
    refused: Counter[str] = Counter()
    while len(won) < most and time.monotonic() < until:
        running = ReportRun.objects.filter(status__in=["running", "deferred"]).order_by("pk")
        candidates = list(running.values_list("pk", flat=True)[:AT_ONCE])
        if not candidates:
            if not ReportRun.objects.unfinished().exists():
                break
            time.sleep(0.002)
            continue
        run_id = chance.choice(candidates)
        time.sleep(chance.uniform(0, 0.03))
        try:
            cancel_run(run_id, actor="a hand", runtime=get_runtime())
            won.append(run_id)
        except NotPossibleError as error:
            refused["ended" if "has already ended" in error.message else "busy"] += 1
    connections.close_all()
    return won, refused


def _watch(until: float) -> list[int]:
    """Return the IDs of runs that changed after they had ended."""
    ends: dict[int, End] = {}
    changed: list[int] = []
    while time.monotonic() < until:
        unfinished = ReportRun.objects.unfinished().exists()
        for run in ReportRun.objects.ended().only("status", "version", "results_path"):
            seen = (run.status, run.version, run.results_path)
            if ends.setdefault(run.pk, seen) != seen:
                changed.append(run.pk)
        changed += set(ends) - set(ReportRun.objects.ended().values_list("pk", flat=True))
        if not unfinished:
            break
        time.sleep(0.02)
    connections.close_all()
    return changed
