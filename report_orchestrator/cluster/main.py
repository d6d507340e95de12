"""The process of `manage.py qcluster`: starts the sentinel, replaces a lost one, and ends in bounded time."""

import logging
import os
import signal
from datetime import timedelta
from types import FrameType

from django_q import cluster
from django_q.conf import setproctitle

from report_orchestrator.cluster.channels import Flag
from report_orchestrator.cluster.children import Child, await_any, reap_orphans
from report_orchestrator.cluster.guard import MONITOR_GRACE, Guard
from report_orchestrator.cluster.restart_backoff import RestartBackoff
from report_orchestrator.exceptions import OrchestratorError

logger = logging.getLogger("report_orchestrator.cluster")

YOUNG_DEATHS = 5
"""Early deaths of a sentinel in a row after which the cluster gives up."""

REAP_INTERVAL = 2.0  # seconds
MARGIN = MONITOR_GRACE + 3.0  # seconds beyond the grace for the sentinel to end


class ClusterLostError(OrchestratorError):
    """The sentinel died repeatedly. Fix the cause, which is in the log, before starting the cluster again."""

    code = "cluster_lost"


class Cluster(cluster.Cluster):  # type: ignore[misc]  # django-q2 has no types
    """The cluster. `Cluster(grace=…).run()` returns when it has stopped."""

    sentinel: Child

    def __init__(self, *, grace: timedelta, once: bool = False) -> None:
        """`grace`: time for started tasks after a signal. `once`: stop when the waiting messages are done."""
        self.grace = grace
        self.once = once
        self.signalled = Flag()
        self.backoff = RestartBackoff()
        super().__init__()
        for number in (signal.SIGHUP, signal.SIGQUIT):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under `nohup`
                signal.signal(number, self.sig_handler)
        self.stop_event = Flag() if once else self.signalled

    def run(self) -> None:
        """Run the cluster until it stops.

        Raises:
            ClusterLostError: the sentinel died repeatedly. No process is left.
        """
        self.start()
        if self.once:
            self.stop_event.set()
        while not self.has_ended():
            self.start_another()
        logger.info("cluster ended", extra={"event": "cluster_ended", "role": "main", "pid": self.pid})

    def start(self) -> int:
        """Start the sentinel; return this process's id when it runs, or sooner if the cluster was asked to stop.

        Raises:
            ClusterLostError: it ended before.
        """
        if setproctitle:
            setproctitle.setproctitle(f"qcluster main {self.name}")
        self.start_sentinel()
        await_any([self.start_event, self.sentinel, self.signalled])
        if self.start_event.is_set() or self.signalled.is_set():
            return int(self.pid)
        self.sentinel.join(MARGIN)
        raise ClusterLostError(
            f"The cluster could not be started: its sentinel ended with status {self.sentinel.exitcode}. "
            "See the lines above; usually the broker or the database cannot be reached."
        )

    def start_sentinel(self) -> None:
        """Start a sentinel, which shares only the stop flag with an earlier one."""
        self.start_event = Flag()
        arguments = (self.stop_event, self.start_event, self.cluster_id)
        self.sentinel = Child("sentinel", Guard.run, arguments, grace=None if self.once else self.grace)
        self.sentinel.start()
        self.log(logging.INFO, "child_started")

    def has_ended(self) -> bool:
        """Wait for the sentinel's end; return True if the cluster was asked to stop."""
        self.await_sentinel_or_signal()
        self.sentinel.join(self.grace.total_seconds() + MARGIN)
        if self.sentinel.is_alive():
            self.log(logging.ERROR, "child_cut_short")
            self.sentinel.terminate()
        return self.stop_event.is_set()

    def await_sentinel_or_signal(self) -> None:
        """Wait; meanwhile, as a container's first process, reap those that the kernel hands over to it."""
        interval = REAP_INTERVAL if os.getpid() == 1 else None
        while self.sentinel.is_alive() and not self.signalled.is_set():
            await_any([self.sentinel, self.signalled], interval)
            if interval is not None:
                reap_orphans(self.sentinel)

    def start_another(self) -> None:
        """Replace a lost sentinel, whose children ended with it.

        Raises:
            ClusterLostError: too many died young.
        """
        pause = self.backoff.wait_after(self.sentinel.age)
        self.log(logging.CRITICAL, "child_lost", exit_code=self.sentinel.exitcode, replaced_in_s=pause)
        if self.backoff.young_deaths >= YOUNG_DEATHS:
            raise ClusterLostError(
                f"The cluster stopped: its sentinel died {YOUNG_DEATHS} times in a row soon after its start, "
                f"last with status {self.sentinel.exitcode}. Check the log, then restart qcluster."
            )
        if not self.signalled.wait(pause):
            self.start_sentinel()

    def stop(self) -> None:
        """Ask the cluster to stop; return at once."""
        self.signalled.set()

    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        self.stop()

    def log(self, level: int, event: str, **fields: object) -> None:
        logger.log(
            level,
            event.replace("_", " "),
            extra={"event": event, "role": "sentinel", "pid": self.sentinel.pid, **fields},
        )
