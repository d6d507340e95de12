"""The command: run reports and inject faults for a while on each setup, let everything settle, and judge."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console

import tests.faults.soak
from tests.demo.environment import Environment
from tests.faults.soak.cluster import Supervised
from tests.faults.soak.faults import Stage, faults_of, withdraw
from tests.faults.soak.setups import SETUPS, Setup
from tests.faults.soak.verdict import judge, settled
from tests.support.signals import take_ignored_signals

console = Console(highlight=False)
FAULTS_A_TURN = 5
PAUSES = (0.2, 1.0)  # seconds between two faults


def main() -> int:
    """Run the soak on each setup; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=tests.faults.soak.__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of all setups together (default: 10)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--on", nargs="+", choices=SETUPS, default=list(SETUPS), metavar="SETUP")
    options = parser.parse_args()
    take_ignored_signals()
    seconds = options.minutes * 60 / len(options.on)
    return max([soak_on(name, options.seed, seconds) for name in options.on])


def soak_on(name: str, seed: int, seconds: float) -> int:
    """Run the soak on one setup; keep its folder, with logs and databases, if it fails."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    console.print(f"{name}, seed {seed}, {seconds:.0f} s, in {folder}")
    with SETUPS[name](folder) as setup:
        prepare(setup.direct)
        with setup.direct.fireant("--seconds-queued", "0.2", "--seconds-running", "1", "--quiet"):
            status = soak(setup, random.Random(seed), seconds)
    if not status:
        shutil.rmtree(folder)
    return status


def prepare(environment: Environment) -> None:
    """Prepare a seeded environment whose reports run manually only."""
    environment.manage("migrate", "-v0")
    environment.manage("migrate", "-v0", "--database", "reports")
    environment.manage("seed_reports")
    environment.manage("discover_reports")
    environment.manage("pause_reports", "--all", "--reason", "soak")


def soak(setup: Setup, chance: random.Random, seconds: float) -> int:
    """Run reports and inject faults for so long; return 0 if the invariants hold afterwards."""
    cluster = Supervised(setup.cluster)
    stage = Stage(setup=setup, cluster=cluster, chance=chance)
    faults, injected = faults_of(setup), Counter[str]()
    shares = [share for _inject, share in faults.values()]
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            setup.direct.manage("run_report", *[str(chance.randint(1, 31)) for _ in range(5)])
            for [kind] in [chance.choices(list(faults), shares) for _ in range(FAULTS_A_TURN)]:
                cluster.keep_running(chance.uniform(*PAUSES))
                injected[kind] += faults[kind][0](stage)
            if sys.stdout.isatty():
                console.print(f"{dict(injected)}, cluster started {cluster.starts} times", end="\r")
        injected.update({kind: count - injected[kind] for kind, count in withdraw(stage).items()})
        runs = settled(setup, cluster)
    finally:
        cluster.stop()
    return judge(setup, runs, injected, console)


if __name__ == "__main__":
    sys.exit(main())
