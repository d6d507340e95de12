"""The command: run reports and inject faults for a while on each setup, let everything settle, and judge."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from rich.console import Console

import tests.faults.soak
from tests.faults.soak.cluster import Supervised
from tests.faults.soak.faults import Stage, faults_of, withdraw
from tests.faults.soak.setups import SETUPS, Setup
from tests.faults.soak.verdict import Outcome, judge, settled
from tests.support.signals import take_ignored_signals

console = Console(highlight=False)
FAULTS_A_TURN = 10
PAUSES = (0.1, 0.7)  # seconds between two faults


def main() -> int:
    """Run the soak on each setup; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=tests.faults.soak.__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of all setups together (default: 10)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--on", nargs="+", choices=SETUPS, default=list(SETUPS), metavar="SETUP")
    options = parser.parse_args()
    take_ignored_signals()
    seconds = options.minutes * 60 / len(options.on)
    total = Outcome()
    for name in options.on:
        total.add(soak_on(name, options.seed, seconds))
    console.print(f"all: {total}")
    return int(not total.holds)


def soak_on(name: str, seed: int, seconds: float) -> Outcome:
    """Run the soak on one setup; keep its folder, with logs and databases, if it fails."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    console.print(f"{name}, seed {seed}, {seconds:.0f} s, in {folder}")
    with SETUPS[name](folder) as setup:
        prepare(setup)
        with setup.direct.fireant("--seconds-queued", "0.2", "--seconds-running", "1", "--quiet"):
            outcome = soak(setup, random.Random(seed), seconds)
    if outcome.holds:
        shutil.rmtree(folder)
    return outcome


def prepare(setup: Setup) -> None:
    """Prepare seeded databases, without routing reads to a replica, and let reports run manually only."""
    settings = {"DJANGO_SETTINGS_MODULE": "tests.host.settings"}
    environment = replace(setup.direct, overrides=setup.direct.overrides | settings)
    environment.manage("migrate", "-v0")
    environment.manage("migrate", "-v0", "--database", "reports")
    environment.manage("seed_reports")
    environment.manage("discover_reports")
    environment.manage("pause_reports", "--all", "--reason", "soak")
    if setup.replicated:
        setup.replicated.await_replay()


def soak(setup: Setup, chance: random.Random, seconds: float) -> Outcome:
    """Run reports and inject faults for so long; judge afterwards."""
    cluster = Supervised(setup.cluster)
    stage = Stage(setup=setup, cluster=cluster, chance=chance)
    faults, injected = faults_of(setup), Counter[str]()
    shares = [share for _inject, share in faults.values()]
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            stage.run_reports()
            for [kind] in [chance.choices(list(faults), shares) for _ in range(FAULTS_A_TURN)]:
                cluster.keep_running(chance.uniform(*PAUSES))
                injected[kind] += faults[kind][0](stage)
            if sys.stdout.isatty():
                console.print(f"{dict(injected)}, cluster started {cluster.starts} times", end="\r")
        injected.update({kind: count - injected[kind] for kind, count in withdraw(stage).items()})
        runs = settled(setup, cluster)
    finally:
        cluster.stop()
    return judge(stage, runs, injected, console)


if __name__ == "__main__":
    sys.exit(main())
