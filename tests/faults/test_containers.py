"""Clusters in hardened containers: without shared memory, and as the first process."""

from __future__ import annotations

import shutil
import signal
import subprocess

import psutil
import pytest

from tests.demo.environment import Environment
from tests.support.clusters import AT_ONCE, CHILDREN, SOON, await_that, running

UNSHARE = [shutil.which("unshare") or "unshare", "--mount", "--pid", "--fork", "true"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which("unshare") or subprocess.run(UNSHARE, check=False, capture_output=True).returncode != 0,
        reason="namespaces need root",
    ),
]
NEW_MOUNTS, NEW_PROCESSES = 0x20000, 0x20000000  # <linux/sched.h>
PRIVATE, READ_ONLY = 0x44000, 0x1  # <sys/mount.h>
IN_SHELL = "from django.core.management import call_command; call_command('qcluster')"


def test_a_cluster_works_without_a_writable_dev_shm(sqlite_environment: Environment) -> None:
    code = (
        "import ctypes, tempfile; libc = ctypes.CDLL(None); "
        f"done = (libc.unshare({NEW_MOUNTS}), libc.mount(b'none', b'/', None, {PRIVATE}, None), "
        f"libc.mount(b'none', b'/dev/shm', b'tmpfs', {READ_ONLY}, None)); assert done == (0, 0, 0); {IN_SHELL}"
    )
    with running(sqlite_environment, "shell", "-v0", "-c", code) as cluster:
        cluster.prove_work()
        cluster.kill("worker")
        cluster.prove_work()
        assert cluster.end() == 0


def test_a_cluster_that_is_the_first_process_keeps_no_zombies(sqlite_environment: Environment) -> None:
    code = (
        f"import ctypes, os; assert ctypes.CDLL(None).unshare({NEW_PROCESSES}) == 0; child = os.fork(); "
        f"child and os._exit(os.waitpid(child, 0)[1] >> 8); {IN_SHELL}"
    )
    with running(sqlite_environment, "shell", "-v0", "-c", code) as cluster:
        [first] = psutil.Process(cluster.main.pid).children()

        def sentinel() -> psutil.Process | None:
            running_ones = [child for child in first.children() if child.status() != psutil.STATUS_ZOMBIE]
            whole = [child for child in running_ones if len(child.children()) > len(CHILDREN)]
            return whole[0] if len(running_ones) == 1 and whole else None

        for _ in range(2):
            lost = await_that(sentinel, "a sentinel with all its children", SOON)
            assert lost is not None
            lost.kill()
            await_that(lambda: len(first.children()) == 1 and sentinel() is not None, "no zombie is left", AT_ONCE)
        cluster.prove_work()
        first.send_signal(signal.SIGTERM)
        assert cluster.await_end(SOON) == 0
