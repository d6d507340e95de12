"""The cost of admin pages on PostgreSQL with 100,000 reports and 1,000,000 runs."""

from __future__ import annotations

from tests.benchmarks.figures import POSTGRES_REDIS, Figure, ask, environment_on

REPORTS, RUNS = 100_000, 1_000_000
QUERIES_AT_MOST, MILLISECONDS_AT_MOST = 12, 300


def admin() -> list[Figure]:
    """Measure every page, as a superuser and as staff with view permissions only."""
    with environment_on(POSTGRES_REDIS) as environment:
        ask(environment, "morning", f"generate({REPORTS}, {RUNS})")
        measured: dict[str, tuple[int, float]] = ask(environment, "morning", "measure()")
    return [
        Figure(
            what=f"admin: {page}",
            measured=f"{queries} queries, {milliseconds:.0f} ms",
            goal=f"{QUERIES_AT_MOST} queries, {MILLISECONDS_AT_MOST} ms",
            beside=f"PostgreSQL; {REPORTS:,} reports, {RUNS:,} runs; in process, warm",
        )
        for page, (queries, milliseconds) in measured.items()
    ]
