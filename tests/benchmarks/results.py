"""A result of 1 GiB through the local Fireant into each store, by a worker of a real cluster, beside curl into a file.

`BENCH_GIB=5` takes another size.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil
import requests

from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.benchmarks.figures import SQLITE_ORM, Figure, ask, place_on
from tests.demo.place import Place

GIB = float(os.environ.get("BENCH_GIB", "1"))
SIZE = int(GIB * 2**30)
SETTLING = 6  # seconds until a cluster that was started is idle
BOUND = 600 * max(GIB, 1)  # seconds for one result


def results() -> list[Figure]:
    """Both stores, and the table beside the folder."""
    with OneLakeSandbox() as lake:
        return [
            *_measure("a folder", {}),
            *_measure("OneLake over TLS", lake.settings_overrides()),
            *_measure("a folder and a Delta table", {"RESULT_TABLES": "true"}, with_goal=False),
        ]


def _measure(store: str, overrides: Mapping[str, str], *, with_goal: bool = True) -> list[Figure]:
    with (
        place_on(SQLITE_ORM, POLL_INTERVAL_SECONDS="1", **{**overrides, "Q_WORKERS": "1"}) as place,
        place.fireant(
            "--seconds-queued", "0", "--seconds-running", "0", "--quiet", "--result-bytes", str(SIZE)
        ),
        place.running("qcluster", "qcluster") as cluster,
    ):
        time.sleep(SETTLING)
        idle = _memory(cluster.pid)
        ask(place, "rows", "open_runs(1)")
        peak = _peak_until_done(place, cluster.pid)
        seconds = _seconds_of_the_step(place)
        curl = _curl(place)
    over = max(peak[pid] - idle.get(pid, 0) for pid in peak if pid in idle)
    beside = f"{GIB:g} GiB into {store}; two cores for all"
    return [
        Figure(
            what="memory of the worker over its idle, at most",
            measured=f"{over / 1e6:.0f} MB",
            goal="100 MB" if with_goal else "",
            beside=beside,
        ),
        Figure(
            what="throughput of the last step",
            measured=f"{SIZE / seconds / 1e6:.0f} MB/s, {curl / seconds:.0%} of curl's {SIZE / curl / 1e6:.0f}",
            goal="50 % of curl" if with_goal else "",
            beside=beside,
        ),
    ]


def _peak_until_done(place: Place, leader: int) -> dict[int, int]:
    peak: dict[int, int] = {}
    deadline = time.monotonic() + BOUND
    with _database(place) as database:
        while time.monotonic() < deadline:
            for pid, memory in _memory(leader).items():
                peak[pid] = max(memory, peak.get(pid, 0))
            ((status, error),) = database.execute("SELECT status, error FROM report_orchestrator_reportrun")
            if status == "succeeded":
                return peak
            if status == "failed":
                raise SystemExit(f"the run failed: {error}")
            time.sleep(0.05)
    raise SystemExit(f"the run did not end within {BOUND:g} s")


def _seconds_of_the_step(place: Place) -> float:
    with _database(place) as database:
        ((began, ended),) = database.execute(
            "SELECT started_at, ended_at FROM report_orchestrator_runstep WHERE step = 'results_storage'"
        )
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def _curl(place: Place) -> float:
    """Seconds that curl takes for the same result, into a file of the same disk."""
    url, key = f"http://127.0.0.1:{place.fireant_port}", f"Authorization: Bearer {place.key}"
    jobs = requests.get(f"{url}/sandbox/jobs", headers={"Authorization": f"Bearer {place.key}"}, timeout=10)
    target = place.folder / "curl.json"
    began = time.monotonic()
    with target.open("wb") as file:
        subprocess.run(
            ["/usr/bin/env", "curl", "-sf", "-H", key, f"{url}/jobs/results/{jobs.json()['jobs'][0]['id']}"],
            stdout=file,
            check=True,
        )
    seconds = time.monotonic() - began
    assert target.stat().st_size == SIZE
    return seconds


@contextmanager
def _database(place: Place) -> Iterator[sqlite3.Connection]:
    address = Path(place.folder / "default.sqlite3").absolute().as_uri()
    database = sqlite3.connect(f"{address}?mode=ro", uri=True)
    try:
        yield database
    finally:
        database.close()


def _memory(leader: int) -> dict[int, int]:
    """Bytes that each process of the cluster alone holds."""
    found = {}
    for process in psutil.Process(leader).children(recursive=True):
        try:
            found[process.pid] = process.memory_full_info().uss
        except psutil.NoSuchProcess:
            continue
    return found
