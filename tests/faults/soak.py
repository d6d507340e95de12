"""`make soak`: a cluster under random kills, for as long as one likes. `python -m tests.faults.soak --seed 7` replays a seed.

Reports are run all the while; any process of the cluster, its main process included, is killed at random moments, and a
supervisor of ours starts the cluster again when it ended. With `--on postgres` the wires to PostgreSQL and Redis are cut too,
and Redis forgets its messages. At the end all that stops, and the invariants must hold.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import redis
from rich.console import Console

from tests.demo.environment import ROOT, Environment, end_group
from tests.support.cluster_state import ask, stored, submissions
from tests.support.environments import environment_on_server_with_redis
from tests.support.services import POSTGRES, REDIS, REDIS_DB
from tests.support.tcp_proxy import Wire

console = Console(highlight=False)
SETTINGS = {"Q_WORKERS": "3", "LEASE_SECONDS": "5", "TIMEOUT_SECONDS": "1"}
RUNS = (
    "[dict(pk=r.pk, status=r.status, code=r.error_code, twice=r.possibly_submitted_twice, path=r.results_path,"
    " reference=r.client_reference) for r in ReportRun.objects.all()]"
)
ENDS = {"succeeded", "failed"}
SETTLING = 180  # seconds for everything to end once nobody is killed any more


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The environment of a soak: as its cluster sees it, the same past the proxies, and everything else that can be
    hurt.
    """

    cluster: Environment
    watched: Environment
    wires: tuple[Wire, ...] = ()
    queue: redis.Redis | None = None


@contextmanager
def ground_on(kind: str, folder: Path) -> Iterator[Ground]:
    """Yield SQLite with the ORM broker, or PostgreSQL and Redis, each behind a proxy."""
    if kind == "sqlite":
        environment = Environment(folder=folder, overrides=dict(SETTINGS))
        yield Ground(cluster=environment, watched=environment)
        return
    redis_url = f"{REDIS}/{REDIS_DB}"
    with ExitStack() as stack:
        environment = stack.enter_context(environment_on_server_with_redis(folder, POSTGRES, redis_url))
        environment.overrides |= SETTINGS
        database, broker = stack.enter_context(Wire(POSTGRES)), stack.enter_context(Wire(redis_url))
        near = {
            name: environment.variables[name].replace(POSTGRES, database.url)
            for name in ("DATABASE_URL", "REPORTS_DATABASE_URL")
        }
        yield Ground(
            cluster=replace(environment, overrides=environment.overrides | near | {"REDIS_URL": broker.url}),
            watched=environment,
            wires=(database, broker),
            queue=stack.enter_context(redis.Redis.from_url(redis_url)),
        )


class Supervised:
    """A qcluster that is restarted whenever it ends, as by systemd."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.starts = 0
        self.log = (environment.folder / "qcluster.log").open("ab")
        self.start()

    def start(self) -> None:
        """Starts it."""
        self.starts += 1
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=ROOT,
            env=self.environment.variables,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def look_after(self) -> None:
        """Starts it again where it ended."""
        if self.process.poll() is not None:
            self.start()

    def victims(self) -> list[psutil.Process]:
        """Return its processes by ID, so that a seed chooses the same ones."""
        try:
            main = psutil.Process(self.process.pid)
            return sorted([main, *main.children(recursive=True)], key=lambda process: process.pid)
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        """Ends it."""
        end_group(self.process)
        self.log.close()


def main() -> int:
    """Run the soak test; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--on", choices=["sqlite", "postgres"], default="sqlite")
    options = parser.parse_args()
    console.print(f"seed {options.seed}, {options.minutes:g} minutes, on {options.on}")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, ground_on(options.on, Path(folder)) as ground:
        prepare(ground.watched)
        with ground.watched.fireant("--seconds-queued", "0.2", "--seconds-running", "1", "--quiet"):
            return soak(ground, random.Random(options.seed), options.minutes * 60)


def prepare(environment: Environment) -> None:
    """Prepare a seeded environment whose reports run manually only."""
    environment.manage("migrate", "-v0")
    environment.manage("migrate", "-v0", "--database", "reports")
    environment.manage("seed_reports")
    environment.manage("discover_reports")
    environment.manage("pause_reports", "--all", "--reason", "soak")


def soak(ground: Ground, chance: random.Random, seconds: float) -> int:
    """Inject faults for a while, let everything settle, and check the invariants."""
    environment, cluster = ground.watched, Supervised(ground.cluster)
    hurt: Counter[str] = Counter()
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            environment.manage("run_report", *[str(chance.randint(1, 31)) for _ in range(5)])
            look_after(cluster, chance.uniform(0.2, 3.0))
            hurt["kills"] += kill_one(cluster, chance)
            if ground.wires and chance.random() < 0.15:
                hurt["cuts"] += cut_one(ground.wires, chance, cluster)
            if ground.queue is not None and chance.random() < 0.15:
                hurt["messages lost"] += lose_messages(ground.queue, ground.watched.queue)
            console.print(f"{dict(hurt)}, cluster started {cluster.starts} times", end="\r")
        console.print()
        runs = settle(environment, cluster)
    finally:
        cluster.stop()
    return judge(environment, runs, hurt)


def look_after(cluster: Supervised, seconds: float) -> None:
    """Keeps the cluster started for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        cluster.look_after()
        time.sleep(0.05)


def cut_one(wires: tuple[Wire, ...], chance: random.Random, cluster: Supervised) -> int:
    """Cut one server for a moment or some seconds; return the number of closed connections."""
    wire = chance.choice(wires)
    cut = wire.cut()
    look_after(cluster, chance.choice([0.0, 1.0, 4.0]))
    wire.mend()
    return cut


def lose_messages(queue: redis.Redis, name: str) -> int:
    """Let Redis lose its waiting messages; return their number."""
    waiting = int(queue.llen(f"django_q:{name}:q"))
    queue.flushdb()
    return waiting


def kill_one(cluster: Supervised, chance: random.Random) -> int:
    """Kill one of the cluster's processes; return 1 if it was killed."""
    victims = cluster.victims()
    if not victims:
        return 0
    try:
        chance.choice(victims).send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return 0
    return 1


def settle(environment: Environment, cluster: Supervised) -> list[dict[str, Any]]:
    """Wait until all runs have ended or the time is over; return all runs."""
    deadline = time.monotonic() + SETTLING
    while True:
        cluster.look_after()
        runs: list[dict[str, Any]] = ask(environment, RUNS)
        if time.monotonic() > deadline or all(run["status"] in ENDS for run in runs):
            return runs
        time.sleep(2)


def judge(environment: Environment, runs: list[dict[str, Any]], hurt: Counter[str]) -> int:
    """Print the outcome. Return 0 if the invariants hold."""
    seen, files = submissions(environment), stored(environment)
    faults: dict[str, list[Any]] = {
        "runs that did not end": [run for run in runs if run["status"] not in ENDS],
        "runs that failed, but for those set aside or held": [
            run for run in runs if run["status"] == "failed" and run["code"] not in {"set_aside", "submission_unknown"}
        ],
        "runs submitted twice unmarked": [run for run in runs if seen[run["reference"]] > 1 and not run["twice"]],
        "runs submitted more than twice": [run for run in runs if seen[run["reference"]] > 2],
        "results that are missing": [
            run for run in runs if run["status"] == "succeeded" and not Path(run["path"]).is_file()
        ],
        "results too many": files[len({run["path"] for run in runs if run["path"]}) + len(lost(runs, files)) :],
    }
    ends = Counter(f"{run['status']} {run['code']}".strip() for run in runs)
    console.print(f"survived {dict(hurt)}; {len(runs)} runs: {dict(ends)}")
    for what, found in faults.items():
        if found:
            console.print(f"[red]{len(found)} {what}:[/red] {found[:5]}")
    return int(any(faults.values()))


def lost(runs: list[dict[str, Any]], files: list[Path]) -> list[Path]:
    """Return files of runs that ended after their result was stored but before that was recorded."""
    aside = {run["reference"].rsplit("-", 1)[0] for run in runs if run["status"] == "failed"}
    return [file for file in files if file.stem in aside]


if __name__ == "__main__":
    sys.exit(main())
