"""Runs a second, end to end, with a Fireant that finishes at once."""

from __future__ import annotations

import time

from tests.benchmarks.figures import POSTGRES_REDIS, SQLITE_ORM, Figure, ask, environment_on
from tests.demo.environment import Environment

RUNS = 1500
BOUND = 180  # seconds


def throughput() -> list[Figure]:
    """Both kinds of environments."""
    return [_measure(kind) for kind in (SQLITE_ORM, POSTGRES_REDIS)]


def _measure(kind: str) -> Figure:
    with environment_on(kind) as environment:
        ask(environment, "rows", f"open_runs({RUNS})")
        with (
            environment.fireant("--seconds-queued", "0", "--seconds-running", "0", "--quiet"),
            environment.running("qcluster", "qcluster"),
        ):
            done = _wait(environment)
    return Figure(
        what="runs a second, all five steps",
        measured=f"{done['count'] / done['seconds']:.0f}",
        goal="50",
        beside=f"{kind}; {int(done['count'])} runs; Fireant and the cluster share the machine",
    )


def _wait(environment: Environment) -> dict[str, float]:
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        time.sleep(5)  # each query starts a process, so it is not sent often
        done: dict[str, float] = ask(environment, "rows", "succeeded()")
        if done["count"] >= RUNS:
            break
    return done
