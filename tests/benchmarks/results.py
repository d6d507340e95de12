"""A result of 1 GiB through the local Fireant into each store, by a worker of a real cluster, beside curl into a file.

`BENCH_GIB=5` takes another size.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil
import requests

from report_orchestrator.adapters.onelake_client import PIECE
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.benchmarks.figures import SQLITE_ORM, Figure, ask, place_on
from tests.demo.place import Place, free_port

GIB = float(os.environ.get("BENCH_GIB", "1"))
SIZE = int(GIB * 2**30)
SETTLING = 6  # seconds until a cluster that was started is idle
BOUND = 600 * max(GIB, 1)  # seconds for one result


def results() -> list[Figure]:
    """Both stores, and the table beside the folder."""
    with tempfile.TemporaryDirectory(prefix="bench-lake-") as folder:
        lake = OneLakeSandbox(port=free_port(), folder=Path(folder))
        return [
            *_measure("a folder", {}),
            *_measure("OneLake over TLS", lake.settings_overrides(), lake=lake),
            *_measure("a folder and a Delta table", {"RESULT_TABLES": "true"}, with_goal=False),
        ]


def _measure(
    store: str, overrides: Mapping[str, str], *, lake: OneLakeSandbox | None = None, with_goal: bool = True
) -> list[Figure]:
    with (
        place_on(SQLITE_ORM, POLL_INTERVAL_SECONDS="1", **{**overrides, "Q_WORKERS": "1"}) as place,
        place.fireant(
            "--seconds-queued", "0", "--seconds-running", "0", "--quiet", "--result-bytes", str(SIZE)
        ),
        _served(lake) as served,
        place.running("qcluster", "qcluster") as cluster,
    ):
        time.sleep(SETTLING)
        idle = _resident(cluster.pid, "VmRSS")
        _forget_peaks(idle)
        busy = _CpuSeconds(cluster.pid, served)
        ask(place, "rows", "open_runs(1)")
        _wait_until_done(place)
        spent = busy.spent()
        peak = _resident(cluster.pid, "VmHWM")
        seconds = _seconds_of_the_step(place)
        curl = _curl(place)
        upload = _curl_up(place, lake) if lake else None
    over = max(peak[pid] - idle[pid] for pid in peak if pid in idle)
    beside = f"{GIB:g} GiB into {store}; two cores for all"
    figures = [
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
        Figure(what="processor time, all of the run", measured=spent, beside=beside),
    ]
    if upload:
        both = curl + upload
        figures.append(
            Figure(
                what="throughput beside curl's, down and then up",
                measured=f"{both / seconds:.0%}; curl up alone: {SIZE / upload / 1e6:.0f} MB/s",
                beside=beside,
            )
        )
    return figures


@contextmanager
def _served(lake: OneLakeSandbox | None) -> Iterator[int | None]:
    """The lake in a process of its own, as measuring would take its interpreter's time; gives the process's id."""
    if lake is None:
        yield None
        return
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(lake,), daemon=True)
    process.start()
    while not lake.ca_file.is_file():
        time.sleep(0.05)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.join()


def _serve(lake: OneLakeSandbox) -> None:
    with lake:
        signal.pause()


class _CpuSeconds:
    """What the worker and the sandboxes have used since this was made."""

    def __init__(self, cluster: int, lake: int | None) -> None:
        fireant = [each for each in psutil.Process().children() if "fireant_sandbox" in each.cmdline()]
        self._groups = {
            "the cluster": psutil.Process(cluster).children(recursive=True),
            "the local Fireant": fireant,
            "the local OneLake": [psutil.Process(lake)] if lake else [],
        }
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        return {
            name: sum(sum(process.cpu_times()[:2]) for process in processes)
            for name, processes in self._groups.items()
            if processes
        }

    def spent(self) -> str:
        """The seconds of each, in words."""
        return ", ".join(f"{name} {end - self._before[name]:.1f} s" for name, end in self._now().items())


def _wait_until_done(place: Place) -> None:
    deadline = time.monotonic() + BOUND
    with _database(place) as database:
        while time.monotonic() < deadline:
            ((status, error),) = database.execute("SELECT status, error FROM report_orchestrator_reportrun")
            if status == "succeeded":
                return
            if status == "failed":
                raise SystemExit(f"the run failed: {error}")
            time.sleep(0.1)
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


def _curl_up(place: Place, lake: OneLakeSandbox) -> float:
    """Seconds that one curl takes to send the same bytes to the same lake, in the store's own pieces, over one connection."""
    made = {**lake.settings_overrides(), "FABRIC_ACCOUNT_URL": lake.url}
    token = requests.post(
        f"{lake.url}/{made['AZURE_TENANT_ID']}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": made["AZURE_CLIENT_ID"],
            "client_secret": made["AZURE_CLIENT_SECRET"],
            "scope": "https://storage.azure.com/.default",
        },
        verify=str(lake.ca_file),
        timeout=10,
    ).json()["access_token"]
    address = f"{lake.url}/{lake.options.workspace}/{lake.options.lakehouse}/Files/curl.json"
    head = {"Authorization": f"Bearer {token}"}
    requests.put(
        f"{address}?resource=file", headers=head, verify=str(lake.ca_file), timeout=10
    ).raise_for_status()
    piece = place.folder / "piece"
    piece.write_bytes((place.folder / "curl.json").read_bytes()[:PIECE])
    each = [
        f'url = "{address}?action=append&position={position}"\nrequest = "PATCH"\nupload-file = "{piece}"\n'
        f'header = "Authorization: Bearer {token}"\nheader = "Expect:"\ncacert = "{lake.ca_file}"\nfail\nsilent\n'
        for position in range(0, SIZE, PIECE)
    ]
    began = time.monotonic()
    subprocess.run(["/usr/bin/env", "curl", "-K", "-"], input="next\n".join(each).encode(), check=True)
    return time.monotonic() - began


@contextmanager
def _database(place: Place) -> Iterator[sqlite3.Connection]:
    address = Path(place.folder / "default.sqlite3").absolute().as_uri()
    database = sqlite3.connect(f"{address}?mode=ro", uri=True)
    try:
        yield database
    finally:
        database.close()


def _resident(leader: int, line: str) -> dict[int, int]:
    """Bytes in memory of each process of the cluster: now (`VmRSS`), or at most since peaks were forgotten (`VmHWM`)."""
    found = {}
    for process in psutil.Process(leader).children(recursive=True):
        told = dict(
            each.split(":", 1) for each in Path(f"/proc/{process.pid}/status").read_text().splitlines()
        )
        found[process.pid] = int(told[line].split()[0]) * 1024
    return found


def _forget_peaks(pids: Iterable[int]) -> None:
    # The kernel keeps each peak by itself: looking often enough for it took a core's fifth, and still missed it.
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
