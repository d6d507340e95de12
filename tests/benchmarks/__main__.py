"""`make bench`: the product's cost on this machine, each figure with its reference.

`python -m tests.benchmarks [throughput|flight|sensor …]` runs some of them. These are not tests: the result is a
table.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from tests.benchmarks.admin import admin
from tests.benchmarks.figures import Figure
from tests.benchmarks.flight import flight
from tests.benchmarks.latency import latency, statements
from tests.benchmarks.results import results
from tests.benchmarks.schedules import schedules
from tests.benchmarks.throughput import throughput

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "throughput": throughput,
    "flight": flight,
    "latency": latency,
    "statements": statements,
    "schedules": schedules,
    "results": results,
    "admin": admin,
}


def main() -> int:
    """Run the selected benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which (default: all)")
    names = parser.parse_args().names or list(BENCHMARKS)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}"
    )
    table = Table("what", "measured", "goal", "with")
    for name in names:
        console.print(f"measuring {name} …")
        for figure in BENCHMARKS[name]():
            table.add_row(figure.what, figure.measured, figure.goal, figure.beside)
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
