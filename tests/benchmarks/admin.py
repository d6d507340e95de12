"""What the admin's pages cost on PostgreSQL with 100,000 reports and 1,000,000 runs."""

from __future__ import annotations

from tests.benchmarks.figures import POSTGRES_REDIS, Figure, ask, place_on

REPORTS, RUNS = 100_000, 1_000_000
QUERIES_AT_MOST, MILLISECONDS_AT_MOST = 11, 300


def admin() -> list[Figure]:
    """Every page, as a superuser and as a member of staff who may only view."""
    with place_on(POSTGRES_REDIS) as place:
        ask(place, "morning", f"generate({REPORTS}, {RUNS})")
        measured: dict[str, tuple[int, float]] = ask(place, "morning", "measure()")
    return [
        Figure(
            what=f"admin: {page}",
            measured=f"{queries} queries, {milliseconds:.0f} ms",
            goal=f"{QUERIES_AT_MOST} queries, {MILLISECONDS_AT_MOST} ms",
            beside=f"PostgreSQL; {REPORTS:,} reports, {RUNS:,} runs; in process, warm",
        )
        for page, (queries, milliseconds) in measured.items()
    ]
