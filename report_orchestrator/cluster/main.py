"""The process that `manage.py qcluster` is: it starts the sentinel, replaces it when it is lost, and ends in bounded time."""

from __future__ import annotations

import logging
from datetime import timedelta
from types import FrameType

from django import db
from django_q import cluster
from django_q.conf import setproctitle

from report_orchestrator.cluster.channels import Flag
from report_orchestrator.cluster.children import Child, await_any
from report_orchestrator.cluster.guard import MONITOR_PATIENCE, Guard
from report_orchestrator.cluster.pace import Pace
from report_orchestrator.exceptions import OrchestratorError

logger = logging.getLogger("report_orchestrator.cluster")

YOUNG_DEATHS = 5
"""A sentinel that dies young so often in a row is lost for good: something is wrong that another one will not mend."""

MARGIN = MONITOR_PATIENCE + 3.0  # seconds beyond the grace for the sentinel to end


class ClusterLostError(OrchestratorError):
    """The sentinel cannot be kept alive. Starting the cluster again makes sense once the cause in the log above is mended."""

    code = "cluster_lost"


class Cluster(cluster.Cluster):  # type: ignore[misc]  # django-q2 has no types
    """`Cluster(grace=…).run()` returns when the cluster has ended as asked."""

    sentinel: Child

    def __init__(self, *, grace: timedelta, once: bool = False) -> None:
        """`grace`: how long started tasks may go on after a signal. `once`: end by itself when what waits now is done."""
        self.grace = grace
        self.once = once
        self.signalled = Flag()
        self.pace = Pace()
        super().__init__()
        self.stop_event = Flag() if once else self.signalled

    def run(self) -> None:
        """Starts the cluster and stays with it to its end.

        Raises:
            ClusterLostError: it could not be started, or not be kept alive. No process of it is left.
        """
        self.start()
        if self.once:
            self.stop_event.set()
        while not self.has_ended():
            self.start_another()
        logger.info("cluster ended", extra={"event": "cluster_ended", "role": "main", "pid": self.pid})

    def start(self) -> int:
        """Starts the sentinel, and returns this process's id when it guards; sooner where the end was asked for meanwhile.

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
            "The lines above say why; most often the broker or the database cannot be reached."
        )

    def start_sentinel(self) -> None:
        """Starts a sentinel, which shares nothing with an earlier one but the wish to end."""
        db.connections.close_all()
        self.start_event = Flag()
        arguments = (self.stop_event, self.start_event, self.cluster_id)
        self.sentinel = Child("sentinel", Guard.run, arguments, grace=None if self.once else self.grace)
        self.sentinel.start()
        self.log(logging.INFO, "child_started")

    def has_ended(self) -> bool:
        """Waits for the sentinel's end; returns whether that was asked for."""
        await_any([self.sentinel, self.signalled])
        self.sentinel.join(self.grace.total_seconds() + MARGIN)
        if self.sentinel.is_alive():
            self.log(logging.ERROR, "child_cut_short")
            self.sentinel.terminate()
        return self.stop_event.is_set()

    def start_another(self) -> None:
        """Replaces a sentinel that was lost, and whose children ended with it.

        Raises:
            ClusterLostError: too many died young.
        """
        pause = self.pace.wait_after(self.sentinel.age)
        self.log(logging.CRITICAL, "child_lost", exit_code=self.sentinel.exitcode, replaced_in_s=pause)
        if self.pace.young_deaths >= YOUNG_DEATHS:
            raise ClusterLostError(
                f"The cluster is lost: its sentinel died {YOUNG_DEATHS} times in a row soon after its start, "
                f"at last with status {self.sentinel.exitcode}."
            )
        if not self.signalled.wait(pause):
            self.start_sentinel()

    def stop(self) -> None:
        """Asks the cluster to end, and returns at once: `run` returns when it has."""
        self.signalled.set()

    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        """A signal asks for the end."""
        self.stop()

    def log(self, level: int, event: str, **fields: object) -> None:
        """One line about the sentinel."""
        logger.log(
            level,
            event.replace("_", " "),
            extra={"event": event, "role": "sentinel", "pid": self.sentinel.pid, **fields},
        )
