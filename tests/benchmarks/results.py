"""A result of 1 GiB through the local Fireant into each store, by a worker of a real cluster, compared with curl.

`BENCH_GIB=5` sets another size.
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
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
import requests

from report_orchestrator.adapters.onelake.connection import PIECE
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.benchmarks.figures import SQLITE_ORM, Figure, ask, environment_on
from tests.demo.environment import Environment, free_port

GIB = float(os.environ.get("BENCH_GIB", "1"))
SIZE = int(GIB * 2**30)
SETTLING = 6  # seconds until a cluster that was started is idle
BOUND = 600 * max(GIB, 1)  # seconds for one result


def results() -> list[Figure]:
    """Measure both stores, and the table with the folder."""
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
        environment_on(SQLITE_ORM, POLL_INTERVAL_SECONDS="1", **{**overrides, "Q_WORKERS": "1"}) as environment,
        environment.fireant("--seconds-queued", "0", "--seconds-running", "0", "--quiet", "--result-bytes", str(SIZE)),
        _served(lake) as served,
        environment.running("qcluster", "qcluster") as cluster,
    ):
        time.sleep(SETTLING)
        idle = _resident(cluster.pid, "VmRSS")
        _forget_peaks(idle)
        busy = _CpuSeconds(cluster.pid, served)
        ask(environment, "rows", "open_runs(1)")
        _wait_until_done(environment)
        spent = busy.spent()
        peak = _resident(cluster.pid, "VmHWM")
        seconds = _seconds_of_the_step(environment)
        down = _curl_down(environment)
        curl = _seconds_of(down)
        assert down.target.stat().st_size == SIZE
        if lake:
            upload = _seconds_of(_curl_up(environment, lake))
            at_once = _seconds_of(down, _curl_up(environment, lake))
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
    if lake:
        figures.append(
            Figure(
                what="throughput beside curl's, down and up",
                measured=f"{at_once / seconds:.0%} of two at once ({SIZE / at_once / 1e6:.0f} MB/s), "
                f"{(curl + upload) / seconds:.0%} of one after the other; up alone: {SIZE / upload / 1e6:.0f} MB/s",
                beside=beside,
            )
        )
    return figures


@contextmanager
def _served(lake: OneLakeSandbox | None) -> Iterator[int | None]:
    """Serve the lake in its own process, since measuring takes CPU time of its own; return the process ID."""
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
    """CPU seconds used by the worker and the sandboxes since this was made."""

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
        """Return the seconds of each as text."""
        return ", ".join(f"{name} {end - self._before[name]:.1f} s" for name, end in self._now().items())


def _wait_until_done(environment: Environment) -> None:
    deadline = time.monotonic() + BOUND
    with _database(environment) as database:
        while time.monotonic() < deadline:
            ((status, error),) = database.execute("SELECT status, error FROM report_orchestrator_reportrun")
            if status == "succeeded":
                return
            if status == "failed":
                raise SystemExit(f"the run failed: {error}")
            time.sleep(0.1)
    raise SystemExit(f"the run did not end within {BOUND:g} s")


def _seconds_of_the_step(environment: Environment) -> float:
    with _database(environment) as database:
        ((began, ended),) = database.execute(
            "SELECT started_at, ended_at FROM report_orchestrator_runstep WHERE step = 'results_storage'"
        )
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curl:
    """A curl process: its standard input, and the file of its output."""

    config: str
    target: Path

    def begun(self) -> subprocess.Popen[bytes]:
        """Start the process with its complete input."""
        with self.target.open("wb") as file:
            process = subprocess.Popen(["/usr/bin/env", "curl", "-K", "-"], stdin=subprocess.PIPE, stdout=file)
        assert process.stdin is not None
        process.stdin.write(self.config.encode())
        process.stdin.close()
        return process


def _seconds_of(*curls: _Curl) -> float:
    """Return the seconds until all of them, started together, have ended."""
    began = time.monotonic()
    processes = [curl.begun() for curl in curls]
    for process in processes:
        if process.wait():
            raise SystemExit(f"curl ended with status {process.returncode}")
    return time.monotonic() - began


def _curl_down(environment: Environment) -> _Curl:
    """Download the same result into a file on the same disk."""
    url, key = f"http://127.0.0.1:{environment.fireant_port}", f"Authorization: Bearer {environment.key}"
    jobs = requests.get(f"{url}/sandbox/jobs", headers={"Authorization": f"Bearer {environment.key}"}, timeout=10)
    address = f"{url}/jobs/results/{jobs.json()['jobs'][0]['id']}"
    return _Curl(config=f'url = "{address}"\nheader = "{key}"\nfail\nsilent\n', target=environment.folder / "curl.json")


def _curl_up(environment: Environment, lake: OneLakeSandbox) -> _Curl:
    """Upload the same bytes to the same lake, in the store's pieces, over one connection."""
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
    requests.put(f"{address}?resource=file", headers=head, verify=str(lake.ca_file), timeout=10).raise_for_status()
    piece = environment.folder / "piece"
    with (environment.folder / "curl.json").open("rb") as downloaded:
        piece.write_bytes(downloaded.read(PIECE))
    each = [
        f'url = "{address}?action=append&position={position}"\nrequest = "PATCH"\nupload-file = "{piece}"\n'
        f'header = "Authorization: Bearer {token}"\nheader = "Expect:"\ncacert = "{lake.ca_file}"\nfail\nsilent\n'
        for position in range(0, SIZE, PIECE)
    ]
    return _Curl(config="next\n".join(each), target=environment.folder / "curl.answers")


@contextmanager
def _database(environment: Environment) -> Iterator[sqlite3.Connection]:
    address = Path(environment.folder / "default.sqlite3").absolute().as_uri()
    database = sqlite3.connect(f"{address}?mode=ro", uri=True)
    try:
        yield database
    finally:
        database.close()


def _resident(leader: int, line: str) -> dict[int, int]:
    """Return the memory of each process of the cluster in bytes: now (`VmRSS`), or the peak since the last reset
    (`VmHWM`).
    """
    found = {}
    for process in psutil.Process(leader).children(recursive=True):
        fields = dict(each.split(":", 1) for each in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        found[process.pid] = int(fields[line].split()[0]) * 1024
    return found


def _forget_peaks(pids: Iterable[int]) -> None:
    # The kernel keeps each peak by itself: looking often enough for it took a core's fifth, and still missed it.
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
