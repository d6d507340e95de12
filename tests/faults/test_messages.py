"""A message that arrives twice, late or out of order finds no lease, does nothing, and is counted."""

from __future__ import annotations

import random
from collections.abc import Iterable
from uuid import uuid4

import pytest
from django.utils import timezone

from tests.demo.environment import Environment
from tests.host.api.seed import REPORTS
from tests.support.cluster_state import RUNS, assert_done_once, await_ends, await_that, report_keys
from tests.support.clusters import put, waiting
from tests.support.console import ask

pytestmark = pytest.mark.slow

NAMES = [seed.name for seed in REPORTS if seed.expected == "active"][:8]
COPIES = 4
LATE = 2


def ring(environment: Environment, run_ids: Iterable[int]) -> None:
    """Send one message for each run, without the notifying service."""
    for run_id in run_ids:
        name = uuid4().hex
        package = {"id": name, "name": name, "func": "report_orchestrator.tasks.work", "args": (run_id,)}
        options = {"kwargs": {}, "started": timezone.now(), "timeout": -1, "ack_failure": True}
        put(environment, package | options)


def test_messages_that_come_twice_late_and_out_of_order_do_nothing_twice_and_are_counted(
    seeded_environment: Environment,
) -> None:
    environment = seeded_environment
    environment.overrides |= {"LOG_LEVEL": "debug", "LEASE_SECONDS": "60"}
    keys = report_keys(environment, NAMES)
    with environment.fireant("--seconds-queued", "0", "--seconds-running", "0.5", "--quiet"):
        environment.manage("run_report", *keys)
        run_ids = [run["pk"] for run in ask(environment, RUNS)]
        copies = run_ids * COPIES
        random.Random(7).shuffle(copies)
        ring(environment, copies)
        sent = waiting(environment)
        with environment.running("qcluster", "qcluster"):
            runs = await_ends(environment, len(NAMES), 60)
            ring(environment, run_ids * LATE)

            def found_nothing() -> int:
                log = (environment.folder / "qcluster.log").read_text()
                return sum(log.count(f"message found nothing run_id={pk}\n") for pk in run_ids)

            # One message moves each run before it waits, and one after; a worker that is awake may be faster than both.
            least = len(NAMES) * (COPIES + LATE - 1)
            await_that(lambda: found_nothing() >= least, f"{least} messages found nothing", 30, pause=0.2)
            assert sent >= len(copies)
            assert ask(environment, RUNS) == runs
            assert_done_once(environment, runs)
            assert {run["crashes"] for run in runs} == {0}
