"""The time from the due minute until Fireant has the jobs, and the database statements of a run."""

from __future__ import annotations

import statistics
import time

from tests.benchmarks.figures import POSTGRES_REDIS, SQLITE_ORM, Figure, ask, environment_on

TICK = 5  # seconds between two checks for due reports
AT_ONCE = 50
MINUTES = 3


def latency() -> list[Figure]:
    """Measure both kinds of environments."""
    return [_due_to_submitted(kind) for kind in (SQLITE_ORM, POSTGRES_REDIS)]


def _due_to_submitted(kind: str) -> Figure:
    with (
        environment_on(kind, CRON_SENSOR_INTERVAL_SECONDS=str(TICK), POLL_INTERVAL_SECONDS="10") as environment,
        environment.fireant("--seconds-queued", "5", "--seconds-running", "5", "--quiet"),
    ):
        ask(environment, "many", f"due_every_minute({AT_ONCE})")
        with environment.running("qcluster", "qcluster"):
            time.sleep(60 * MINUTES + 2 * TICK)
        waits = ask(environment, "rows", "waits_to_submit()")
    p95 = statistics.quantiles(waits, n=20)[18]
    return Figure(
        what="from due to submitted, p95 (p50)",
        measured=f"{p95:.1f} s ({statistics.median(waits):.1f} s)",
        goal=f"{TICK + 2} s",
        beside=f"{kind}; {AT_ONCE} reports due in every minute, tick every {TICK} s; {len(waits)} runs",
    )


def statements() -> list[Figure]:
    """Return the number of database statements of one run, from its claim to its end."""
    with (
        environment_on(POSTGRES_REDIS) as environment,
        environment.fireant("--seconds-queued", "0", "--seconds-running", "0", "--quiet"),
    ):
        ask(environment, "rows", "open_runs(2)")
        ours, hosts = ask(environment, "rows", "statements_of_a_run()")
    return [
        Figure(
            what="statements for a run, all five steps",
            measured=f"{ours} on our tables, {hosts} on the host's",
            beside="a Fireant that finishes at once; schematics/data-model.md says what each is for",
        )
    ]
