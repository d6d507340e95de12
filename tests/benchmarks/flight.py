"""Ten thousand runs waiting for Fireant, each polled once a minute."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from tests.benchmarks.figures import POSTGRES_REDIS, SQLITE_ORM, Figure, ask, environment_on

IN_FLIGHT = 10_000
INTERVAL = 60  # seconds between two polls of one run
WATCHED = 90  # seconds


def flight() -> list[Figure]:
    """Measure both kinds of environments."""
    return [figure for kind in (SQLITE_ORM, POSTGRES_REDIS) for figure in _measure(kind)]


def _measure(kind: str) -> list[Figure]:
    with (
        environment_on(kind, POLL_INTERVAL_SECONDS=str(INTERVAL), MAX_POLL_ATTEMPTS="100000") as environment,
        environment.fireant("--seconds-queued", "0", "--seconds-running", "100000", "--quiet"),
    ):
        _fill_fireant(environment.fireant_port, environment.key)
        ask(environment, "rows", f"put_in_flight({IN_FLIGHT}, {INTERVAL})")
        before = ask(environment, "rows", "polls_made()")
        with environment.running("qcluster", "qcluster") as cluster:
            time.sleep(INTERVAL / 2)  # the start is not what is measured
            used = _cpu_seconds(cluster.pid)
            began = time.monotonic()
            samples = ask(environment, "rows", f"lateness({WATCHED})")
            share = (_cpu_seconds(cluster.pid) - used) / (time.monotonic() - began)
            memory = _memory(cluster.pid)
        made = ask(environment, "rows", "polls_made()") - before
    beside = f"{kind}; {IN_FLIGHT:,} in flight, polled every {INTERVAL} s; {made:,} polls"
    return [
        Figure(what="memory of the cluster (PSS)", measured=f"{memory / 2**20:.0f} MB", goal="400 MB", beside=beside),
        Figure(what="share of a core", measured=f"{share:.0%}", goal="25 %", beside=beside),
        Figure(
            what="lateness of the latest poll, p99 of samples",
            measured=f"{statistics.quantiles(samples, n=100)[98]:.1f} s",
            goal="5 s",
            beside=beside,
        ),
    ]


def _fill_fireant(port: int, key: str) -> None:
    """Create as many jobs as there are runs, so that every poll finds its job."""
    import requests

    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"
    body = {
        "name": "bench",
        "as_at_date": "2026-07-01",
        "fx_date": "2026-07-01",
        "geos": [{"id": 1, "event_type": "geo"}],
        "meta": {"report_id": 1},
    }

    def submit(_number: int) -> None:
        session.post(f"http://127.0.0.1:{port}/job_exposure_geo_agg", json=body, timeout=30).raise_for_status()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(submit, range(IN_FLIGHT)))


def _processes(leader: int) -> list[psutil.Process]:
    parent = psutil.Process(leader)
    return [parent, *parent.children(recursive=True)]


def _cpu_seconds(leader: int) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _processes(leader))


def _memory(leader: int) -> int:
    """Return the proportional set size in bytes."""
    return sum(process.memory_full_info().pss for process in _processes(leader))
