"""The cluster's processes. Each ends with its parent and ignores signals sent to the whole process group."""

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import Any
from uuid import uuid4

from report_orchestrator.cluster.channels import Flag, Timer
from report_orchestrator.models.connections import close_connections

logger = logging.getLogger("report_orchestrator.cluster")

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LOOK_FOR_PARENT = 1.0  # seconds, on systems without parent-death signals
CUT_SHORT = signal.SIGUSR1
HAND_BACK = 1.0  # seconds for a worker to release its run


class Child(ForkProcess):
    """A process in a role. `terminate` kills, since children ignore SIGTERM."""

    timer: Timer

    def __init__(self, role: str, target: Callable[..., object], args: tuple[Any, ...], **kwargs: Any) -> None:
        super().__init__(target=target, args=args, kwargs=kwargs, name=f"Process-{uuid4().hex}")
        self.role = role
        self.replace_at: float | None = None
        self._maker = os.getpid()

    def start(self) -> None:
        self.started_at = time.monotonic()
        close_connections()  # a fork would share them with its parent
        super().start()

    def run(self) -> None:
        end_with_parent(self._maker)
        leave_signals_to_parent()
        try:
            super().run()
        except Exception as error:
            logger.critical("process failed", extra={"event": "process_failed", "role": self.role}, exc_info=True)
            raise SystemExit(1) from error

    def terminate(self) -> None:
        self.kill()
        self.join(LOOK_FOR_PARENT)

    def cut_short(self) -> None:
        """Let the process release its run, then kill it."""
        if self.pid is not None and self.is_alive():
            os.kill(self.pid, CUT_SHORT)
            self.join(HAND_BACK)
        self.terminate()

    @property
    def age(self) -> float:
        return time.monotonic() - self.started_at


def await_any(awaited: Iterable[Flag | Child], seconds: float | None = None) -> None:
    """Wait until a flag is set or a child has ended, at most `seconds`."""
    wait([item.sentinel if isinstance(item, Child) else item.fileno() for item in awaited], seconds)


def reap_orphans(child: Child) -> None:
    """Reap the processes of this one that have ended, other than its own child, such as the children of a lost sentinel."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None or ended.si_pid == child.pid:
            return
        os.waitpid(ended.si_pid, 0)


def leave_signals_to_parent() -> None:
    """Ignore a supervisor's or terminal's signals to the process group: the parent decides which children end.

    A handler, not SIG_IGN, since programs started by a task would inherit the latter.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda _number, _frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(CUT_SHORT, _cut_short)


def _cut_short(_number: int, _frame: object) -> None:
    """Exit. Django-Q2's worker does not catch this, and a running step releases its run."""
    raise SystemExit(0)


def end_with_parent(parent: int) -> None:
    """Kill this process when its parent with this id ends; at once if it has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_look_for, args=(parent,), daemon=True).start()
    _end_unless_child_of(parent)


def _look_for(parent: int) -> None:
    while True:
        time.sleep(LOOK_FOR_PARENT)
        _end_unless_child_of(parent)


def _end_unless_child_of(parent: int) -> None:
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
