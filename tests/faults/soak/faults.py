"""The faults of a soak. Each injects one fault and returns how many times it had an effect."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

import psutil

from tests.demo.environment import GRACE
from tests.faults.soak.cluster import Supervised
from tests.faults.soak.setups import Setup
from tests.support.database_servers import set_read_only

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
HOSTILE_ANSWERS: Sequence[Mapping[str, Any]] = (
    *({"endpoint": endpoint, "kind": "status_code", "status": 503} for endpoint in ("submit", "status", "results")),
    {"endpoint": "status", "kind": "status_code", "status": 429, "retry_after": "1"},
    *({"endpoint": endpoint, "kind": "reset"} for endpoint in ("submit", "status", "results")),
    *({"endpoint": endpoint, "kind": "reset_after_work"} for endpoint in ("submit", "status")),
    *({"endpoint": endpoint, "kind": "stall", "seconds": 2.5} for endpoint in ("submit", "status", "results")),
    {"endpoint": "results", "kind": "trickle", "seconds": 0.05},
    *({"endpoint": endpoint, "kind": "short_body"} for endpoint in ("submit", "status", "results")),
    *({"endpoint": endpoint, "kind": "reset_mid_body"} for endpoint in ("status", "results")),
    *({"endpoint": endpoint, "kind": "malformed_json"} for endpoint in ("submit", "status")),
    {"endpoint": "submit", "kind": "no_job_id"},
    {"endpoint": "status", "kind": "unknown_status"},
    # Each is a begun token again and again, which masking must not search from each position.
    {"endpoint": "status", "kind": "malformed_json", "text": "eyJ-" * 250_000},
    {"endpoint": "status", "kind": "unknown_status", "text": "eyJ-" * 250_000},
)
"""Answers of Fireant after which every run still succeeds, unless it is held for a submission of unknown outcome."""
STORE_FAULTS: Sequence[Mapping[str, Any]] = (
    *({"endpoint": endpoint, "kind": "stall", "seconds": 2.5} for endpoint in ("create", "append", "flush", "rename")),
    *({"endpoint": endpoint, "kind": "reset_after_work"} for endpoint in ("create", "append", "flush", "rename")),
    *({"endpoint": endpoint, "kind": "status_code", "status": 503} for endpoint in ("append", "rename", "token")),
    {"endpoint": "rename", "kind": "status_after_work", "status": 500},
    {"endpoint": "append", "kind": "expired_token", "times": 1},  # a second refusal in a row is one of the credentials
    {"endpoint": "append", "kind": "damaged"},
    {"endpoint": "flush", "kind": "short_flush"},
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The setup and cluster that faults are injected into, the random generator that chooses, and the kills by role."""

    setup: Setup
    cluster: Supervised
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter)

    def run_reports(self) -> None:
        """Start a run of some reports. A run may have failed, by a bad answer, before the command lists it."""
        keys = [str(self.chance.randint(1, 31)) for _ in range(5)]
        self.setup.direct.manage("run_report", *keys, statuses=[0, 1])


def kill(stage: Stage) -> int:
    """Kill any process of a cluster that has started its children, its main process included."""
    processes = stage.cluster.processes_once_started()
    if not processes:
        return 0
    killed = stage.chance.choice(processes)
    role = stage.cluster.role(killed.pid)
    try:
        killed.kill()
    except psutil.NoSuchProcess:
        return 0
    stage.kills[role] += 1
    return 1


def stop_for_a_while(stage: Stage) -> int:
    """Stop any process, often for longer than its lease, and let it go on as if nothing had happened."""
    processes = stage.cluster.processes()
    if not processes:
        return 0
    stopped = stage.chance.choice(processes)
    try:
        stopped.send_signal(signal.SIGSTOP)
        stage.cluster.keep_running(stage.chance.choice([1.0, 4.0, 8.0]))
        stopped.send_signal(signal.SIGCONT)
    except psutil.NoSuchProcess:
        return 0
    return 1


def end_in_order(stage: Stage) -> int:
    """Send the main process a signal to end: it has to within its grace and a margin."""
    number = stage.chance.choice(SIGNALS)
    process = stage.cluster.process
    if process.poll() is not None:
        return 0
    process.send_signal(number)
    try:
        process.wait(2 * GRACE)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"qcluster did not end within {2 * GRACE} s of {number.name}") from None
    return 1


def cut_a_wire(stage: Stage) -> int:
    """Cut the database or the broker off for a moment or some seconds."""
    wire = stage.chance.choice(stage.setup.wires)
    cut = wire.cut()
    stage.cluster.keep_running(stage.chance.choice([0.0, 1.0, 4.0]))
    wire.mend()
    return cut


def fail_over(stage: Stage) -> int:
    """Lead all connections to a read-only database for a while. A pooler's are then made anew, as it would keep them."""
    wire = stage.setup.database
    assert wire is not None
    urls = [stage.setup.direct.variables[name] for name in ("DATABASE_URL", "REPORTS_DATABASE_URL")]
    set_read_only(urls, read_only=True)
    wire.cut()
    wire.mend()
    stage.cluster.keep_running(stage.chance.choice([0.5, 2.0, 4.0]))
    set_read_only(urls, read_only=False)
    if stage.setup.holds_connections:
        wire.cut()
        wire.mend()
    return 1


def let_the_replica_lag(stage: Stage) -> int:
    """Keep the replica behind while more reports run, which are read from it."""
    replicated = stage.setup.replicated
    assert replicated is not None
    since = replicated.stop_replay()
    stage.run_reports()
    stage.cluster.keep_running(stage.chance.choice([0.5, 2.0, 5.0]))
    return int(replicated.resume_replay(since) > 0)


def lose_messages(stage: Stage) -> int:
    """Let Redis lose the messages of new runs, while the process that takes them is stopped."""
    queue = stage.setup.queue
    assert queue is not None
    pushers = [
        process for process in stage.cluster.processes_once_started() if stage.cluster.role(process.pid) == "pusher"
    ]
    try:
        for pusher in pushers:
            pusher.suspend()
        stage.run_reports()
        waiting = queue.llen(f"django_q:{stage.setup.direct.queue}:q")
        queue.flushdb()
        for pusher in pushers:
            pusher.resume()
    except psutil.NoSuchProcess:
        return 0
    return int(waiting)


def answer_badly(stage: Stage) -> int:
    """Let Fireant give its next answers wrongly, late or not at all."""
    _fireants_faults(stage, "POST", {**stage.chance.choice(HOSTILE_ANSWERS), "times": stage.chance.randint(1, 3)})
    return 1


def hurt_the_store(stage: Stage) -> int:
    """Let OneLake stall, fail, or damage uploaded data."""
    lake = stage.setup.lake
    assert lake is not None
    lake.faults.add(**{"times": stage.chance.randint(1, 3), **stage.chance.choice(STORE_FAULTS)})
    return 1


def withdraw(stage: Stage) -> dict[str, int]:
    """Withdraw the faults that have not met a request; return the number of those that have, by kind of fault."""
    fired = {"bad answers": sum(fault["times"] for fault in _fireants_faults(stage, "GET")["fired"])}
    _fireants_faults(stage, "DELETE")
    if lake := stage.setup.lake:
        fired["store faults"] = sum(lake.faults.fired.values())
        lake.faults.clear()
    return fired


def faults_of(setup: Setup) -> dict[str, tuple[Callable[[Stage], int], int]]:
    """Return the faults that this setup can have, each with its share among them."""
    faults: dict[str, tuple[Callable[[Stage], int], int]] = {
        "kills": (kill, 30),
        "stops": (stop_for_a_while, 2),
        "signals": (end_in_order, 1),
        "bad answers": (answer_badly, 4),
    }
    if setup.wires:
        faults |= {"cuts": (cut_a_wire, 3), "fail-overs": (fail_over, 1)}
    if setup.replicated is not None:
        faults["replica lags"] = (let_the_replica_lag, 2)
    if setup.queue is not None:
        faults["messages lost"] = (lose_messages, 2)
    if setup.lake is not None:
        faults["store faults"] = (hurt_the_store, 4)
    return faults


def _fireants_faults(stage: Stage, method: str, fault: Mapping[str, Any] | None = None) -> Any:
    environment = stage.setup.direct
    request = Request(
        f"http://127.0.0.1:{environment.fireant_port}/sandbox/faults",
        method=method,
        data=None if fault is None else json.dumps(fault).encode(),
        headers={"Authorization": f"Bearer {environment.key}", "Content-Type": "application/json"},
    )
    with urlopen(request, timeout=30) as response:
        return json.load(response)
