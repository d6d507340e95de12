"""Discovery, ticks and the pipeline's lines at a thousand, ten thousand and a hundred thousand reports."""

from __future__ import annotations

from tests.benchmarks.figures import POSTGRES_REDIS, SQLITE_ORM, Figure, ask, environment_on

SIZES = (1_000, 10_000, 100_000)
GOALS = {
    "sensor tick, none due": "0.02 s",
    "sensor tick, 10,000 due": "5 s",
    "discovery, nothing changed": "10 s",
    "discovery, nothing changed: memory": "150 MB",
}


def schedules() -> list[Figure]:
    """Both kinds of databases, both sizes."""
    return [figure for kind in (SQLITE_ORM, POSTGRES_REDIS) for size in SIZES for figure in _measure(kind, size)]


def _measure(kind: str, size: int) -> list[Figure]:
    measured: dict[str, str] = {}
    with environment_on(kind) as environment:
        environment.manage("resume_reports", "--reason", "tests", "--all")
        for call in (f"new_reports({size})", "unchanged()", "quiet()", "due()", "lines()"):
            measured |= ask(environment, "many", call)
    return [
        Figure(
            what=what,
            measured=value,
            goal=GOALS.get(what, "") if size == SIZES[-1] else "",
            beside=f"{kind.split(',')[0]}; {size:,} reports",
        )
        for what, value in measured.items()
    ]
