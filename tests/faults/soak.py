"""`make soak`: a cluster under random kills, for as long as one likes. `python -m tests.faults.soak --seed 7` replays a seed.

Reports are run all the while; any process of the cluster, its main process included, is killed at random moments, and a
supervisor of ours starts the cluster again when it ended. At the end the killing stops, and the invariants must hold.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
from rich.console import Console

from tests.demo.place import ROOT, Place, end_group

console = Console(highlight=False)
ENDS = {"succeeded", "failed"}
SETTLING = 180  # seconds for everything to end once nobody is killed any more


class Supervised:
    """A qcluster that is started again whenever it ended, as systemd would."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.starts = 0
        self.log = (place.folder / "qcluster.log").open("ab")
        self.start()

    def start(self) -> None:
        """Starts it."""
        self.starts += 1
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=ROOT,
            env=self.place.environment,
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
        """Its processes, in the order of their ids, so that a seed chooses the same."""
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
    """Soaks; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    console.print(f"seed {options.seed}, {options.minutes:g} minutes")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        place = Place(
            folder=Path(folder), overrides={"Q_WORKERS": "3", "LEASE_SECONDS": "5", "TIMEOUT_SECONDS": "1"}
        )
        prepare(place)
        with place.fireant("--seconds-queued", "0.2", "--seconds-running", "1", "--quiet"):
            return soak(place, random.Random(options.seed), options.minutes * 60)


def prepare(place: Place) -> None:
    """A seeded place whose reports run by hand only."""
    place.manage("migrate", "-v0")
    place.manage("migrate", "-v0", "--database", "reports")
    place.manage("seed_reports")
    place.manage("discover_reports")
    place.manage("pause_reports", "--all", "--reason", "soak")


def soak(place: Place, chance: random.Random, seconds: float) -> int:
    """Kills for a while, lets everything settle, and judges."""
    cluster = Supervised(place)
    kills = 0
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            place.manage("run_report", *[str(chance.randint(1, 31)) for _ in range(5)])
            pause_until = time.monotonic() + chance.uniform(0.2, 3.0)
            while time.monotonic() < pause_until:
                cluster.look_after()
                time.sleep(0.05)
            kills += kill_one(cluster, chance)
            console.print(f"{kills} kills, cluster started {cluster.starts} times", end="\r")
        console.print()
        runs = settle(place, cluster)
    finally:
        cluster.stop()
    return judge(place, runs, kills)


def kill_one(cluster: Supervised, chance: random.Random) -> int:
    """SIGKILL to one of the cluster's processes; 1 where it hit."""
    victims = cluster.victims()
    if not victims:
        return 0
    try:
        chance.choice(victims).send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return 0
    return 1


def settle(place: Place, cluster: Supervised) -> list[dict[str, Any]]:
    """All runs, once they have ended or the time for that is over."""
    deadline = time.monotonic() + SETTLING
    while True:
        cluster.look_after()
        runs: list[dict[str, Any]] = ask(
            place,
            "[dict(pk=r.pk, status=r.status, code=r.error_code, twice=r.possibly_submitted_twice, path=r.results_path,"
            " reference=r.client_reference) for r in ReportRun.objects.all()]",
        )
        if time.monotonic() > deadline or all(run["status"] in ENDS for run in runs):
            return runs
        time.sleep(2)


def judge(place: Place, runs: list[dict[str, Any]], kills: int) -> int:
    """Says what came of it. 0 where the invariants hold."""
    address = f"http://127.0.0.1:{place.fireant_port}/sandbox/jobs"
    with urlopen(Request(address, headers={"Authorization": f"Bearer {place.key}"}), timeout=30) as answer:
        seen = Counter(job["idempotency_key"] for job in json.load(answer)["jobs"])
    files = [file for file in (place.folder / "lake" / "report_results").rglob("*") if file.is_file()]
    faults: dict[str, list[Any]] = {
        "runs that did not end": [run for run in runs if run["status"] not in ENDS],
        "runs that failed, but for those set aside or held": [
            run
            for run in runs
            if run["status"] == "failed" and run["code"] not in {"set_aside", "submission_unknown"}
        ],
        "runs submitted twice unmarked": [
            run for run in runs if seen[run["reference"]] > 1 and not run["twice"]
        ],
        "runs submitted more than twice": [run for run in runs if seen[run["reference"]] > 2],
        "results that are missing": [
            run for run in runs if run["status"] == "succeeded" and not Path(run["path"]).is_file()
        ],
        "results too many": files[
            len({run["path"] for run in runs if run["path"]}) + len(lost(runs, files)) :
        ],
    }
    console.print(f"{kills} kills survived; {len(runs)} runs: {dict(Counter(run['status'] for run in runs))}")
    for what, found in faults.items():
        if found:
            console.print(f"[red]{len(found)} {what}:[/red] {found[:5]}")
    return int(any(faults.values()))


def lost(runs: list[dict[str, Any]], files: list[Path]) -> list[Path]:
    """Files of runs that were set aside after their result was stored, and before that was noted."""
    aside = {run["reference"].rsplit("-", 1)[0] for run in runs if run["status"] == "failed"}
    return [file for file in files if file.stem in aside]


def ask(place: Place, expression: str) -> Any:
    """The JSON value of an expression in a process of the place's own."""
    code = f"import json; from report_orchestrator.models import ReportRun; print(json.dumps({expression}))"
    return json.loads(place.manage("shell", "-v0", "-c", code))


if __name__ == "__main__":
    sys.exit(main())
